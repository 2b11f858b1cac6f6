/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bridge.
 *
 * Must not know: frames, HTTP.
 * Invariants: `count` is the number of connections in env.connections; a reload either takes over everything
 * or changes nothing; the loop stops when a stopping bridge has no connection left.
 */
#include "bridge.h"

#include "connection.h"
#include "handshake.h"
#include "log.h"
#include "network.h"
#include "relay.h"
#include "resolve.h"
#include "web.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BRIDGE_ACCEPTS 64 /* connections taken from one listener in one turn */
#define BRIDGE_RETRY_MS 100 /* how long accepting pauses when descriptors or memory have run out */
#define BRIDGE_SURPLUS 64 /* connections above the limit that live long enough to be told 503 */
#define BRIDGE_RESERVED 64 /* descriptors that are no client's and no peer's */
#define BRIDGE_ADDRESSES 16 /* sockets that one `listen` may come to */

struct listener {
	struct ev_io io;
	struct ev_dead dead;
	struct link link;
	struct bridge *bridge;
	char *spec; /* as configured; NULL: every address */
	uint16_t port; /* as configured */
	bool passed; /* the service manager's: not ours to close or to remove */
	bool stale; /* not in the new configuration */
};

/* How many connections an address has. */
struct visitor {
	uint64_t key[2];
	size_t count;
};

struct bridge {
	struct connection_env env;
	struct config config;
	struct link listeners;
	struct ev_timer retry; /* accepting has paused */
	struct ev_timer grace;
	struct log_limit full; /* of lines about descriptors that have run out */
	void *visitors; /* tsearch(3) tree of struct visitor */
	size_t count;
	size_t fd_limit;
};

/* ---- who is let in ---- */

static size_t max_clients(const struct bridge *bridge) {
	size_t limit = bridge->config.settings.max_clients;
	size_t reserved = BRIDGE_RESERVED + BRIDGE_SURPLUS;
	if(limit > 0) {
		return limit;
	}
	/* A client and its peer are two descriptors. */
	return bridge->fd_limit > reserved + 2 ? (bridge->fd_limit - reserved) / 2 : 1;
}

static int visitor_compare(const void *a, const void *b) {
	const struct visitor *left = a;
	const struct visitor *right = b;
	return memcmp(left->key, right->key, sizeof(left->key));
}

/* An IPv4 address, or the first half of an IPv6 address: one customer has a /64. */
static bool visitor_key(const union connection_address *address, struct visitor *out) {
	*out = (struct visitor){0};
	if(address->any.sa_family == AF_INET) {
		memcpy(&out->key[1], &address->in.sin_addr, 4);
	} else if(address->any.sa_family == AF_INET6 &&
		IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
		memcpy(&out->key[1], &address->in6.sin6_addr.s6_addr[12], 4);
	} else if(address->any.sa_family == AF_INET6) {
		memcpy(&out->key[0], &address->in6.sin6_addr, 8);
	} else {
		return false;
	}
	return true;
}

/* Counts the connection for its address. False: there are too many already. */
static bool visitor_enter(struct bridge *bridge, struct connection *connection) {
	size_t limit = bridge->config.settings.max_clients_per_ip;
	struct visitor key;
	if(limit == 0 || !visitor_key(&connection->address, &key)) {
		return true;
	}
	struct visitor **found = tfind(&key, &bridge->visitors, visitor_compare);
	if(!found) {
		struct visitor *fresh = malloc(sizeof(*fresh));
		if(!fresh) {
			return false;
		}
		*fresh = key;
		found = tsearch(fresh, &bridge->visitors, visitor_compare);
		if(!found) {
			free(fresh);
			return false;
		}
	}
	if((*found)->count >= limit) {
		return false;
	}
	(*found)->count++;
	connection->counted = true;
	return true;
}

static void visitor_leave(struct bridge *bridge, const struct connection *connection) {
	struct visitor key;
	if(!connection->counted || !visitor_key(&connection->address, &key)) {
		return;
	}
	struct visitor **found = tfind(&key, &bridge->visitors, visitor_compare);
	struct visitor *visitor = *found;
	if(--visitor->count == 0) {
		tdelete(visitor, &bridge->visitors, visitor_compare);
		free(visitor);
	}
}

static void connection_gone(struct connection *connection) {
	struct bridge *bridge = LOOP_OWNER(connection->env, struct bridge, env);
	visitor_leave(bridge, connection);
	bridge->count--;
	if(bridge->env.draining && bridge->count == 0) {
		bridge->env.loop->stop = true;
	}
}

/* Too many of them are told so; far too many are not even that. */
static void admit(struct bridge *bridge, int fd, const struct sockaddr *address, socklen_t len) {
	size_t limit = max_clients(bridge);
	if(bridge->count >= limit + BRIDGE_SURPLUS) {
		close(fd);
		return;
	}
	struct connection *connection = connection_new(&bridge->env, fd, address, len);
	if(!connection) {
		return;
	}
	bridge->count++;
	connection->surplus = bridge->count > limit || !visitor_enter(bridge, connection);
	handshake_begin(connection);
}

/* ---- listening ---- */

static void listeners_want(struct bridge *bridge, unsigned want) {
	for(struct link *at = bridge->listeners.next; at != &bridge->listeners; at = at->next) {
		loop_want(bridge->env.loop, &LOOP_OWNER(at, struct listener, link)->io, want);
	}
}

static void accept_retry(struct ev_timer *timer) {
	struct bridge *bridge = LOOP_OWNER(timer, struct bridge, retry);
	listeners_want(bridge, LOOP_IN);
}

/* Descriptors or memory have run out: trying again at once would only burn time. */
static void accept_pause(struct bridge *bridge, int error) {
	struct loop *loop = bridge->env.loop;
	if(log_limit_pass(&bridge->full, loop->now_ms)) {
		log_write(LOG_WARNING, "cannot accept connections: %s; trying again in %d ms",
			strerror(error), BRIDGE_RETRY_MS);
	}
	if(loop_timer_set(loop, &bridge->retry, loop->now_ms + BRIDGE_RETRY_MS) == 0) {
		listeners_want(bridge, 0);
	}
}

static void accept_run(struct ev_io *io) {
	struct bridge *bridge = LOOP_OWNER(io, struct listener, io)->bridge;
	for(int i = 0; i < BRIDGE_ACCEPTS; i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof(address);
		int fd = accept4(
			io->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if(fd >= 0) {
			admit(bridge, fd, (struct sockaddr *)&address, len);
		} else if(errno == EAGAIN) {
			loop_used_up(io, LOOP_IN);
			return;
		} else if(errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			errno == ENOMEM) {
			accept_pause(bridge, errno);
			return;
		}
		/* Anything else is about a connection that is gone already: accept(2) says to go on. */
	}
}

static void listener_free(struct ev_dead *dead) {
	struct listener *listener = LOOP_OWNER(dead, struct listener, dead);
	free(listener->spec);
	free(listener);
}

/* A socket file is ours to remove if it is still the one that we bound. */
static void listener_unlink(const struct listener *listener) {
	struct sockaddr_un own;
	socklen_t len = sizeof(own);
	if(listener->passed || getsockname(listener->io.fd, (struct sockaddr *)&own, &len) < 0) {
		return;
	}
	if(own.sun_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) &&
		own.sun_path[0]) {
		unlink(own.sun_path);
	}
}

static void listener_close(struct listener *listener) {
	struct loop *loop = listener->bridge->env.loop;
	listener_unlink(listener);
	link_remove(&listener->link);
	loop_close_io(loop, &listener->io);
	listener->dead.free = listener_free;
	loop_bury(loop, &listener->dead);
}

static void listener_log(const struct listener *listener) {
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char text[NETWORK_ADDRESS_TEXT * 2];
	if(getsockname(listener->io.fd, (struct sockaddr *)&address, &len) == 0) {
		network_format_address((struct sockaddr *)&address, len, text, sizeof(text));
		log_write(LOG_NOTICE, "listening on %s", text);
	}
}

/* Makes a listener of a listening socket; owns `fd` from here on. */
static int listener_add(struct bridge *bridge, struct link *list, int fd, const char *spec,
	uint16_t port, bool passed) {
	struct listener *listener = calloc(1, sizeof(*listener));
	int result = -ENOMEM;
	if(!listener) {
		goto fail_fd;
	}
	listener->bridge = bridge;
	listener->port = port;
	listener->passed = passed;
	if(spec) {
		listener->spec = strdup(spec);
		if(!listener->spec) {
			goto fail_listener;
		}
	}
	result = loop_add(bridge->env.loop, &listener->io, fd, LOOP_IN, LOOP_IN, accept_run);
	if(result) {
		goto fail_listener;
	}
	link_append(list, &listener->link);
	listener_log(listener);
	return 0;
fail_listener:
	free(listener->spec);
	free(listener);
fail_fd:
	close(fd);
	log_write(LOG_ERROR, "cannot listen: %s", strerror(-result));
	return result;
}

static struct listener *listener_find(struct bridge *bridge, const char *spec, uint16_t port) {
	for(struct link *at = bridge->listeners.next; at != &bridge->listeners; at = at->next) {
		struct listener *listener = LOOP_OWNER(at, struct listener, link);
		bool same = spec && listener->spec ? strcmp(spec, listener->spec) == 0
						   : spec == listener->spec;
		bool local = spec && strncmp(spec, "unix:", 5) == 0;
		if(same && (local || listener->port == port)) {
			return listener;
		}
	}
	return NULL;
}

/* Opens what one `listen` names into `list`, unless it is open; then it is marked as still wanted. */
static int listen_one(struct bridge *bridge, struct link *list, const char *spec, uint16_t port) {
	int fds[BRIDGE_ADDRESSES];
	char error[512];
	struct listener *listener = listener_find(bridge, spec, port);
	if(listener) {
		for(struct link *at = bridge->listeners.next; at != &bridge->listeners;
			at = at->next) {
			struct listener *other = LOOP_OWNER(at, struct listener, link);
			if(other->spec == listener->spec ||
				(spec && other->spec && strcmp(other->spec, spec) == 0)) {
				other->stale = false;
			}
		}
		return 0;
	}
	int count = network_listen(spec, port, fds, BRIDGE_ADDRESSES, error, sizeof(error));
	if(count < 0) {
		log_write(LOG_ERROR, "%s", error);
		return count;
	}
	int result = 0;
	for(int i = 0; i < count; i++) {
		if(result) {
			close(fds[i]);
		} else {
			result = listener_add(bridge, list, fds[i], spec, port, false);
		}
	}
	return result;
}

static void listeners_close(struct link *list) {
	while(list->next != list) {
		listener_close(LOOP_OWNER(list->next, struct listener, link));
	}
}

/* Opens what `settings` ask for and is not open yet. On failure all of it is closed again. */
static int listen_all(struct bridge *bridge, const struct settings *settings, struct link *fresh) {
	int result = 0;
	link_init(fresh);
	if(settings->listens == 0) {
		result = listen_one(bridge, fresh, NULL, settings->port);
	}
	for(size_t i = 0; i < settings->listens && result == 0; i++) {
		result = listen_one(bridge, fresh, settings->listen[i], settings->port);
	}
	if(result) {
		listeners_close(fresh);
	}
	return result;
}

static void listeners_mark(struct bridge *bridge, bool stale) {
	for(struct link *at = bridge->listeners.next; at != &bridge->listeners; at = at->next) {
		struct listener *listener = LOOP_OWNER(at, struct listener, link);
		listener->stale = stale && !listener->passed;
	}
}

static void listeners_sweep(struct bridge *bridge) {
	for(struct link *at = bridge->listeners.next; at != &bridge->listeners;) {
		struct listener *listener = LOOP_OWNER(at, struct listener, link);
		at = at->next;
		if(listener->stale) {
			listener_close(listener);
		}
	}
}

static void listeners_take(struct bridge *bridge, struct link *fresh) {
	while(fresh->next != fresh) {
		struct link *node = fresh->next;
		link_remove(node);
		link_append(&bridge->listeners, node);
	}
}

/* ---- configuration ---- */

static int open_site(const struct settings *settings, struct web_site **out) {
	const char *error;
	*out = NULL;
	if(!settings->web) {
		return 0;
	}
	int result = web_site_open(settings->web, out, &error);
	if(result) {
		log_write(LOG_ERROR, "web: \"%s\": %s", settings->web, error);
	}
	return result;
}

/* The point of no return: what the new configuration needs is there. */
static void bridge_adopt(struct bridge *bridge, struct config *config, struct web_site *site) {
	config_free(&bridge->config);
	bridge->config = *config;
	*config = (struct config){0};
	web_site_close(bridge->env.web);
	bridge->env.web = site;
	bridge->env.settings = &bridge->config.settings;
	bridge->env.backend = bridge->config.backend;
	log_set_level(bridge->config.settings.log_level);
}

static void tell_connections(struct bridge *bridge, bool stop) {
	for(struct link *at = bridge->env.connections.next; at != &bridge->env.connections;) {
		struct connection *connection = LOOP_OWNER(at, struct connection, link);
		const struct connection_handlers *handlers =
			bridge->env.handlers[connection->phase];
		void (*tell)(struct connection *) = stop ? handlers->shutdown : handlers->reload;
		at = at->next;
		if(tell) {
			tell(connection);
		}
	}
}

int bridge_reload(struct bridge *bridge, struct config *config) {
	struct web_site *site;
	struct link fresh;
	bool passed = bridge->listeners.next != &bridge->listeners &&
		LOOP_OWNER(bridge->listeners.next, struct listener, link)->passed;
	int result = open_site(&config->settings, &site);
	if(result) {
		return result;
	}
	link_init(&fresh);
	listeners_mark(bridge, true);
	if(!passed) {
		result = listen_all(bridge, &config->settings, &fresh);
	}
	if(result == 0) {
		result = resolver_reload(bridge->env.resolver, config->settings.resolver);
	}
	if(result) {
		listeners_close(&fresh);
		listeners_mark(bridge, false);
		web_site_close(site);
		return result;
	}
	listeners_sweep(bridge);
	listeners_take(bridge, &fresh);
	bridge_adopt(bridge, config, site);
	tell_connections(bridge, false);
	return 0;
}

static int listen_passed(struct bridge *bridge, int first_fd, int passed) {
	int result = 0;
	for(int fd = first_fd; fd < first_fd + passed && result == 0; fd++) {
		result = listener_add(bridge, &bridge->listeners, fd, NULL, 0, true);
	}
	return result;
}

static int bridge_listen(
	struct bridge *bridge, const struct settings *settings, int first_fd, int passed) {
	struct link fresh;
	if(passed > 0) {
		return listen_passed(bridge, first_fd, passed);
	}
	int result = listen_all(bridge, settings, &fresh);
	if(result == 0) {
		listeners_take(bridge, &fresh);
	}
	return result;
}

static void bridge_init(struct bridge *bridge, struct loop *loop, size_t fd_limit) {
	bridge->fd_limit = fd_limit;
	bridge->retry.fn = accept_retry;
	link_init(&bridge->listeners);
	link_init(&bridge->env.connections);
	bridge->env.loop = loop;
	bridge->env.opened = relay_open;
	bridge->env.handshake_free = handshake_free;
	bridge->env.gone = connection_gone;
	bridge->env.handlers[CONNECTION_HEAD] = &handshake_head_handlers;
	bridge->env.handlers[CONNECTION_CONNECT] = &handshake_connect_handlers;
	bridge->env.handlers[CONNECTION_ANSWER] = &handshake_answer_handlers;
	bridge->env.handlers[CONNECTION_OPEN] = &relay_open_handlers;
	bridge->env.handlers[CONNECTION_CLOSING] = &relay_closing_handlers;
	bridge->env.handlers[CONNECTION_LINGER] = &connection_linger_handlers;
}

int bridge_open(struct bridge **out, struct loop *loop, struct config *config, int first_fd,
	int passed, size_t fd_limit) {
	struct bridge *bridge = calloc(1, sizeof(*bridge));
	struct web_site *site = NULL;
	if(!bridge) {
		return -ENOMEM;
	}
	bridge_init(bridge, loop, fd_limit);
	int result = resolver_open(&bridge->env.resolver, loop, config->settings.resolver);
	if(result) {
		log_write(LOG_ERROR, "name lookup: cannot start (resolver = %s): %s",
			config->settings.resolver ? config->settings.resolver
						  : "as the system is configured",
			strerror(-result));
		goto fail;
	}
	result = open_site(&config->settings, &site);
	if(result) {
		goto fail;
	}
	result = bridge_listen(bridge, &config->settings, first_fd, passed);
	if(result) {
		web_site_close(site);
		goto fail;
	}
	bridge_adopt(bridge, config, site);
	log_write(LOG_INFO, "at most %zu connections at once", max_clients(bridge));
	*out = bridge;
	return 0;
fail:
	bridge_close(bridge);
	return result;
}

const struct config *bridge_config(const struct bridge *bridge) {
	return &bridge->config;
}

/* ---- stopping ---- */

static void drop_all(struct bridge *bridge) {
	while(bridge->env.connections.next != &bridge->env.connections) {
		connection_close(LOOP_OWNER(bridge->env.connections.next, struct connection, link));
	}
}

static void grace_over(struct ev_timer *timer) {
	struct bridge *bridge = LOOP_OWNER(timer, struct bridge, grace);
	log_write(LOG_NOTICE, "%zu connections have not ended in time (grace), they are dropped",
		bridge->count);
	drop_all(bridge);
}

void bridge_stop(struct bridge *bridge) {
	struct loop *loop = bridge->env.loop;
	if(bridge->env.draining) {
		drop_all(bridge);
		return;
	}
	bridge->env.draining = true;
	listeners_close(&bridge->listeners);
	loop_timer_cancel(loop, &bridge->retry);
	tell_connections(bridge, true);
	if(bridge->count == 0) {
		loop->stop = true;
		return;
	}
	bridge->grace.fn = grace_over;
	if(loop_timer_set(loop, &bridge->grace, loop->now_ms + bridge->config.settings.grace_ms)) {
		drop_all(bridge);
	}
}

void bridge_close(struct bridge *bridge) {
	if(!bridge) {
		return;
	}
	drop_all(bridge);
	listeners_close(&bridge->listeners);
	loop_timer_cancel(bridge->env.loop, &bridge->retry);
	loop_timer_cancel(bridge->env.loop, &bridge->grace);
	resolver_close(bridge->env.resolver);
	web_site_close(bridge->env.web);
	config_free(&bridge->config);
	/* Listeners and connections that were buried here have no pointer back into it. */
	free(bridge);
}
