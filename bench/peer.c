/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The service behind the bridge under test: echo, sink and source, as each request says.
 *
 *   peer LISTEN
 *
 * Must not know: WebSocket; what stands between it and the load.
 * Invariants: a connection is read only while nothing for it is unsent; every byte that a sink gets
 * is compared with the pattern; a request is answered in the order in which it came.
 */
#include "pattern.h"
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PEER_BUFFER (256 * 1024)
#define PEER_EVENTS 256

struct client {
	int fd;
	uint32_t wanted; /* epoll events */
	uint8_t head[sizeof(struct pattern_request)]; /* of the request that is arriving */
	size_t head_len;
	struct pattern_request request;
	uint64_t left; /* bytes of the request that are still to come */
	uint64_t bytes; /* for the report */
	uint64_t wrong;
	uint64_t source_seed;
	uint64_t source_at; /* next byte to send */
	uint64_t source_end;
	uint8_t *tail; /* unsent */
	size_t tail_at;
	size_t tail_len;
};

struct peer {
	int epoll_fd;
	int listener;
	uint8_t *buffer;
	uint8_t *source;
};

static void client_close(struct client *client) {
	close(client->fd);
	free(client->tail);
	free(client);
}

static bool client_send(struct client *client, const void *data, size_t len) {
	const uint8_t *bytes = data;
	ssize_t sent = client->tail_len > 0 ? 0 : sockets_send(client->fd, data, len);
	if(sent < 0 && sent != -EAGAIN) {
		return false;
	}
	size_t done = sent < 0 ? 0 : (size_t)sent;
	if(done == len) {
		return true;
	}
	size_t rest = len - done;
	uint8_t *tail = malloc(client->tail_len + rest);
	if(!tail) {
		return false;
	}
	if(client->tail_len > 0) {
		memcpy(tail, client->tail + client->tail_at, client->tail_len);
	}
	memcpy(tail + client->tail_len, bytes + done, rest);
	free(client->tail);
	client->tail = tail;
	client->tail_at = 0;
	client->tail_len += rest;
	return true;
}

static bool tail_flush(struct client *client) {
	ssize_t sent = sockets_send(client->fd, client->tail + client->tail_at, client->tail_len);
	if(sent < 0) {
		return sent == -EAGAIN;
	}
	client->tail_at += (size_t)sent;
	client->tail_len -= (size_t)sent;
	if(client->tail_len == 0) {
		free(client->tail);
		client->tail = NULL;
	}
	return true;
}

static bool source_pump(struct peer *peer, struct client *client) {
	uint64_t left = client->source_end - client->source_at;
	size_t len = left < PEER_BUFFER ? (size_t)left : PEER_BUFFER;
	pattern_fill(peer->source, len, client->source_seed, client->source_at, 0);
	ssize_t sent = sockets_send(client->fd, peer->source, len);
	if(sent < 0) {
		return sent == -EAGAIN;
	}
	client->source_at += (uint64_t)sent;
	return true;
}

static bool request_begin(struct client *client) {
	memcpy(&client->request, client->head, sizeof(client->request));
	const struct pattern_request *request = &client->request;
	client->head_len = 0;
	client->bytes = 0;
	client->wrong = 0;
	if(request->magic != PATTERN_MAGIC) {
		fprintf(stderr, "peer: bytes that are not a request\n");
		return false;
	}
	switch(request->mode) {
	case PATTERN_ECHO:
	case PATTERN_SINK:
		client->left = request->length;
		return true;
	case PATTERN_SOURCE:
		if(client->source_at == client->source_end) {
			client->source_at = request->start;
			client->source_end = request->start;
			client->source_seed = request->seed;
		}
		client->source_end += request->length;
		return request->start + request->length == client->source_end;
	default:
		return false;
	}
}

static size_t head_take(struct client *client, const uint8_t *data, size_t len) {
	size_t room = sizeof(client->head) - client->head_len;
	size_t take = len < room ? len : room;
	memcpy(client->head + client->head_len, data, take);
	client->head_len += take;
	return take;
}

static bool sink_take(struct client *client, const uint8_t *data, size_t len) {
	const struct pattern_request *request = &client->request;
	if(!pattern_matches(data, len, request->seed, request->start + client->bytes)) {
		client->wrong++;
	}
	client->bytes += len;
	if(client->left > 0) {
		return true;
	}
	struct pattern_report report = {request->start, client->bytes, client->wrong};
	return client_send(client, &report, sizeof(report));
}

static bool client_take(struct client *client, const uint8_t *data, size_t len) {
	while(len > 0) {
		size_t take;
		bool fine = true;
		if(client->left == 0) {
			take = head_take(client, data, len);
			if(client->head_len == sizeof(client->head)) {
				fine = request_begin(client);
			}
		} else {
			take = client->left < len ? (size_t)client->left : len;
			client->left -= take;
			fine = client->request.mode == PATTERN_ECHO
				? client_send(client, data, take)
				: sink_take(client, data, take);
		}
		if(!fine) {
			return false;
		}
		data += take;
		len -= take;
	}
	return true;
}

static bool client_read(struct peer *peer, struct client *client) {
	ssize_t got = sockets_recv(client->fd, peer->buffer, PEER_BUFFER);
	if(got <= 0) {
		return got == -EAGAIN;
	}
	return client_take(client, peer->buffer, (size_t)got);
}

static bool client_want(struct peer *peer, struct client *client) {
	uint32_t wanted = client->tail_len > 0 ? (uint32_t)EPOLLOUT : (uint32_t)EPOLLIN;
	if(client->source_at < client->source_end) {
		wanted |= EPOLLOUT;
	}
	if(wanted == client->wanted) {
		return true;
	}
	struct epoll_event event = {.events = wanted, .data.ptr = client};
	client->wanted = wanted;
	return epoll_ctl(peer->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) == 0;
}

static void client_event(struct peer *peer, struct client *client, uint32_t events) {
	bool fine = true;
	if(events & EPOLLOUT) {
		if(client->tail_len > 0) {
			fine = tail_flush(client);
		} else if(client->source_at < client->source_end) {
			fine = source_pump(peer, client);
		}
	}
	if(fine && client->tail_len == 0 && (events & ~(uint32_t)EPOLLOUT)) {
		fine = client_read(peer, client);
	}
	if(!fine || !client_want(peer, client)) {
		client_close(client);
	}
}

static void accept_all(struct peer *peer) {
	int fd;
	while((fd = sockets_accept(peer->listener)) >= 0) {
		struct client *client = calloc(1, sizeof(*client));
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		if(!client || epoll_ctl(peer->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
			sockets_die("peer");
		}
		client->fd = fd;
		client->wanted = EPOLLIN;
	}
	if(errno == EMFILE || errno == ENFILE) {
		sockets_die("peer"); /* waiting for descriptors would spoil every figure */
	}
}

int main(int argc, char **argv) {
	struct peer peer;
	if(argc != 2) {
		fprintf(stderr, "Usage: peer LISTEN\n");
		return 2;
	}
	struct sockaddr_in address = sockets_parse(argv[1]);
	sockets_raise_limit();
	peer.buffer = malloc(PEER_BUFFER);
	peer.source = malloc(PEER_BUFFER);
	peer.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	peer.listener = sockets_listen(&address);
	struct epoll_event listening = {.events = EPOLLIN};
	if(!peer.buffer || !peer.source || peer.epoll_fd < 0 ||
		epoll_ctl(peer.epoll_fd, EPOLL_CTL_ADD, peer.listener, &listening) < 0) {
		sockets_die("peer");
	}
	for(;;) {
		struct epoll_event events[PEER_EVENTS];
		int count = epoll_wait(peer.epoll_fd, events, PEER_EVENTS, -1);
		for(int i = 0; i < count; i++) {
			if(events[i].data.ptr) {
				client_event(&peer, events[i].data.ptr, events[i].events);
			} else {
				accept_all(&peer);
			}
		}
	}
}
