/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting to peers.
 *
 * Must not know: WebSocket, connections.
 * Invariants: at most two lookups run for one connect; the first attempt that connects wins and ends all others;
 * the callback comes once and never from within connect_start().
 * Implements RFC 8305 sections 3 (both families asked at once, resolution delay), 4 (interleaving) and 5
 * (staggered attempts).
 */
#include "network/connect.h"

#include "base/address.h"
#include "network.h"
#include "network/datagram.h"
#include "network/fifo.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PEER_RESOLUTION_DELAY_MS 50 /* RFC 8305, section 3: how long IPv4 waits for IPv6 */
#define PEER_ATTEMPT_DELAY_MS 250 /* RFC 8305, section 5 */
#define PEER_UNIX_RETRY_MS 20 /* when the queue of a Unix socket is full */

static const struct stream_ops *const kind_ops[PEER_KINDS] = {
	[PEER_TCP] = &stream_tcp_ops,
	[PEER_TLS] = &stream_tcp_ops,
	[PEER_UDP] = &datagram_ops,
	[PEER_UNIX] = &stream_unix_ops,
	[PEER_UNIX_DGRAM] = &datagram_ops,
	[PEER_FIFO_TX] = &fifo_tx_ops,
	[PEER_FIFO_RX] = &fifo_rx_ops,
};

/* One address that is being tried. */
struct attempt {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct connect *connect;
};

enum family {
	FAMILY_6,
	FAMILY_4,
	FAMILIES
};

/* What is known of one address family. */
struct candidates {
	struct connect *connect;
	struct resolve_query *query; /* running, or NULL */
	struct resolve_address *address;
	size_t count;
	size_t next; /* the first that has not been tried */
};

struct connect {
	struct loop *loop;
	connect_fn *fn;
	void *ctx;
	enum peer_kind kind;
	int fd; /* connected and not registered; -1: none */
	struct attempt *winner;
	struct list attempts;
	struct candidates family[FAMILIES];
	enum family turn; /* whose address is next */
	struct ev_timer timer; /* the next attempt may begin */
	const struct peer_address *unix_address; /* to be tried again: the caller's */
	bool begun; /* attempts have begun: no more waiting for the other family */
	int error; /* of what failed last */
	const char *why;
	struct deferred_free dead;
};

static void attempt_free(struct deferred_free *dead) {
	free(container_of(dead, struct attempt, dead));
}

static void attempt_end(struct attempt *attempt) {
	struct loop *loop = attempt->connect->loop;
	list_remove(&attempt->link);
	loop_close_io(loop, &attempt->io);
	attempt->dead.free = attempt_free;
	loop_defer_free(loop, &attempt->dead);
}

static void connect_stop(struct connect *connect) {
	loop_timer_cancel(connect->loop, &connect->timer);
	for(int i = 0; i < FAMILIES; i++) {
		if(connect->family[i].query) {
			resolve_cancel(connect->family[i].query);
			connect->family[i].query = NULL;
		}
	}
	for(struct list *at = connect->attempts.next; at != &connect->attempts;) {
		struct attempt *attempt = container_of(at, struct attempt, link);
		at = at->next;
		if(attempt != connect->winner) {
			attempt_end(attempt);
		}
	}
}

static void connect_note(struct connect *connect, int error, const char *why) {
	connect->error = error;
	connect->why = why ? why : strerror(-error);
}

static void connect_done(struct connect *connect, int error) {
	connect_stop(connect);
	connect->fn(connect->ctx, error, error ? connect->why : NULL);
}

static struct resolve_address *next_address(struct connect *connect) {
	for(int i = 0; i < FAMILIES; i++) {
		struct candidates *family = &connect->family[connect->turn];
		connect->turn = connect->turn == FAMILY_6 ? FAMILY_4 : FAMILY_6;
		if(family->next < family->count) {
			return &family->address[family->next++];
		}
	}
	return NULL;
}

static bool connect_has_more(const struct connect *connect) {
	for(int i = 0; i < FAMILIES; i++) {
		const struct candidates *family = &connect->family[i];
		if(family->query || family->next < family->count) {
			return true;
		}
	}
	return false;
}

static void attempt_run(struct ev_io *io);

/* Registers a socket whose connect() is under way. */
static int attempt_add(struct connect *connect, int fd) {
	struct attempt *attempt = calloc(1, sizeof(*attempt));
	if(!attempt) {
		return -ENOMEM;
	}
	attempt->connect = connect;
	int result = loop_add(connect->loop, &attempt->io, fd, 0, LOOP_OUT, attempt_run);
	if(result) {
		free(attempt);
		return result;
	}
	list_append(&connect->attempts, &attempt->link);
	return 0;
}

/* Starts one address. 0: connected at once (connect->fd); -EINPROGRESS; or why not. */
static int attempt_start(struct connect *connect, const struct sockaddr *address, socklen_t len) {
	int type = peer_is_datagram(connect->kind) ? SOCK_DGRAM : SOCK_STREAM;
	int fd = network_socket(address->sa_family, type);
	if(fd < 0) {
		return fd;
	}
	if(connect->kind == PEER_TCP || connect->kind == PEER_TLS) {
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

/* Tries addresses until one is under way. 0: connected; -EINPROGRESS: wait; else: all have failed. */
static int connect_next(struct connect *connect) {
	struct resolve_address *address;
	while((address = next_address(connect))) {
		int result = attempt_start(connect, &address->u.any, address->len);
		if(result == 0) {
			return 0;
		}
		if(result == -EINPROGRESS) {
			uint64_t due_ms = connect->loop->now_ms + PEER_ATTEMPT_DELAY_MS;
			loop_timer_set(connect->loop, &connect->timer, due_ms);
			return -EINPROGRESS;
		}
		connect_note(connect, result, NULL);
	}
	bool waiting = connect_has_more(connect) || connect->attempts.next != &connect->attempts;
	return waiting ? -EINPROGRESS : connect->error;
}

static void connect_go_on(struct connect *connect) {
	connect->begun = true;
	int result = connect_next(connect);
	if(result != -EINPROGRESS) {
		connect_done(connect, result);
	}
}

static void unix_again(struct connect *connect);

static void connect_due(struct ev_timer *timer) {
	struct connect *connect = container_of(timer, struct connect, timer);
	if(connect->unix_address) {
		unix_again(connect);
	} else {
		connect_go_on(connect);
	}
}

static void attempt_run(struct ev_io *io) {
	struct attempt *attempt = container_of(io, struct attempt, io);
	struct connect *connect = attempt->connect;
	/* Without a hang-up being able to write is proof enough. */
	int result = io->ready & LOOP_HUP ? network_connect_result(io->fd) : 0;
	if(result) {
		connect_note(connect, result, NULL);
		attempt_end(attempt);
		connect_go_on(connect);
		return;
	}
	connect->winner = attempt;
	connect_done(connect, 0);
}

/* IPv6 begins at once; IPv4 gives a slower IPv6 answer a moment (RFC 8305, section 3). */
static void connect_answered(struct connect *connect, const struct candidates *family) {
	bool other_runs = connect->family[FAMILY_6].query || connect->family[FAMILY_4].query;
	bool idle = connect->attempts.next == &connect->attempts;
	if(connect->begun) {
		/* Late addresses join the queue, and begin at once if nothing is under way or it had its time. */
		if(idle || !connect->timer.slot) {
			connect_go_on(connect);
		}
	} else if(family->count == 0) {
		if(!other_runs || connect->timer.slot) {
			connect_go_on(connect);
		}
	} else if(family == &connect->family[FAMILY_4] && other_runs) {
		uint64_t due_ms = connect->loop->now_ms + PEER_RESOLUTION_DELAY_MS;
		loop_timer_set(connect->loop, &connect->timer, due_ms);
	} else {
		connect_go_on(connect);
	}
}

static void lookup_done(void *ctx, const struct resolve_answer *answer) {
	struct candidates *family = ctx;
	struct connect *connect = family->connect;
	family->query = NULL;
	if(answer->error) {
		/* "No address of this family" must not hide why the other family failed. */
		if(!connect->why || answer->error != -ENOENT) {
			connect_note(connect, answer->error, answer->why);
		}
	} else {
		family->address = calloc(answer->count, sizeof(*family->address));
		if(family->address) {
			memcpy(family->address, answer->address,
				answer->count * sizeof(*family->address));
			family->count = answer->count;
		} else {
			connect_note(connect, -ENOMEM, NULL);
		}
	}
	connect_answered(connect, family);
}

static int lookup_start(
	struct connect *connect, struct resolver *resolver, const struct peer_address *address) {
	static const int families[FAMILIES] = {[FAMILY_6] = AF_INET6, [FAMILY_4] = AF_INET};
	for(int i = 0; i < FAMILIES; i++) {
		struct candidates *family = &connect->family[i];
		int result = resolve_start(resolver, address->host, address->port, families[i],
			lookup_done, family, &family->query);
		if(result) {
			return result;
		}
	}
	return -EINPROGRESS;
}

/* A literal needs no lookup. -ENOENT: it is none. */
static int connect_literal(struct connect *connect, const struct peer_address *address) {
	struct sockaddr_in plain = {.sin_family = AF_INET, .sin_port = htons(address->port)};
	if(inet_pton(AF_INET, address->host, &plain.sin_addr) == 1) {
		/* What most peers are costs a tenth of the general way. */
		connect->begun = true;
		return attempt_start(connect, (const struct sockaddr *)&plain, sizeof(plain));
	}
	char service[8];
	snprintf(service, sizeof(service), "%u", address->port);
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	if(getaddrinfo(address->host, service, &hints, &list)) {
		return -ENOENT;
	}
	connect->begun = true;
	int result = attempt_start(connect, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return result;
}

static int connect_network(
	struct connect *connect, const struct peer_address *address, struct resolver *resolver) {
	int result = connect_literal(connect, address);
	return result == -ENOENT ? lookup_start(connect, resolver, address) : result;
}

static int connect_unix(struct connect *connect, const struct peer_address *address) {
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(address->host);
	assert(len <= ADDRESS_UNIX_MAX);
	memcpy(to.sun_path, address->host, len);
	socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if(to.sun_path[0] == '@') {
		to.sun_path[0] = '\0';
	} else {
		to_len++;
	}
	int result = attempt_start(connect, (const struct sockaddr *)&to, to_len);
	if(result == -EAGAIN) {
		/* Its queue is full. TCP would wait in the kernel; here nothing tells when there is room. */
		connect->unix_address = address;
		uint64_t due_ms = connect->loop->now_ms + PEER_UNIX_RETRY_MS;
		loop_timer_set(connect->loop, &connect->timer, due_ms);
		return -EINPROGRESS;
	}
	if(result == 0 && connect->kind == PEER_UNIX_DGRAM) {
		/* An address of our own, chosen by the kernel, so that the service can answer (unix(7)). */
		struct sockaddr_un own = {.sun_family = AF_UNIX};
		if(bind(connect->fd, (const struct sockaddr *)&own, sizeof(sa_family_t)) < 0) {
			return -errno;
		}
	}
	return result;
}

static void unix_again(struct connect *connect) {
	int result = connect_unix(connect, connect->unix_address);
	if(result != -EINPROGRESS) {
		if(result) {
			connect_note(connect, result, NULL);
		}
		connect_done(connect, result);
	}
}

static int connect_fifo(
	struct connect *connect, const struct peer_address *address, const char **why) {
	int mode = connect->kind == PEER_FIFO_TX ? O_WRONLY : O_RDONLY;
	struct stat status;
	/* Looked at first, since opening a device may have effects; and again, since it may have changed. */
	if(stat(address->host, &status) < 0) {
		return -errno;
	}
	if(S_ISFIFO(status.st_mode)) {
		connect->fd = open(address->host, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if(connect->fd < 0) {
			*why = errno == ENXIO ? "no process has the fifo open for reading" : NULL;
			return -errno;
		}
		if(fstat(connect->fd, &status) < 0) {
			return -errno;
		}
	}
	if(!S_ISFIFO(status.st_mode)) {
		*why = "the path is no fifo";
		return -EINVAL;
	}
	return 0;
}

static void free_connect(struct deferred_free *dead) {
	struct connect *connect = container_of(dead, struct connect, dead);
	for(int i = 0; i < FAMILIES; i++) {
		free(connect->family[i].address);
	}
	free(connect);
}

static int connect_begin(struct connect *connect, const struct peer_address *address,
	struct resolver *resolver, const char **why) {
	switch(address->kind) {
	case PEER_TCP:
	case PEER_TLS:
	case PEER_UDP:
		return connect_network(connect, address, resolver);
	case PEER_UNIX:
	case PEER_UNIX_DGRAM:
		return connect_unix(connect, address);
	case PEER_FIFO_TX:
	case PEER_FIFO_RX:
		return connect_fifo(connect, address, why);
	default:
		return -EINVAL;
	}
}

int connect_start(struct connect **out, const struct peer_address *address, struct loop *loop,
	struct resolver *resolver, connect_fn *fn, void *ctx, const char **why) {
	struct connect *connect = calloc(1, sizeof(*connect));
	*why = NULL;
	if(!connect) {
		*why = strerror(ENOMEM);
		return -ENOMEM;
	}
	*connect = (struct connect){
		.loop = loop,
		.fn = fn,
		.ctx = ctx,
		.kind = address->kind,
		.fd = -1,
	};
	list_init(&connect->attempts);
	for(int i = 0; i < FAMILIES; i++) {
		connect->family[i].connect = connect;
	}
	int result = loop_timer_open(loop, &connect->timer, connect_due);
	if(result == 0) {
		result = connect_begin(connect, address, resolver, why);
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

int connect_take(struct connect *connect, struct stream *stream, stream_fn *fn) {
	const struct stream_ops *ops = kind_ops[connect->kind];
	int result = 0;
	if(connect->winner) {
		stream_adopt(stream, connect->loop, &connect->winner->io, ops, fn);
		attempt_end(connect->winner);
		connect->winner = NULL;
	} else {
		result = stream_open(stream, connect->loop, connect->fd, ops, fn);
		connect->fd = -1;
	}
	stream->datagram = peer_is_datagram(connect->kind);
	return result;
}

void connect_free(struct connect *connect) {
	if(!connect) {
		return;
	}
	connect->winner = NULL;
	connect_stop(connect);
	loop_timer_close(connect->loop, &connect->timer);
	if(connect->fd >= 0) {
		close(connect->fd);
	}
	connect->dead.free = free_connect;
	loop_defer_free(connect->loop, &connect->dead);
}
