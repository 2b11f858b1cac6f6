/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bridge.
 *
 * Must not know: frames, HTTP.
 * Invariants: `count` is the number of connections in env.connections; a reload either takes over everything
 * or changes nothing; the loop stops when a stopping bridge has no connection left.
 */
#include "bridge/bridge.h"

#include "base/cidr.h"
#include "base/log.h"
#include "bridge/connection.h"
#include "bridge/handshake.h"
#include "bridge/relay.h"
#include "config/certificates.h"
#include "http/site.h"
#include "http/verifier.h"
#include "network/listener.h"
#include "network/resolve.h"
#include "network/tls_cache.h"
#include "network/tls_credentials.h"
#include "network/watch.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BRIDGE_OVER_LIMIT 64 /* connections above the limit that live long enough to be told 503 */
#define BRIDGE_RESERVED 64 /* descriptors that are no client's and no peer's */

/* How many connections an address has. */
struct ip_counter {
	uint64_t key[2];
	size_t count;
};

struct bridge {
	struct connection_env env;
	struct config config;
	struct listeners listeners;
	struct watch *watch; /* of the certificate files; NULL: there are none */
	struct tls_cache tls_cache; /* a reload empties it */
	struct ev_timer grace;
	void *ip_counters; /* tsearch(3) tree of struct ip_counter */
	size_t count;
	size_t over_limit; /* of them, those that are above a limit and will be told 503 */
	size_t fd_limit;
};

/* ---- who is let in ---- */

static size_t max_clients(const struct bridge *bridge) {
	size_t limit = bridge->config.settings.max_clients;
	size_t reserved = BRIDGE_RESERVED + BRIDGE_OVER_LIMIT;
	if(limit > 0) {
		return limit;
	}
	/* A client and its peer are two descriptors. */
	return bridge->fd_limit > reserved + 2 ? (bridge->fd_limit - reserved) / 2 : 1;
}

static int ip_counter_compare(const void *a, const void *b) {
	const struct ip_counter *left = a;
	const struct ip_counter *right = b;
	return memcmp(left->key, right->key, sizeof(left->key));
}

/* An IPv4 address, or the first half of an IPv6 address: one customer has a /64. */
static bool ip_counter_key(const union address *address, struct ip_counter *out) {
	*out = (struct ip_counter){0};
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
static bool ip_counter_enter(struct bridge *bridge, struct connection *connection) {
	size_t limit = bridge->config.settings.max_clients_per_ip;
	struct ip_counter key;
	if(limit == 0 || !ip_counter_key(&connection->address, &key)) {
		return true;
	}
	struct ip_counter **found = tfind(&key, &bridge->ip_counters, ip_counter_compare);
	if(!found) {
		struct ip_counter *fresh = malloc(sizeof(*fresh));
		if(!fresh) {
			return false;
		}
		*fresh = key;
		found = tsearch(fresh, &bridge->ip_counters, ip_counter_compare);
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

static void ip_counter_leave(struct bridge *bridge, const struct connection *connection) {
	struct ip_counter key;
	if(!connection->counted || !ip_counter_key(&connection->address, &key)) {
		return;
	}
	struct ip_counter **found = tfind(&key, &bridge->ip_counters, ip_counter_compare);
	struct ip_counter *counter = *found;
	if(--counter->count == 0) {
		tdelete(counter, &bridge->ip_counters, ip_counter_compare);
		free(counter);
	}
}

static bool connection_at_limit(const struct connection *connection) {
	const struct bridge *bridge = container_of(connection->env, struct bridge, env);
	size_t limit = bridge->config.settings.max_clients_per_ip;
	struct ip_counter key;
	if(bridge->env.full) {
		return true;
	}
	if(!connection->counted || !ip_counter_key(&connection->address, &key)) {
		return false;
	}
	struct ip_counter *const *found = tfind(&key, &bridge->ip_counters, ip_counter_compare);
	return limit > 0 && (*found)->count >= limit;
}

static void note_full(struct bridge *bridge) {
	bridge->env.full = bridge->count - bridge->over_limit >= max_clients(bridge);
}

static void connection_gone(struct connection *connection) {
	struct bridge *bridge = container_of(connection->env, struct bridge, env);
	ip_counter_leave(bridge, connection);
	bridge->count--;
	bridge->over_limit -= connection->over_limit;
	note_full(bridge);
	if(bridge->env.draining && bridge->count == 0) {
		bridge->env.loop->stop = true;
	}
}

/* Makes it one that will be told 503; closes it if too many wait for that already. False: it is closed. */
static bool set_over_limit(struct bridge *bridge, struct connection *connection) {
	connection->over_limit = true;
	bridge->over_limit++;
	if(bridge->over_limit > BRIDGE_OVER_LIMIT) {
		connection_close(connection);
		return false;
	}
	note_full(bridge);
	return true;
}

/* Whom a proxy stands for is known when its request head has come, and only then it counts. */
static void connection_identified(struct connection *connection) {
	struct bridge *bridge = container_of(connection->env, struct bridge, env);
	if(!connection->over_limit && !ip_counter_enter(bridge, connection)) {
		set_over_limit(bridge, connection);
	}
}

/* Too many of them are told so; far too many are not even that. */
static void admit(
	struct listeners *listeners, int fd, const struct sockaddr *address, socklen_t len) {
	struct bridge *bridge = container_of(listeners, struct bridge, listeners);
	bool full = bridge->env.full;
	if(full && bridge->over_limit >= BRIDGE_OVER_LIMIT) {
		close(fd);
		return;
	}
	struct connection *connection = connection_new(&bridge->env, fd, address, len);
	if(!connection) {
		return;
	}
	bridge->count++;
	connection->proxied =
		cidr_list_contains(bridge->config.settings.trusted, &connection->address.any);
	note_full(bridge);
	bool welcome = !full && (connection->proxied || ip_counter_enter(bridge, connection));
	if(welcome || set_over_limit(bridge, connection)) {
		handshake_begin(connection);
	}
}

/* ---- configuration ---- */

static int open_site(const struct settings *settings, struct site **out) {
	const char *error;
	*out = NULL;
	if(!settings->web) {
		return 0;
	}
	int result = site_open(settings->web, out, &error);
	if(result) {
		log_write(LOG_ERROR, "web: \"%s\": %s", settings->web, error);
		return result;
	}
	site_set_listing(*out, settings->web_listing);
	return 0;
}

/* Once there have been users the thread stays, idle without them. */
static int open_auth(struct bridge *bridge, const struct config *config) {
	if(!config->users || bridge->env.auth) {
		return 0;
	}
	int result = verifier_open(&bridge->env.auth, bridge->env.loop);
	if(result) {
		log_write(LOG_ERROR,
			"auth-file: cannot start the thread that verifies passwords: %s",
			strerror(-result));
	}
	return result;
}

static void use_tls(struct bridge *bridge) {
	bridge->env.tls = bridge->config.tls;
	bridge->env.tls_detect = bridge->config.settings.tls == SETTINGS_TLS_AUTO;
}

/* The certificate files have changed. New connections get the new ones, if they are fine. */
static void certificates_changed(void *ctx) {
	struct bridge *bridge = ctx;
	struct tls_credentials *fresh;
	struct tls_error error;
	if(!bridge->config.tls) {
		return; /* switched off since */
	}
	if(certificates_open(&bridge->config.settings, &fresh, &error)) {
		log_write(LOG_ERROR, "%s: %s; the old certificates stay in use", error.option,
			error.text);
		return;
	}
	tls_credentials_unref(bridge->config.tls);
	bridge->config.tls = fresh;
	use_tls(bridge);
	log_write(LOG_NOTICE, "the certificates have been read again");
}

/* Without a watch SIGHUP still reads them. */
static void watch_certificates(struct bridge *bridge) {
	const struct settings *settings = &bridge->config.settings;
	const char **paths = calloc(settings->cert.count + settings->key.count + 1, sizeof(*paths));
	size_t count = 0;
	int result = paths ? 0 : -ENOMEM;
	for(size_t i = 0; paths && i < settings->cert.count; i++) {
		paths[count++] = settings->cert.at[i];
	}
	for(size_t i = 0; paths && i < settings->key.count; i++) {
		paths[count++] = settings->key.at[i];
	}
	if(paths && settings->client_ca) {
		paths[count++] = settings->client_ca;
	}
	/* With tls = off they are not read. */
	count = bridge->config.tls ? count : 0;
	if(!bridge->watch && count > 0) {
		result = watch_open(&bridge->watch, bridge->env.loop, certificates_changed, bridge);
	}
	if(bridge->watch && result == 0) {
		result = watch_files(bridge->watch, count, paths);
	}
	free(paths);
	if(result) {
		log_write(LOG_WARNING, "cannot watch the certificates: %s", strerror(-result));
	}
}

/* The point of no return: what the new configuration needs is there. */
static void bridge_adopt(struct bridge *bridge, struct config *config, struct site *site) {
	config_free(&bridge->config);
	bridge->config = *config;
	*config = (struct config){0};
	site_close(bridge->env.web);
	bridge->env.web = site;
	bridge->env.settings = &bridge->config.settings;
	bridge->env.backend = bridge->config.backend;
	if(bridge->env.auth) {
		verifier_set_passwords(bridge->env.auth, bridge->config.users);
	}
	tls_cache_clear(&bridge->tls_cache);
	use_tls(bridge);
	watch_certificates(bridge);
	note_full(bridge);
}

static void tell_connections(struct bridge *bridge, bool stop) {
	for(struct list *at = bridge->env.connections.next; at != &bridge->env.connections;) {
		struct connection *connection = container_of(at, struct connection, link);
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
	const struct settings *settings = &config->settings;
	struct site *site;
	int result = open_site(settings, &site);
	if(result) {
		return result;
	}
	result = open_auth(bridge, config);
	if(result == 0) {
		result = listeners_open(
			&bridge->listeners, settings->listens, settings->listen, settings->port);
	}
	if(result) {
		site_close(site);
		return result;
	}
	int resolver_error = resolver_reload(bridge->env.resolver, settings->resolver);
	if(resolver_error) {
		log_write(LOG_ERROR,
			"name lookup: cannot read the new settings (%s), the old ones stay",
			strerror(-resolver_error));
	}
	bridge_adopt(bridge, config, site);
	tell_connections(bridge, false);
	return 0;
}

static void drop_all(struct bridge *bridge) {
	while(bridge->env.connections.next != &bridge->env.connections) {
		connection_close(
			container_of(bridge->env.connections.next, struct connection, link));
	}
}

static void grace_over(struct ev_timer *timer) {
	struct bridge *bridge = container_of(timer, struct bridge, grace);
	log_write(LOG_NOTICE, "%zu connections have not ended in time (grace), they are dropped",
		bridge->count);
	drop_all(bridge);
}

static int bridge_init(struct bridge *bridge, struct loop *loop, size_t fd_limit) {
	bridge->fd_limit = fd_limit;
	tls_cache_init(&bridge->tls_cache);
	list_init(&bridge->env.connections);
	bridge->env.tls_cache = &bridge->tls_cache;
	bridge->env.loop = loop;
	bridge->env.opened = relay_open;
	bridge->env.handshake_free = handshake_free;
	bridge->env.gone = connection_gone;
	bridge->env.identified = connection_identified;
	bridge->env.at_limit = connection_at_limit;
	bridge->env.handlers[CONNECTION_HEAD] = &handshake_head_handlers;
	bridge->env.handlers[CONNECTION_AUTH] = &handshake_auth_handlers;
	bridge->env.handlers[CONNECTION_CONNECT] = &handshake_connect_handlers;
	bridge->env.handlers[CONNECTION_RESPONSE] = &handshake_response_handlers;
	bridge->env.handlers[CONNECTION_OPEN] = &relay_open_handlers;
	bridge->env.handlers[CONNECTION_CLOSING] = &relay_closing_handlers;
	bridge->env.handlers[CONNECTION_LINGER] = &connection_linger_handlers;
	int result = listeners_init(&bridge->listeners, loop, admit);
	return result ? result : loop_timer_open(loop, &bridge->grace, grace_over);
}

int bridge_open(struct bridge **out, struct loop *loop, struct config *config, int first_fd,
	int passed, size_t fd_limit) {
	struct bridge *bridge = calloc(1, sizeof(*bridge));
	struct site *site = NULL;
	if(!bridge) {
		log_write(LOG_ERROR, "cannot start: out of memory");
		return -ENOMEM;
	}
	int result = bridge_init(bridge, loop, fd_limit);
	if(result) {
		log_write(LOG_ERROR, "cannot start: out of memory");
		goto fail;
	}
	result = resolver_open(&bridge->env.resolver, loop, config->settings.resolver);
	if(result) {
		log_write(LOG_ERROR, "name lookup: cannot start (resolver = %s): %s",
			config->settings.resolver ? config->settings.resolver
						  : "as the system is configured",
			strerror(-result));
		goto fail;
	}
	result = open_auth(bridge, config);
	if(result == 0) {
		result = open_site(&config->settings, &site);
	}
	if(result) {
		goto fail;
	}
	if(passed > 0) {
		result = listeners_take(&bridge->listeners, first_fd, passed);
	} else {
		result = listeners_open(&bridge->listeners, config->settings.listens,
			config->settings.listen, config->settings.port);
	}
	if(result) {
		site_close(site);
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

bool bridge_is_stopping(const struct bridge *bridge) {
	return bridge->env.draining;
}

const struct config *bridge_config(const struct bridge *bridge) {
	return &bridge->config;
}

/* ---- stopping ---- */

void bridge_stop(struct bridge *bridge) {
	struct loop *loop = bridge->env.loop;
	if(bridge->env.draining) {
		drop_all(bridge);
		return;
	}
	bridge->env.draining = true;
	listeners_close(&bridge->listeners);
	tell_connections(bridge, true);
	if(bridge->count == 0) {
		loop->stop = true;
		return;
	}
	loop_timer_set(loop, &bridge->grace, loop->now_ms + bridge->config.settings.grace_ms);
}

void bridge_close(struct bridge *bridge) {
	if(!bridge) {
		return;
	}
	drop_all(bridge);
	listeners_close(&bridge->listeners);
	watch_close(bridge->watch);
	loop_timer_close(bridge->env.loop, &bridge->grace);
	verifier_close(bridge->env.auth);
	resolver_close(bridge->env.resolver);
	site_close(bridge->env.web);
	tls_cache_clear(&bridge->tls_cache);
	config_free(&bridge->config);
	/* Listeners and connections that were buried here have no pointer back into it. */
	free(bridge);
}
