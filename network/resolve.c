/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Asynchronous name lookup.
 *
 * Must not know: what the addresses are for.
 * Invariants: every query gets exactly one callback from c-ares, also when the channel is destroyed, and is
 * freed there or, if it was answered before resolve_start() returned, when that answer has been delivered;
 * c-ares closes its sockets itself, after it has said so; a channel is destroyed outside of c-ares and after its last
 * query.
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

/* What c-ares keeps together: settings, sockets and running queries. */
struct channel {
	struct resolver *resolver;
	ares_channel ares;
	struct ev_timer timer;
	struct list sockets;
	struct list link; /* in the resolver's list of old channels */
	size_t running; /* queries that c-ares has not called back for */
	bool old; /* a reload has put another in its place: ends with its last query */
};

struct resolver {
	struct loop *loop;
	struct channel *channel; /* for new queries */
	struct list old;
};

struct resolve_socket {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct channel *channel;
	int fd;
};

struct resolve_query {
	struct resolver *resolver;
	struct channel *channel;
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
static void channel_arm(struct channel *channel) {
	struct loop *loop = channel->resolver->loop;
	struct timeval room;
	struct timeval *next = ares_timeout(channel->ares, NULL, &room);
	if(!next) {
		loop_timer_cancel(loop, &channel->timer);
		return;
	}
	uint64_t wait_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
	loop_timer_set(loop, &channel->timer, loop->now_ms + wait_ms);
}

/* Calls back for every running query. */
static void channel_close(struct channel *channel) {
	ares_destroy(channel->ares);
	assert(channel->running == 0);
	loop_timer_close(channel->resolver->loop, &channel->timer);
	if(channel->old) {
		list_remove(&channel->link);
	}
	free(channel);
}

/* Lets c-ares work. An old channel may end with that, never within c-ares. */
static void channel_process(struct channel *channel, ares_socket_t in, ares_socket_t out) {
	ares_process_fd(channel->ares, in, out);
	if(channel->old && channel->running == 0) {
		channel_close(channel);
	} else {
		channel_arm(channel);
	}
}

static void channel_due(struct ev_timer *timer) {
	channel_process(
		container_of(timer, struct channel, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void socket_run(struct ev_io *io) {
	struct resolve_socket *sock = container_of(io, struct resolve_socket, io);
	ares_socket_t in = io->ready & LOOP_IN ? sock->fd : ARES_SOCKET_BAD;
	ares_socket_t out = io->ready & LOOP_OUT ? sock->fd : ARES_SOCKET_BAD;
	channel_process(sock->channel, in, out);
}

static struct resolve_socket *socket_find(struct channel *channel, int fd) {
	for(struct list *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
		struct resolve_socket *sock = container_of(at, struct resolve_socket, link);
		if(sock->fd == fd) {
			return sock;
		}
	}
	return NULL;
}

static void socket_add(struct channel *channel, int fd, unsigned want) {
	struct loop *loop = channel->resolver->loop;
	struct resolve_socket *sock = calloc(1, sizeof(*sock));
	if(!sock || loop_add_level(loop, &sock->io, fd, want, socket_run)) {
		/* The query ends with its timeout. */
		log_write(LOG_ERROR, "name lookup: cannot wait for a socket");
		free(sock);
		return;
	}
	sock->channel = channel;
	sock->fd = fd;
	list_append(&channel->sockets, &sock->link);
}

/* c-ares says what it waits for. Nothing at all: it is about to close the socket. */
static void socket_changed(void *ctx, ares_socket_t fd, int readable, int writable) {
	struct channel *channel = ctx;
	struct loop *loop = channel->resolver->loop;
	struct resolve_socket *sock = socket_find(channel, fd);
	unsigned want = (readable ? LOOP_IN : 0) | (writable ? LOOP_OUT : 0);
	if(!sock) {
		if(want) {
			socket_add(channel, fd, want);
		}
		return;
	}
	if(want) {
		loop_want(loop, &sock->io, want);
		return;
	}
	loop_remove(loop, &sock->io);
	list_remove(&sock->link);
	sock->dead.free = socket_free;
	loop_defer_free(loop, &sock->dead);
}

static int errno_of(int status) {
	return status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static int channel_start(struct channel *channel, const char *servers) {
	struct ares_options options = {
		.timeout = RESOLVE_TIMEOUT_MS,
		.tries = RESOLVE_TRIES,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = channel,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	int status = ares_init_options(&channel->ares, &options, mask);
	if(status != ARES_SUCCESS) {
		return errno_of(status);
	}
	status = servers ? ares_set_servers_ports_csv(channel->ares, servers) : ARES_SUCCESS;
	if(status == ARES_SUCCESS) {
		return 0;
	}
	ares_destroy(channel->ares);
	return status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static int channel_open(struct channel **out, struct resolver *resolver, const char *servers) {
	struct channel *channel = calloc(1, sizeof(*channel));
	if(!channel) {
		return -ENOMEM;
	}
	channel->resolver = resolver;
	list_init(&channel->sockets);
	int result = loop_timer_open(resolver->loop, &channel->timer, channel_due);
	if(result == 0) {
		result = channel_start(channel, servers);
	}
	if(result) {
		loop_timer_close(resolver->loop, &channel->timer);
		free(channel);
		return result;
	}
	*out = channel;
	return 0;
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
	query->channel->running--;
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
	if(resolver) {
		resolver->loop = loop;
		list_init(&resolver->old);
		result = channel_open(&resolver->channel, resolver, servers);
	}
	if(result) {
		free(resolver);
		ares_library_cleanup();
		return result;
	}
	*out = resolver;
	return 0;
}

void resolver_close(struct resolver *resolver) {
	if(!resolver) {
		return;
	}
	channel_close(resolver->channel);
	while(resolver->old.next != &resolver->old) {
		channel_close(container_of(resolver->old.next, struct channel, link));
	}
	free(resolver);
	ares_library_cleanup();
}

int resolver_reload(struct resolver *resolver, const char *servers) {
	struct channel *before = resolver->channel;
	int result = channel_open(&resolver->channel, resolver, servers);
	if(result) {
		return result;
	}
	before->old = true;
	list_append(&resolver->old, &before->link);
	if(before->running == 0) {
		channel_close(before);
	}
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
	struct channel *channel = query->resolver->channel;
	struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	query->channel = channel;
	channel->running++;
	query->starting = true;
	ares_getaddrinfo(channel->ares, host, NULL, &hints, query_done, query);
	query->starting = false;
	channel_arm(channel);
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
