/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The yardstick: forwards TCP connections to a TCP peer with as little work as two ordinary sockets
 * allow.
 *
 *   rawfwd [--splice] LISTEN PEER        addresses as 127.0.0.1:8001
 *
 * Must not know: WebSocket, or anything about the bytes.
 * Invariants: a descriptor is registered once, edge-triggered for everything; a side is read only
 * while nothing of what it said is unsent; bytes are copied only when the other side's kernel
 * buffer is full. With --splice payload goes through a pipe for each direction and never enters the
 * process.
 */
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RAWFWD_BUFFER (256 * 1024) /* one read; the same as the daemon's */
#define RAWFWD_PIPE (1024 * 1024) /* asked for; the kernel may give less */
#define RAWFWD_EVENTS 256 /* the same as the daemon's */
#define RAWFWD_READS 4 /* of one side before others get their turn; the same as the daemon's */

struct pair;

struct side {
	struct pair *pair;
	int fd;
	bool readable; /* reading is worth a try */
	bool writable;
	bool hung_up; /* read to the end: a short read proves nothing */
	bool ended; /* the end has been read */
	bool shut; /* its write side has been shut down */
	/* what this side said and the other one has not taken */
	uint8_t *tail;
	size_t tail_at;
	size_t tail_len;
	int pipe[2]; /* --splice; -1: none yet */
	size_t piped;
};

struct pair {
	struct side side[2]; /* client, peer */
	bool dead;
	bool queued;
	struct pair *next; /* in the run queue or on the dead list */
};

struct rawfwd {
	int epoll_fd;
	int listener;
	struct sockaddr_in peer;
	bool splice;
	uint8_t *buffer;
	struct pair *dead;
	struct pair *run; /* pairs that have used up their turn */
};

static struct side *other_side(struct side *side) {
	struct pair *pair = side->pair;
	return side == &pair->side[0] ? &pair->side[1] : &pair->side[0];
}

static void side_close(struct side *side) {
	free(side->tail);
	side->tail = NULL;
	if(side->fd >= 0) {
		close(side->fd);
	}
	if(side->pipe[0] >= 0) {
		close(side->pipe[0]);
		close(side->pipe[1]);
	}
}

static void pair_close(struct rawfwd *rawfwd, struct pair *pair) {
	if(!pair->dead) {
		pair->dead = true;
		side_close(&pair->side[0]);
		side_close(&pair->side[1]);
		if(!pair->queued) {
			pair->next = rawfwd->dead;
			rawfwd->dead = pair;
		}
	}
}

static bool side_has_unsent(const struct side *side) {
	return side->tail_len > 0 || side->piped > 0;
}

static bool side_keep(struct side *side, const uint8_t *data, size_t len) {
	side->tail = malloc(len);
	if(!side->tail) {
		return false;
	}
	memcpy(side->tail, data, len);
	side->tail_at = 0;
	side->tail_len = len;
	return true;
}

/* Sends what is kept of `side`. False: broken. */
static bool tail_flush(struct side *side) {
	struct side *to = other_side(side);
	ssize_t sent = sockets_send(to->fd, side->tail + side->tail_at, side->tail_len);
	if(sent < 0 && sent != -EAGAIN) {
		return false;
	}
	if(sent > 0) {
		side->tail_at += (size_t)sent;
		side->tail_len -= (size_t)sent;
	}
	if(side->tail_len > 0) {
		to->writable = false;
		return true;
	}
	free(side->tail);
	side->tail = NULL;
	return true;
}

static bool pipe_flush(struct side *side) {
	struct side *to = other_side(side);
	while(side->piped > 0 && to->writable) {
		ssize_t sent = splice(side->pipe[0], NULL, to->fd, NULL, side->piped,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if(sent > 0) {
			side->piped -= (size_t)sent;
		} else if(sent < 0 && errno == EAGAIN) {
			to->writable = false;
		} else {
			return false;
		}
	}
	return true;
}

/* One read into the shared buffer and one write. False: broken. */
static bool copy_once(struct rawfwd *rawfwd, struct side *side) {
	struct side *to = other_side(side);
	ssize_t got = sockets_recv(side->fd, rawfwd->buffer, RAWFWD_BUFFER);
	if(got <= 0) {
		side->readable = false;
		side->ended = got == 0;
		return got == 0 || got == -EAGAIN;
	}
	if(got < RAWFWD_BUFFER && !side->hung_up) {
		side->readable = false;
	}
	ssize_t sent = to->writable ? sockets_send(to->fd, rawfwd->buffer, (size_t)got) : 0;
	if(sent == got) {
		return true;
	}
	if(sent < 0 && sent != -EAGAIN) {
		return false;
	}
	to->writable = false;
	sent = sent < 0 ? 0 : sent;
	return side_keep(side, rawfwd->buffer + sent, (size_t)(got - sent));
}

static bool side_has_pipe(struct side *side) {
	if(side->pipe[0] < 0) {
		if(pipe2(side->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
			side->pipe[0] = -1;
			return false;
		}
		fcntl(side->pipe[1], F_SETPIPE_SZ, RAWFWD_PIPE);
	}
	return true;
}

/* The pipe is empty here, so EAGAIN can only mean the socket. False: broken. */
static bool splice_once(struct side *side) {
	if(!side_has_pipe(side)) {
		return false;
	}
	ssize_t got = splice(side->fd, NULL, side->pipe[1], NULL, RAWFWD_PIPE,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if(got > 0) {
		side->piped = (size_t)got;
		return pipe_flush(side);
	}
	side->readable = false;
	side->ended = got == 0;
	return got == 0 || errno == EAGAIN;
}

static bool flush_side(struct side *side) {
	if(!other_side(side)->writable) {
		return true;
	}
	return side->tail_len > 0 ? tail_flush(side) : pipe_flush(side);
}

/* One direction: what is kept first, then new bytes. False: broken. */
static bool side_run(struct rawfwd *rawfwd, struct side *side) {
	if(side_has_unsent(side) && !flush_side(side)) {
		return false;
	}
	for(int i = 0; i < RAWFWD_READS && side->readable && !side_has_unsent(side); i++) {
		if(!(rawfwd->splice ? splice_once(side) : copy_once(rawfwd, side))) {
			return false;
		}
	}
	struct side *to = other_side(side);
	if(side->ended && !to->shut && !side_has_unsent(side)) {
		to->shut = true;
		shutdown(to->fd, SHUT_WR);
	}
	return true;
}

static bool side_can_go_on(const struct side *side) {
	return side->readable && !side_has_unsent(side);
}

static void pair_run(struct rawfwd *rawfwd, struct pair *pair) {
	struct side *client = &pair->side[0];
	struct side *peer = &pair->side[1];
	if(!side_run(rawfwd, client) || !side_run(rawfwd, peer) || (client->shut && peer->shut)) {
		pair_close(rawfwd, pair);
		return;
	}
	if(!pair->queued && (side_can_go_on(client) || side_can_go_on(peer))) {
		pair->queued = true;
		pair->next = rawfwd->run;
		rawfwd->run = pair;
	}
}

static void side_event(struct rawfwd *rawfwd, struct side *side, uint32_t events) {
	if(side->pair->dead) {
		return;
	}
	if(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		side->readable = !side->ended;
	}
	if(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		side->hung_up = true;
	}
	if(events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		side->writable = true;
	}
	pair_run(rawfwd, side->pair);
}

static bool side_register(struct rawfwd *rawfwd, struct side *side) {
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = side};
	return epoll_ctl(rawfwd->epoll_fd, EPOLL_CTL_ADD, side->fd, &event) == 0;
}

static void side_init(struct side *side, struct pair *pair, int fd) {
	*side = (struct side){.pair = pair, .fd = fd, .pipe = {-1, -1}};
}

static void pair_open(struct rawfwd *rawfwd, int client_fd) {
	struct pair *pair = calloc(1, sizeof(*pair));
	if(!pair) {
		close(client_fd);
		return;
	}
	side_init(&pair->side[0], pair, client_fd);
	side_init(&pair->side[1], pair, sockets_connect(&rawfwd->peer));
	pair->side[0].writable = true;
	if(pair->side[1].fd < 0 || !side_register(rawfwd, &pair->side[0]) ||
		!side_register(rawfwd, &pair->side[1])) {
		pair_close(rawfwd, pair);
	}
}

static void accept_all(struct rawfwd *rawfwd) {
	int fd;
	while((fd = sockets_accept(rawfwd->listener)) >= 0) {
		pair_open(rawfwd, fd);
	}
}

static void run_queued(struct rawfwd *rawfwd) {
	struct pair *pair = rawfwd->run;
	rawfwd->run = NULL;
	while(pair) {
		struct pair *next = pair->next;
		pair->queued = false;
		if(pair->dead) {
			pair->next = rawfwd->dead;
			rawfwd->dead = pair;
		} else {
			pair_run(rawfwd, pair);
		}
		pair = next;
	}
}

static void free_dead(struct rawfwd *rawfwd) {
	while(rawfwd->dead) {
		struct pair *pair = rawfwd->dead;
		rawfwd->dead = pair->next;
		free(pair);
	}
}

static void turn(struct rawfwd *rawfwd) {
	struct epoll_event events[RAWFWD_EVENTS];
	int count = epoll_wait(rawfwd->epoll_fd, events, RAWFWD_EVENTS, rawfwd->run ? 0 : -1);
	if(count < 0 && errno != EINTR) {
		sockets_die("epoll_wait");
	}
	run_queued(rawfwd);
	for(int i = 0; i < count; i++) {
		if(events[i].data.ptr) {
			side_event(rawfwd, events[i].data.ptr, events[i].events);
		} else {
			accept_all(rawfwd);
		}
	}
	free_dead(rawfwd);
}

int main(int argc, char **argv) {
	struct rawfwd rawfwd = {.splice = argc > 1 && strcmp(argv[1], "--splice") == 0};
	if(argc - rawfwd.splice != 3) {
		fprintf(stderr, "Usage: rawfwd [--splice] LISTEN PEER\n");
		return 2;
	}
	struct sockaddr_in address = sockets_parse(argv[argc - 2]);
	rawfwd.peer = sockets_parse(argv[argc - 1]);
	sockets_raise_limit();
	rawfwd.buffer = malloc(RAWFWD_BUFFER);
	rawfwd.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rawfwd.listener = sockets_listen(&address);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	if(!rawfwd.buffer || rawfwd.epoll_fd < 0 ||
		epoll_ctl(rawfwd.epoll_fd, EPOLL_CTL_ADD, rawfwd.listener, &event) < 0) {
		sockets_die("rawfwd");
	}
	for(;;) {
		turn(&rawfwd);
	}
}
