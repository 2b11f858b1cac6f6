/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asynchronous name lookup.
 *
 * Must not know: what the addresses are for.
 * Invariants: every query gets exactly one callback from c-ares, also when the channel is destroyed, and is
 * freed there or, if it was answered before resolve_start() returned, when that answer has been delivered;
 * c-ares closes its sockets itself, after it has said so.
 */
#include "network/resolve.h"

#include "base/log.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define RESOLVE_TIMEOUT_MS 2000 /* for the first try of a server; c-ares backs off from there */
#define RESOLVE_TRIES 3

struct resolver {
	struct loop *loop;
	ares_channel channel;
	struct ev_timer timer;
	struct list sockets;
	size_t running; /* queries that c-ares has not called back for */
	char *servers;
	bool stale; /* to be set up anew when nothing is running */
};

struct resolve_socket {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct resolver *resolver;
	int fd;
};

struct resolve_query {
	struct resolver *resolver;
	resolve_fn *fn; /* NULL: cancelled */
	void *ctx;
	struct loop_task task; /* delivers an answer that came at once */
	struct deferred_free dead;
	bool starting;
	bool answered;
	uint16_t port;
	int error;
	const char *why;
	size_t count;
	union address *address;
};

static void socket_free(struct deferred_free *dead) {
	free(container_of(dead, struct resolve_socket, dead));
}

static void query_free(struct deferred_free *dead) {
	struct resolve_query *query = container_of(dead, struct resolve_query, dead);
	free(query->address);
	free(query);
}

/* After every call into c-ares: when does it want to be called without an event? */
static void resolver_arm(struct resolver *resolver) {
	struct timeval room;
	struct timeval *next = ares_timeout(resolver->channel, NULL, &room);
	if(!next) {
		loop_timer_cancel(resolver->loop, &resolver->timer);
		return;
	}
	uint64_t wait_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
	loop_timer_set(resolver->loop, &resolver->timer, resolver->loop->now_ms + wait_ms);
}

static void resolver_expired(struct ev_timer *timer) {
	struct resolver *resolver = container_of(timer, struct resolver, timer);
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	resolver_arm(resolver);
}

static void socket_run(struct ev_io *io) {
	struct resolve_socket *sock = container_of(io, struct resolve_socket, io);
	struct resolver *resolver = sock->resolver;
	ares_socket_t in = io->ready & LOOP_IN ? sock->fd : ARES_SOCKET_BAD;
	ares_socket_t out = io->ready & LOOP_OUT ? sock->fd : ARES_SOCKET_BAD;
	ares_process_fd(resolver->channel, in, out);
	resolver_arm(resolver);
}

static struct resolve_socket *socket_find(struct resolver *resolver, int fd) {
	for(struct list *at = resolver->sockets.next; at != &resolver->sockets; at = at->next) {
		struct resolve_socket *sock = container_of(at, struct resolve_socket, link);
		if(sock->fd == fd) {
			return sock;
		}
	}
	return NULL;
}

static void socket_add(struct resolver *resolver, int fd, unsigned want) {
	struct resolve_socket *sock = calloc(1, sizeof(*sock));
	if(!sock || loop_add_level(resolver->loop, &sock->io, fd, want, socket_run)) {
		/* The lookup then runs into its timeout and the connection gets its answer from that. */
		log_write(LOG_ERROR, "name lookup: cannot wait for a socket");
		free(sock);
		return;
	}
	sock->resolver = resolver;
	sock->fd = fd;
	list_append(&resolver->sockets, &sock->link);
}

/* c-ares says what it waits for. Nothing at all: it is about to close the socket. */
static void socket_changed(void *ctx, ares_socket_t fd, int readable, int writable) {
	struct resolver *resolver = ctx;
	struct resolve_socket *sock = socket_find(resolver, fd);
	unsigned want = (readable ? LOOP_IN : 0) | (writable ? LOOP_OUT : 0);
	if(!sock) {
		if(want) {
			socket_add(resolver, fd, want);
		}
		return;
	}
	if(want) {
		loop_want(resolver->loop, &sock->io, want);
		return;
	}
	loop_remove(resolver->loop, &sock->io);
	list_remove(&sock->link);
	sock->dead.free = socket_free;
	loop_defer_free(resolver->loop, &sock->dead);
}

static int channel_open(struct resolver *resolver) {
	struct ares_options options = {
		.timeout = RESOLVE_TIMEOUT_MS,
		.tries = RESOLVE_TRIES,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = resolver,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	int status = ares_init_options(&resolver->channel, &options, mask);
	if(status != ARES_SUCCESS) {
		resolver->channel = NULL;
		return status == ARES_ENOMEM ? -ENOMEM : -EIO;
	}
	if(resolver->servers) {
		status = ares_set_servers_ports_csv(resolver->channel, resolver->servers);
		if(status != ARES_SUCCESS) {
			return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
		}
	}
	return 0;
}

static void channel_close(struct resolver *resolver) {
	if(resolver->channel) {
		ares_destroy(resolver->channel);
		resolver->channel = NULL;
	}
	loop_timer_cancel(resolver->loop, &resolver->timer);
}

static void resolver_refresh(struct resolver *resolver) {
	if(!resolver->stale || resolver->running > 0) {
		return;
	}
	ares_channel before = resolver->channel;
	int result = channel_open(resolver);
	if(result) {
		if(resolver->channel) {
			ares_destroy(resolver->channel);
		}
		resolver->channel = before;
		log_write(LOG_ERROR,
			"name lookup: cannot read the new settings (%s), the old ones stay",
			strerror(-result));
	} else {
		ares_destroy(before);
	}
	resolver->stale = false;
}

static void query_deliver(struct resolve_query *query) {
	if(query->fn) {
		struct resolve_answer answer = {
			.error = query->error,
			.why = query->why,
			.count = query->count,
			.address = query->address,
		};
		query->fn(query->ctx, &answer);
	}
	query->dead.free = query_free;
	loop_defer_free(query->resolver->loop, &query->dead);
}

static void query_due(struct loop_task *task) {
	query_deliver(container_of(task, struct resolve_query, task));
}

static void query_fail(struct resolve_query *query, int status) {
	query->error = -EIO;
	query->why = ares_strerror(status);
	switch(status) {
	case ARES_ENOTFOUND:
	case ARES_ENODATA:
		query->error = -ENOENT;
		query->why = "no such host name";
		break;
	case ARES_ENOMEM:
		query->error = -ENOMEM;
		break;
	case ARES_ETIMEOUT:
		query->error = -ETIMEDOUT;
		query->why = "no name server answered";
		break;
	default:
		break;
	}
}

static void query_collect(struct resolve_query *query, const struct ares_addrinfo *info) {
	size_t count = 0;
	for(const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		count++;
	}
	if(count == 0) {
		query_fail(query, ARES_ENODATA);
		return;
	}
	query->address = calloc(count, sizeof(*query->address));
	if(!query->address) {
		query_fail(query, ARES_ENOMEM);
		return;
	}
	for(const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		union address *address = &query->address[query->count];
		*address = address_of(node->ai_addr);
		if(address_is_ip(address)) {
			address_set_port(address, query->port);
			query->count++;
		}
	}
}

static void query_done(void *ctx, int status, int timeouts, struct ares_addrinfo *info) {
	struct resolve_query *query = ctx;
	(void)timeouts;
	query->resolver->running--;
	query->answered = true;
	if(status == ARES_SUCCESS) {
		query_collect(query, info);
	} else {
		query_fail(query, status);
	}
	if(info) {
		ares_freeaddrinfo(info);
	}
	if(!query->starting) {
		query_deliver(query);
	}
}

int resolver_open(struct resolver **out, struct loop *loop, const char *servers) {
	if(ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		return -ENOMEM;
	}
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int result = -ENOMEM;
	if(!resolver) {
		goto fail_library;
	}
	resolver->loop = loop;
	list_init(&resolver->sockets);
	if(servers) {
		resolver->servers = strdup(servers);
		if(!resolver->servers) {
			goto fail_resolver;
		}
	}
	result = loop_timer_open(loop, &resolver->timer, resolver_expired);
	if(result == 0) {
		result = channel_open(resolver);
	}
	if(result) {
		goto fail_resolver;
	}
	*out = resolver;
	return 0;
fail_resolver:
	channel_close(resolver);
	free(resolver->servers);
	free(resolver);
fail_library:
	ares_library_cleanup();
	return result;
}

void resolver_close(struct resolver *resolver) {
	if(!resolver) {
		return;
	}
	channel_close(resolver);
	assert(resolver->running == 0);
	loop_timer_close(resolver->loop, &resolver->timer);
	free(resolver->servers);
	free(resolver);
	ares_library_cleanup();
}

int resolver_reload(struct resolver *resolver, const char *servers) {
	char *copy = servers ? strdup(servers) : NULL;
	if(servers && !copy) {
		return -ENOMEM;
	}
	free(resolver->servers);
	resolver->servers = copy;
	resolver->stale = true;
	return 0;
}

/* "localhost" and what is below it, RFC 6761, section 6.3. */
static bool is_localhost(const char *host) {
	static const char name[] = "localhost";
	const size_t name_len = sizeof(name) - 1;
	size_t len = strlen(host);
	if(len > 0 && host[len - 1] == '.') {
		len--;
	}
	if(len < name_len || strncasecmp(host + len - name_len, name, name_len) != 0) {
		return false;
	}
	return len == name_len || host[len - name_len - 1] == '.';
}

/* No server and no file is asked for these. (c-ares 1.18 leaks memory with each such question.) */
static void query_loopback(struct resolve_query *query, int family) {
	query->answered = true;
	query->address = calloc(1, sizeof(*query->address));
	if(!query->address) {
		query_fail(query, ARES_ENOMEM);
		return;
	}
	query->count = 1;
	if(family == AF_INET6) {
		query->address->in6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	} else {
		query->address->in = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	address_set_port(query->address, query->port);
}

static void query_ask(struct resolve_query *query, const char *host, int family) {
	struct resolver *resolver = query->resolver;
	struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	resolver_refresh(resolver);
	resolver->running++;
	query->starting = true;
	ares_getaddrinfo(resolver->channel, host, NULL, &hints, query_done, query);
	query->starting = false;
	resolver_arm(resolver);
}

int resolve_start(struct resolver *resolver, const char *host, uint16_t port, int family,
	resolve_fn *fn, void *ctx, struct resolve_query **out) {
	struct resolve_query *query = calloc(1, sizeof(*query));
	if(!query) {
		return -ENOMEM;
	}
	*query = (struct resolve_query){
		.resolver = resolver,
		.fn = fn,
		.ctx = ctx,
		.task.fn = query_due,
		.port = port,
	};
	if(is_localhost(host)) {
		query_loopback(query, family);
	} else {
		query_ask(query, host, family);
	}
	if(query->answered) {
		loop_next_turn(resolver->loop, &query->task);
	}
	*out = query;
	return 0;
}

void resolve_cancel(struct resolve_query *query) {
	query->fn = NULL;
	if(list_is_linked(&query->task.link)) {
		/* Answered already: nothing else would free it. */
		loop_task_cancel(&query->task);
		query_deliver(query);
	}
}
