/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting to peers.
 *
 * Must not know: WebSocket, connections.
 * Invariants: the first attempt that connects wins and ends all others; the callback comes once and
 * never from within connect_start(); the number of attempts is bounded.
 * Implements RFC 8305 sections 3 (resolution delay) and 5 (staggered attempts).
 */
#include "network/connect.h"

#include "base/address.h"
#include "base/passes.h"
#include "network.h"
#include "network/candidates.h"
#include "network/connect_internal.h"
#include "network/datagram.h"
#include "network/exec.h"
#include "network/peer.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_RESOLUTION_DELAY_MS 50 /* RFC 8305, section 3: how long IPv4 waits for IPv6 */
#define CONNECT_ATTEMPT_DELAY_MS 250 /* RFC 8305, section 5 */
#define CONNECT_ATTEMPTS_MAX 4 /* under way at the same time: each is a descriptor */

static void attempt_free(struct deferred_free *dead) {
	free(container_of(dead, struct attempt, dead));
}

static void attempt_end(struct attempt *attempt) {
	struct loop *loop = attempt->connect->owner.loop;
	list_remove(&attempt->link);
	attempt->connect->under_way--;
	loop_close_io(loop, &attempt->io);
	attempt->dead.free = attempt_free;
	loop_defer_free(loop, &attempt->dead);
}

static void connect_stop(struct connect *connect) {
	loop_timer_cancel(connect->owner.loop, &connect->timer);
	announced_cancel(&connect->waiter);
	candidates_cancel(&connect->candidates);
	for(struct list *at = connect->attempts.next; at != &connect->attempts;) {
		struct attempt *attempt = container_of(at, struct attempt, link);
		at = at->next;
		if(attempt != connect->winner) {
			attempt_end(attempt);
		}
	}
}

void connect_note(struct connect *connect, int error, const char *why) {
	connect->error = error;
	connect->why = why ? why : strerror(-error);
}

void connect_done(struct connect *connect, int error) {
	connect_stop(connect);
	connect->owner.fn(connect->owner.ctx, error, error ? connect->why : NULL);
}

static void attempt_run(struct ev_io *io);

/* Registers a socket whose connect() is under way. */
static int attempt_add(struct connect *connect, int fd) {
	struct attempt *attempt = calloc(1, sizeof(*attempt));
	if(!attempt) {
		return -ENOMEM;
	}
	attempt->connect = connect;
	int result = loop_add(connect->owner.loop, &attempt->io, fd, 0, LOOP_OUT, attempt_run);
	if(result) {
		free(attempt);
		return result;
	}
	list_append(&connect->attempts, &attempt->link);
	connect->under_way++;
	return 0;
}

int connect_attempt(struct connect *connect, const struct sockaddr *address, socklen_t len) {
	int fd = network_socket(address->sa_family, connect->kind->socket_type);
	if(fd < 0) {
		return fd;
	}
	connect->local_peer = address->sa_family == AF_UNIX;
	if(!connect->local_peer && connect->kind->socket_type == SOCK_STREAM) {
		network_tune(fd);
	}
	int result = network_connect(fd, address, len);
	if(result == 0) {
		connect->fd = fd;
		return 0;
	}
	if(result == -EINPROGRESS) {
		result = attempt_add(connect, fd);
		if(result == 0) {
			return -EINPROGRESS;
		}
	}
	close(fd);
	return result;
}

/*
 * Tries addresses until one is under way. 0: connected; -EINPROGRESS: wait; else: all have failed.
 */
static int connect_next(struct connect *connect) {
	const union address *address;
	if(connect->under_way == CONNECT_ATTEMPTS_MAX) {
		return -EINPROGRESS; /* the next begins when one of them has failed */
	}
	PASSES(addresses, CANDIDATES_MAX + 1);
	while((address = candidates_next(&connect->candidates))) {
		PASS(addresses);
		int result = connect_attempt(connect, &address->any, address_size(address));
		if(result == 0) {
			return 0;
		}
		if(result == -EINPROGRESS) {
			uint64_t due_ms = connect->owner.loop->now_ms + CONNECT_ATTEMPT_DELAY_MS;
			loop_timer_set(connect->owner.loop, &connect->timer, due_ms);
			return -EINPROGRESS;
		}
		connect_note(connect, result, NULL);
	}
	bool waiting = candidates_has_more(&connect->candidates) || connect->under_way > 0;
	return waiting ? -EINPROGRESS : connect->error;
}

static void connect_go_on(struct connect *connect) {
	connect->begun = true;
	int result = connect_next(connect);
	if(result != -EINPROGRESS) {
		connect_done(connect, result);
	}
}

static void connect_due(struct ev_timer *timer) {
	struct connect *connect = container_of(timer, struct connect, timer);
	if(connect->again) {
		connect->again(connect);
	} else {
		connect_go_on(connect);
	}
}

static void attempt_failed(struct connect *connect) {
	if(connect->failed) {
		connect->failed(connect);
	} else {
		connect_go_on(connect);
	}
}

static void attempt_run(struct ev_io *io) {
	struct attempt *attempt = container_of(io, struct attempt, io);
	struct connect *connect = attempt->connect;
	/* Writable without a hang-up: it is connected. */
	int result = io->ready & LOOP_HUP ? network_connect_result(io->fd) : 0;
	if(result) {
		connect_note(connect, result, NULL);
		attempt_end(attempt);
		attempt_failed(connect);
		return;
	}
	connect->winner = attempt;
	connect_done(connect, 0);
}

/*
 * IPv6 begins at once; IPv4 gives a slower IPv6 answer a moment (RFC 8305, section 3). Datagrams
 * wait for either: a socket that is connected without a packet does not show that the first address
 * works.
 */
static void connect_answered(struct connect *connect, const struct candidates_answer *answer) {
	bool other_runs = candidates_is_waiting(&connect->candidates);
	bool idle = connect->under_way == 0;
	if(connect->begun) {
		/*
		 * Late addresses join the queue, and begin at once if nothing is under way or it
		 * had its time.
		 */
		if(idle || !connect->timer.slot) {
			connect_go_on(connect);
		}
	} else if(answer->count == 0) {
		if(!other_runs || connect->timer.slot) {
			connect_go_on(connect);
		}
	} else if(other_runs && (answer->family == CANDIDATES_IPV4 || connect->kind->messages)) {
		uint64_t due_ms = connect->owner.loop->now_ms + CONNECT_RESOLUTION_DELAY_MS;
		loop_timer_set(connect->owner.loop, &connect->timer, due_ms);
	} else {
		connect_go_on(connect);
	}
}

static void lookup_done(void *ctx, const struct candidates_answer *answer) {
	struct connect *connect = ctx;
	/* "No address of this family" must not hide why the other family failed. */
	if(answer->error && (!connect->why || answer->error != -ENOENT)) {
		connect_note(connect, answer->error, answer->why);
	}
	connect_answered(connect, answer);
}

int connect_network(struct connect *connect, const struct peer_address *address, const char **why) {
	union address literal;
	struct slice zone = {0};
	if(address->ip4.any.sa_family == AF_INET) {
		literal = address->ip4;
	} else if(address_parse_zone(text_slice(address->host), &literal, &zone)) {
		int result = candidates_start(&connect->candidates, connect->owner.resolver,
			address->host, address->port);
		return result ? result : -EINPROGRESS;
	}
	if(zone.len > 0) {
		literal.in6.sin6_scope_id = network_zone(zone);
		if(literal.in6.sin6_scope_id == 0) {
			*why = "no network interface has the name of the zone behind the %";
			return -ENODEV;
		}
	}
	address_set_port(&literal, address->port);
	connect->begun = true;
	return connect_attempt(connect, &literal.any, address_size(&literal));
}

static void free_connect(struct deferred_free *dead) {
	struct connect *connect = container_of(dead, struct connect, dead);
	candidates_free(&connect->candidates);
	free(connect);
}

int connect_start(struct connect **out, const struct peer_address *address,
	const struct connect_owner *owner, const char **why) {
	struct connect *connect = calloc(1, sizeof(*connect));
	*why = NULL;
	if(!connect) {
		*why = strerror(ENOMEM);
		return -ENOMEM;
	}
	*connect = (struct connect){.owner = *owner, .kind = address->kind, .fd = -1};
	list_init(&connect->attempts);
	candidates_init(&connect->candidates, lookup_done, connect);
	int result = loop_timer_open(owner->loop, &connect->timer, connect_due);
	if(result == 0) {
		result = address->kind->connect(connect, address, why);
	}
	if(result == 0 || result == -EINPROGRESS) {
		*out = connect;
		return result;
	}
	connect_free(connect);
	if(!*why) {
		*why = strerror(-result);
	}
	return result;
}

/* The addresses that have not been tried, for a service that refuses the first datagrams. */
static void keep_others(struct connect *connect, struct stream *stream) {
	union address others[CANDIDATES_MAX];
	const union address *address;
	size_t count = 0;
	while((address = candidates_next(&connect->candidates))) {
		others[count++] = *address;
	}
	datagram_set_others(stream, others, count);
}

/* Where the row of the kind does not tell. */
static const struct stream_ops *ops_of(const struct connect *connect) {
	if(connect->exec) {
		return exec_ops(connect->exec);
	}
	const struct stream_ops *other = connect->local_peer ? &stream_unix_ops : &stream_tcp_ops;
	return connect->kind->ops ? connect->kind->ops : other;
}

int connect_take(struct connect *connect, struct stream *stream, stream_fn *fn) {
	const struct stream_ops *ops = ops_of(connect);
	int result = 0;
	if(connect->winner) {
		stream_adopt(stream, connect->owner.loop, &connect->winner->io, ops, fn);
		attempt_end(connect->winner);
		connect->winner = NULL;
	} else {
		result = stream_open(stream, connect->owner.loop, connect->fd, ops, fn);
		connect->fd = -1;
	}
	stream->datagram = connect->kind->messages;
	if(result == 0 && stream->datagram) {
		keep_others(connect, stream);
	} else if(result == 0 && connect->exec) {
		exec_attach(connect->exec, stream);
		connect->exec = NULL;
	}
	return result;
}

void connect_free(struct connect *connect) {
	if(!connect) {
		return;
	}
	connect->winner = NULL;
	connect_stop(connect);
	loop_timer_close(connect->owner.loop, &connect->timer);
	if(connect->fd >= 0) {
		close(connect->fd);
	}
	exec_drop(connect->exec);
	connect->dead.free = free_connect;
	loop_defer_free(connect->owner.loop, &connect->dead);
}
