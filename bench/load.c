/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load generator: clients of the bridge under test, WebSocket or raw TCP, plain or over TLS,
 * one workload for each run.
 *
 *   load [options] MODE ADDRESS          see usage()
 *
 * Must not know: which bridge it talks to.
 * Invariants: every payload byte that comes back is compared with the pattern; a message that was
 * begun is waited for, so what is missing at the end was lost; setting up is not measured.
 * wire_recv(), wire_send() and wire_finish() are the only places that touch a socket's bytes.
 */
#include "histogram.h"
#include "pattern.h"
#include "secure.h"
#include "sockets.h"
#include "wsclient.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOAD_BUFFER (256 * 1024)
#define LOAD_EVENTS 256
#define LOAD_OPENING 64 /* connections that are being set up at once */
#define LOAD_GRACE_NS UINT64_C(20000000000) /* for what is under way at the end */
#define LOAD_SETUP_NS UINT64_C(60000000000) /* for opening all connections */
#define LOAD_COUNT_NS UINT64_C(120000000000) /* limit of a run by count: a bridge may hang */
#define LOAD_HEAD 1024 /* longest answer to the opening request */
#define LOAD_AHEAD 2 /* segments that a source is asked for in advance */
#define LOAD_CIPHER "TLS_AES_128_GCM_SHA256"
#define LOAD_MASK UINT32_C(0x5AC3917E)
#define LOAD_ENDLESS (UINT64_C(1) << 62) /* more than an echo is ever asked for */
#define LOAD_SLOW_BYTES (UINT64_C(256) << 20) /* that a client which does not read is sent */

enum load_mode {
	LOAD_ECHO,
	LOAD_UP,
	LOAD_DOWN,
	LOAD_CONNECT,
	LOAD_IDLE,
	LOAD_SLOW,
	LOAD_MODES
};

static const char *const mode_names[LOAD_MODES] = {
	[LOAD_ECHO] = "echo",
	[LOAD_UP] = "up",
	[LOAD_DOWN] = "down",
	[LOAD_CONNECT] = "connect",
	[LOAD_IDLE] = "idle",
	[LOAD_SLOW] = "slow",
};

enum load_phase {
	/* connections are opened and prove with one byte that the way to the peer is open */
	PHASE_SETUP,
	PHASE_READY, /* waiting for the word to go */
	PHASE_RUN,
	PHASE_DRAIN, /* nothing new is begun */
	PHASE_HELD, /* the result is out; connections stay until the word to end */
	PHASE_UNREAD, /* slow: what was not read is read now */
	PHASE_END
};

enum conn_state {
	CONN_NONE,
	CONN_CONNECTING,
	CONN_SECURING, /* TLS handshake */
	CONN_UPGRADING,
	CONN_PROVING, /* the first byte is on its way to the peer and back */
	CONN_OPEN,
	CONN_CLOSING
};

struct options {
	enum load_mode mode;
	struct sockaddr_in address;
	char host[32]; /* of the opening request */
	const char *path;
	const char *protocol;
	size_t connections;
	size_t in_flight;
	size_t size;
	uint64_t segment;
	uint64_t count; /* messages; 0: as many as fit into the duration */
	uint64_t duration_ns;
	bool raw;
	bool tls;
	bool rsa; /* the key that the server is to prove itself with; else P-256 */
	const char *cipher;
	bool wait;
};

struct conn {
	int fd;
	SSL *tls; /* NULL: plain */
	enum conn_state state;
	uint32_t wanted; /* epoll events */
	uint64_t seed;
	uint64_t started_ns;
	/* to the bridge */
	uint8_t *tail; /* unsent */
	size_t tail_at;
	size_t tail_len;
	uint64_t tx_at; /* place in the pattern */
	uint64_t frame_left; /* payload of the begun message that is still to be made */
	uint64_t segment_left;
	/* from the bridge */
	struct wsclient ws;
	char *head; /* answer to the opening request */
	size_t head_len;
	uint64_t rx_at;
	uint64_t asked; /* down: end of what was asked for */
	uint64_t begun; /* messages (echo), segments (up) */
	uint64_t done;
	uint64_t *sent_ns; /* of the messages in flight, a ring */
	struct pattern_report report;
	size_t report_len;
	bool closed_cleanly; /* a close frame came */
	bool unclean; /* TLS: no close_notify came */
};

struct load {
	struct options options;
	SSL_CTX *offer; /* what TLS offers; NULL: plain */
	char agreed[64]; /* version and cipher of the latest TLS connection */
	enum load_phase phase;
	int epoll_fd;
	struct conn *conns;
	size_t opened; /* slots used so far while setting up */
	size_t opening;
	size_t open;
	size_t busy; /* connections with something under way */
	uint64_t begun; /* messages, or connections in connect mode */
	uint64_t messages;
	uint64_t bytes;
	uint64_t errors;
	uint64_t wrong;
	uint64_t lost;
	uint64_t unclean;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t limit_ns; /* 0: none */
	char first_error[160];
	uint8_t *buffer;
	struct histogram latency;
};

/* ---- the bytes of a socket ---- */

static ssize_t wire_recv(struct conn *conn, void *data, size_t cap) {
	return conn->tls ? secure_recv(conn->tls, data, cap) : sockets_recv(conn->fd, data, cap);
}

static ssize_t wire_send(struct conn *conn, const void *data, size_t len) {
	return conn->tls ? secure_send(conn->tls, data, len) : sockets_send(conn->fd, data, len);
}

/* Nothing more will be sent. */
static void wire_finish(struct conn *conn) {
	if(conn->tls) {
		secure_finish(conn->tls);
	}
	shutdown(conn->fd, SHUT_WR);
}

/* ---- connections ---- */

static bool load_stops(const struct load *load) {
	const struct options *options = &load->options;
	return load->phase != PHASE_RUN || (options->count && load->begun >= options->count);
}

/* Is something of this connection still to come? */
static bool conn_is_busy(const struct load *load, const struct conn *conn) {
	if(conn->state != CONN_OPEN) {
		return load->options.mode == LOAD_CONNECT && conn->state != CONN_NONE;
	}
	return conn->begun > conn->done || conn->segment_left > 0 || conn->frame_left > 0 ||
		conn->asked > conn->rx_at;
}

static void conn_want(struct load *load, struct conn *conn) {
	uint32_t wanted = EPOLLIN;
	bool producing = load->options.mode == LOAD_UP && conn->state == CONN_OPEN &&
		(!load_stops(load) || conn->segment_left > 0 || conn->frame_left > 0) &&
		load->phase != PHASE_SETUP && load->phase != PHASE_READY;
	if(conn->tail_len > 0 || conn->state == CONN_CONNECTING || producing) {
		wanted |= EPOLLOUT;
	}
	if(load->options.mode == LOAD_SLOW && conn->state == CONN_OPEN &&
		load->phase != PHASE_UNREAD) {
		wanted &= ~(uint32_t)EPOLLIN;
	}
	if(wanted != conn->wanted) {
		struct epoll_event event = {.events = wanted, .data.ptr = conn};
		conn->wanted = wanted;
		epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
	}
}

static void conn_close(struct load *load, struct conn *conn) {
	if(conn->state == CONN_OPEN) {
		load->open--;
	} else if(conn->state != CONN_CLOSING && load->phase == PHASE_SETUP) {
		load->opening--;
	}
	SSL_free(conn->tls);
	close(conn->fd);
	free(conn->tail);
	free(conn->head);
	conn->tls = NULL;
	conn->tail = NULL;
	conn->head = NULL;
	conn->tail_len = 0;
	conn->fd = -1;
	conn->state = CONN_NONE;
}

static void conn_fail(struct load *load, struct conn *conn, const char *what, int error) {
	if(load->errors++ == 0) {
		snprintf(load->first_error, sizeof(load->first_error), "%s%s%s (connection %zu)",
			what, error ? ": " : "", error ? strerror(error < 0 ? -error : error) : "",
			(size_t)(conn - load->conns));
	}
	load->lost += conn->begun - conn->done;
	conn_close(load, conn);
}

/* Sends or keeps. False: broken (and failed). */
static bool conn_send(struct load *load, struct conn *conn, const uint8_t *data, size_t len) {
	ssize_t sent = conn->tail_len > 0 ? 0 : wire_send(conn, data, len);
	if(sent < 0 && sent != -EAGAIN) {
		conn_fail(load, conn, "send", (int)sent);
		return false;
	}
	size_t done = sent < 0 ? 0 : (size_t)sent;
	if(done == len) {
		return true;
	}
	uint8_t *tail = malloc(conn->tail_len + len - done);
	if(!tail) {
		sockets_die("load");
	}
	if(conn->tail_len > 0) {
		memcpy(tail, conn->tail + conn->tail_at, conn->tail_len);
	}
	memcpy(tail + conn->tail_len, data + done, len - done);
	free(conn->tail);
	conn->tail = tail;
	conn->tail_at = 0;
	conn->tail_len += len - done;
	return true;
}

static bool conn_flush(struct load *load, struct conn *conn) {
	ssize_t sent = wire_send(conn, conn->tail + conn->tail_at, conn->tail_len);
	if(sent < 0 && sent != -EAGAIN) {
		conn_fail(load, conn, "send", (int)sent);
		return false;
	}
	if(sent > 0) {
		conn->tail_at += (size_t)sent;
		conn->tail_len -= (size_t)sent;
	}
	if(conn->tail_len == 0) {
		free(conn->tail);
		conn->tail = NULL;
	}
	return true;
}

/* ---- what is sent ---- */

static size_t put_header(
	const struct load *load, uint8_t *out, enum wsclient_opcode opcode, uint64_t len) {
	return load->options.raw ? 0 : wsclient_put_header(out, opcode, len, LOAD_MASK);
}

static uint32_t load_mask(const struct load *load) {
	return load->options.raw ? 0 : LOAD_MASK;
}

static void mask_bytes(uint8_t *data, size_t len, uint32_t mask) {
	uint8_t key[4];
	memcpy(key, &mask, 4);
	for(size_t i = 0; i < len; i++) {
		data[i] ^= key[i % 4];
	}
}

/* A request as a message of its own, with `extra` bytes of the pattern behind it; its length. */
static size_t put_request(const struct load *load, struct conn *conn, uint8_t *out,
	enum pattern_mode mode, uint64_t length, size_t extra) {
	struct pattern_request request = {.magic = PATTERN_MAGIC,
		.mode = mode,
		.seed = conn->seed,
		.start = mode == PATTERN_SOURCE ? conn->asked : conn->tx_at,
		.length = length};
	size_t header = put_header(load, out, WSCLIENT_BINARY, sizeof(request) + extra);
	memcpy(out + header, &request, sizeof(request));
	pattern_fill(out + header + sizeof(request), extra, conn->seed, conn->tx_at, 0);
	mask_bytes(out + header, sizeof(request) + extra, load_mask(load));
	return header + sizeof(request) + extra;
}

/* Payload of the begun message, up to `room`. */
static size_t put_payload(const struct load *load, struct conn *conn, uint8_t *out, size_t room) {
	size_t len = conn->frame_left < room ? (size_t)conn->frame_left : room;
	uint32_t mask = load_mask(load);
	uint64_t done = load->options.size - conn->frame_left;
	pattern_fill(out, len, conn->seed, conn->tx_at, mask ? pattern_turn_mask(mask, done) : 0);
	conn->frame_left -= len;
	conn->tx_at += len;
	return len;
}

static size_t put_message_start(const struct load *load, struct conn *conn, uint8_t *out) {
	conn->frame_left = load->options.size;
	return put_header(load, out, WSCLIENT_BINARY, load->options.size);
}

/* Fills the buffer with messages that may be begun. */
static size_t fill_echo(struct load *load, struct conn *conn) {
	size_t at = 0;
	uint64_t now = sockets_now_ns();
	while(at + WSCLIENT_HEADER_MAX < LOAD_BUFFER) {
		if(conn->frame_left == 0) {
			if(load_stops(load) ||
				conn->begun - conn->done >= load->options.in_flight) {
				break;
			}
			conn->sent_ns[conn->begun % load->options.in_flight] = now;
			conn->begun++;
			load->begun++;
			at += put_message_start(load, conn, load->buffer + at);
		}
		at += put_payload(load, conn, load->buffer + at, LOAD_BUFFER - at);
	}
	return at;
}

static size_t fill_up(struct load *load, struct conn *conn) {
	size_t at = 0;
	while(at + 128 < LOAD_BUFFER) {
		if(conn->frame_left == 0 && conn->segment_left == 0) {
			if(load_stops(load)) {
				break;
			}
			uint8_t *out = load->buffer + at;
			at += put_request(load, conn, out, PATTERN_SINK, load->options.segment, 0);
			conn->segment_left = load->options.segment;
			conn->begun++;
		}
		if(conn->frame_left == 0) {
			at += put_message_start(load, conn, load->buffer + at);
			conn->segment_left -= load->options.size;
			load->begun++;
			load->messages++;
		}
		at += put_payload(load, conn, load->buffer + at, LOAD_BUFFER - at);
	}
	return at;
}

static size_t fill_down(struct load *load, struct conn *conn) {
	bool slow = load->options.mode == LOAD_SLOW;
	uint64_t length = slow ? LOAD_SLOW_BYTES : load->options.segment;
	uint64_t ahead = slow ? length : LOAD_AHEAD * length;
	size_t at = 0;
	while(!load_stops(load) && conn->asked < conn->rx_at + ahead) {
		at += put_request(load, conn, load->buffer + at, PATTERN_SOURCE, length, 0);
		conn->asked += length;
		load->begun++;
	}
	return at;
}

/* Sends what the mode has to send now. */
static void conn_produce(struct load *load, struct conn *conn) {
	static size_t (*const fill[LOAD_MODES])(struct load *, struct conn *) = {
		[LOAD_ECHO] = fill_echo,
		[LOAD_UP] = fill_up,
		[LOAD_DOWN] = fill_down,
		[LOAD_SLOW] = fill_down,
	};
	enum load_mode mode = load->options.mode;
	while(fill[mode] && conn->tail_len == 0 && conn->state == CONN_OPEN) {
		size_t len = fill[mode](load, conn);
		if(len == 0 || !conn_send(load, conn, load->buffer, len) || mode == LOAD_UP) {
			return;
		}
	}
}

/* ---- opening and closing ---- */

static void conn_open(struct load *load, struct conn *conn) {
	uint64_t seed = (uint64_t)(conn - load->conns + 1) << 40;
	uint64_t *ring = conn->sent_ns;
	*conn = (struct conn){.sent_ns = ring, .seed = seed, .started_ns = sockets_now_ns()};
	conn->fd = sockets_connect(&load->options.address);
	if(conn->fd < 0) {
		errno = -conn->fd;
		sockets_die("connect");
	}
	conn->state = CONN_CONNECTING;
	conn->wanted = EPOLLIN | EPOLLOUT;
	struct epoll_event event = {.events = conn->wanted, .data.ptr = conn};
	if(epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
		sockets_die("epoll_ctl");
	}
}

static void conn_open_next(struct load *load) {
	while(load->opening < LOAD_OPENING && load->opened < load->options.connections) {
		load->opening++;
		conn_open(load, &load->conns[load->opened++]);
	}
}

/* The first message of a connection: one byte to the peer and back. */
static void conn_prove(struct load *load, struct conn *conn) {
	uint8_t out[128];
	conn->state = CONN_PROVING;
	size_t len = put_request(load, conn, out, PATTERN_ECHO, 1, 1);
	conn->tx_at = 1;
	conn->asked = 0;
	conn_send(load, conn, out, len);
}

static void conn_upgrade(struct load *load, struct conn *conn) {
	char out[1024];
	const struct options *options = &load->options;
	if(options->raw) {
		conn_prove(load, conn);
		return;
	}
	conn->state = CONN_UPGRADING;
	conn->head = malloc(LOAD_HEAD);
	if(!conn->head) {
		sockets_die("load");
	}
	size_t len = wsclient_put_request(
		out, sizeof(out), options->host, options->path, options->protocol);
	conn_send(load, conn, (const uint8_t *)out, len);
}

/* Connect mode: this one is done, next please. */
static void conn_cycle(struct load *load, struct conn *conn) {
	if((!load->options.raw && !conn->closed_cleanly) || conn->unclean) {
		load->unclean++;
	}
	histogram_add(&load->latency, sockets_now_ns() - conn->started_ns, 1);
	load->messages++;
	conn_close(load, conn);
	if(!load_stops(load)) {
		load->begun++;
		conn_open(load, conn);
	}
}

static void conn_start_closing(struct load *load, struct conn *conn) {
	uint8_t out[WSCLIENT_HEADER_MAX + 2];
	conn->state = CONN_CLOSING;
	if(load->options.raw) {
		wire_finish(conn);
		return;
	}
	size_t header = put_header(load, out, WSCLIENT_CLOSE, 2);
	out[header] = 1000 >> 8;
	out[header + 1] = 1000 & 0xFF;
	mask_bytes(out + header, 2, LOAD_MASK);
	conn_send(load, conn, out, header + 2);
}

/* The byte has come back. */
static void conn_is_open(struct load *load, struct conn *conn) {
	if(load->options.mode == LOAD_CONNECT) {
		conn_start_closing(load, conn);
		return;
	}
	uint8_t out[128];
	conn->state = CONN_OPEN;
	conn->asked = conn->rx_at;
	load->open++;
	load->opening--;
	if(load->options.mode == LOAD_ECHO) {
		conn_send(load, conn, out,
			put_request(load, conn, out, PATTERN_ECHO, LOAD_ENDLESS, 0));
	}
}

/* ---- what comes back ---- */

static void take_echo(struct load *load, struct conn *conn) {
	uint64_t done = (conn->rx_at - 1) / load->options.size;
	uint64_t now = sockets_now_ns();
	for(; conn->done < done && conn->done < conn->begun; conn->done++) {
		uint64_t sent = conn->sent_ns[conn->done % load->options.in_flight];
		histogram_add(&load->latency, now - sent, 1);
		load->messages++;
		load->bytes += load->options.size;
	}
}

static void take_report(struct load *load, struct conn *conn, const uint8_t *data, size_t len) {
	while(len > 0) {
		size_t room = sizeof(conn->report) - conn->report_len;
		size_t take = len < room ? len : room;
		memcpy((uint8_t *)&conn->report + conn->report_len, data, take);
		conn->report_len += take;
		data += take;
		len -= take;
		if(conn->report_len < sizeof(conn->report)) {
			return;
		}
		conn->report_len = 0;
		load->wrong += conn->report.wrong;
		if(conn->report.bytes != load->options.segment ||
			conn->report.start != 1 + conn->done * load->options.segment) {
			load->wrong++;
		}
		load->bytes += conn->report.bytes;
		conn->done++;
	}
}

static void conn_take(struct load *load, struct conn *conn, const uint8_t *data, size_t len) {
	if(conn->state == CONN_OPEN && load->options.mode == LOAD_UP) {
		take_report(load, conn, data, len);
		return;
	}
	if(!pattern_matches(data, len, conn->seed, conn->rx_at)) {
		load->wrong++;
	}
	conn->rx_at += len;
	if(conn->state == CONN_PROVING) {
		conn_is_open(load, conn);
	} else if(load->options.mode == LOAD_ECHO) {
		take_echo(load, conn);
	} else {
		load->messages++;
		load->bytes += len;
	}
}

/* A control frame. False: the connection has ended. */
static bool conn_control(struct load *load, struct conn *conn, const struct wsclient_io *io) {
	uint8_t out[WSCLIENT_HEADER_MAX + WSCLIENT_CONTROL_MAX];
	if(io->opcode == WSCLIENT_CLOSE) {
		conn->closed_cleanly = true;
		if(conn->state != CONN_CLOSING) {
			conn_fail(load, conn, "the bridge closed", 0);
			return false;
		}
	} else if(io->opcode == WSCLIENT_PING && conn->frame_left == 0) {
		/* Between messages only; inside of one a pong would be payload. */
		size_t header = put_header(load, out, WSCLIENT_PONG, io->payload_len);
		memcpy(out + header, io->payload, io->payload_len);
		mask_bytes(out + header, io->payload_len, LOAD_MASK);
		return conn_send(load, conn, out, header + io->payload_len);
	}
	return true;
}

static void conn_frames(struct load *load, struct conn *conn, const uint8_t *data, size_t len) {
	struct wsclient_io io = {.in = data, .in_len = len};
	for(;;) {
		switch(wsclient_parse(&conn->ws, &io)) {
		case WSCLIENT_MORE:
			return;
		case WSCLIENT_DATA:
			conn_take(load, conn, io.payload, io.payload_len);
			break;
		case WSCLIENT_CONTROL:
			if(!conn_control(load, conn, &io)) {
				return;
			}
			break;
		case WSCLIENT_BAD:
			conn_fail(load, conn, "invalid frame", 0);
			return;
		}
		if(conn->state == CONN_NONE) {
			return;
		}
	}
}

static void conn_answer(struct load *load, struct conn *conn) {
	ssize_t got = wire_recv(conn, conn->head + conn->head_len, LOAD_HEAD - conn->head_len);
	if(got == -EAGAIN) {
		return;
	}
	if(got <= 0) {
		conn_fail(load, conn, "handshake", (int)got);
		return;
	}
	conn->head_len += (size_t)got;
	long used = wsclient_check_answer(conn->head, conn->head_len);
	if(used < 0 || (used == 0 && conn->head_len == LOAD_HEAD)) {
		conn_fail(load, conn, "handshake refused", 0);
	} else if(used > 0) {
		if((size_t)used < conn->head_len) {
			conn_fail(load, conn, "bytes behind the handshake", 0);
			return;
		}
		free(conn->head);
		conn->head = NULL;
		conn_prove(load, conn);
	}
}

static void conn_ended(struct load *load, struct conn *conn, int error) {
	/*
	 * A bridge that forgets close_notify when all is said is unclean; before, it would hide a
	 * loss.
	 */
	bool forgot = conn->tls && error == -ECONNRESET;
	if(conn->state == CONN_CLOSING && (error == 0 || forgot)) {
		conn->unclean = forgot;
		conn_cycle(load, conn);
		return;
	}
	conn_fail(load, conn, error ? "receive" : "unexpected end", error);
}

/* One buffer of what is there. True: there may be more that no event tells of. */
static bool conn_read(struct load *load, struct conn *conn) {
	ssize_t got = wire_recv(conn, load->buffer, LOAD_BUFFER);
	if(got == -EAGAIN) {
		return false;
	}
	if(got <= 0) {
		conn_ended(load, conn, (int)got);
		return false;
	}
	if(load->options.raw) {
		conn_take(load, conn, load->buffer, (size_t)got);
	} else {
		conn_frames(load, conn, load->buffer, (size_t)got);
	}
	return conn->tls && got == LOAD_BUFFER;
}

static void conn_secure(struct load *load, struct conn *conn) {
	int result = secure_handshake(conn->tls);
	if(result == 0) {
		snprintf(load->agreed, sizeof(load->agreed), "%s %s", SSL_get_version(conn->tls),
			SSL_get_cipher_name(conn->tls));
		conn_upgrade(load, conn);
	} else if(result != -EAGAIN) {
		conn_fail(load, conn, "TLS handshake", result);
	}
}

static void conn_readable(struct load *load, struct conn *conn) {
	if(conn->state == CONN_SECURING) {
		conn_secure(load, conn);
	} else if(conn->state == CONN_UPGRADING) {
		conn_answer(load, conn);
	} else {
		while(conn_read(load, conn)) {
		}
	}
}

static void conn_connected(struct load *load, struct conn *conn) {
	int error = sockets_error(conn->fd);
	if(error) {
		conn_fail(load, conn, "connect", error);
		return;
	}
	if(load->offer) {
		conn->tls = secure_new(load->offer, conn->fd);
		conn->state = CONN_SECURING;
		conn_secure(load, conn);
		return;
	}
	conn_upgrade(load, conn);
}

static void conn_event(struct load *load, struct conn *conn, uint32_t events) {
	bool was_busy = conn_is_busy(load, conn);
	if(conn->state == CONN_CONNECTING) {
		conn_connected(load, conn);
	} else {
		if((events & EPOLLOUT) && conn->tail_len > 0 && !conn_flush(load, conn)) {
			load->busy -= was_busy;
			return;
		}
		if(events & ~(uint32_t)EPOLLOUT) {
			conn_readable(load, conn);
		}
	}
	if(conn->state == CONN_OPEN && load->phase >= PHASE_RUN && load->phase <= PHASE_DRAIN) {
		conn_produce(load, conn);
	}
	if(conn->state != CONN_NONE) {
		conn_want(load, conn);
	}
	load->busy -= was_busy;
	load->busy += conn_is_busy(load, conn);
}

/* ---- phases ---- */

static void load_begin(struct load *load) {
	load->phase = PHASE_RUN;
	load->bytes = 0;
	load->messages = 0;
	load->begun = 0;
	load->latency = (struct histogram){0};
	load->start_ns = sockets_now_ns();
	load->limit_ns =
		load->start_ns + (load->options.count ? LOAD_COUNT_NS : load->options.duration_ns);
	load->busy = 0;
	for(size_t i = 0; i < load->options.connections; i++) {
		struct conn *conn = &load->conns[i];
		if(load->options.mode == LOAD_CONNECT && !load_stops(load)) {
			load->begun++;
			conn_open(load, conn);
		} else if(conn->state == CONN_OPEN) {
			conn_produce(load, conn);
		}
		if(conn->state != CONN_NONE) {
			conn_want(load, conn);
		}
		load->busy += conn_is_busy(load, conn);
	}
}

static void say(const char *word) {
	puts(word);
	fflush(stdout);
}

/* Every connection is open or has failed. */
static void load_is_ready(struct load *load) {
	if(load->phase != PHASE_SETUP || load->opening > 0 ||
		load->opened < load->options.connections) {
		return;
	}
	load->phase = PHASE_READY;
	load->limit_ns = 0;
	say("READY");
	if(!load->options.wait) {
		load_begin(load);
	}
}

static void load_print(const struct load *load) {
	const struct options *options = &load->options;
	printf("{\"mode\": \"%s\", \"connections\": %zu, \"open\": %zu, \"in_flight\": %zu, "
	       "\"size\": %zu, \"messages\": %llu, \"bytes\": %llu, \"elapsed\": %.6f, "
	       "\"p50_us\": %.3f, \"p99_us\": %.3f, \"max_us\": %.3f, \"errors\": %llu, "
	       "\"lost\": %llu, \"wrong\": %llu, \"unclean\": %llu, \"tls\": \"%s\", "
	       "\"first_error\": \"%s\"}\n",
		mode_names[options->mode], options->connections, load->open, options->in_flight,
		options->size, (unsigned long long)load->messages, (unsigned long long)load->bytes,
		(double)(load->end_ns - load->start_ns) / 1e9,
		histogram_quantile(&load->latency, 0.5) / 1e3,
		histogram_quantile(&load->latency, 0.99) / 1e3, (double)load->latency.max_ns / 1e3,
		(unsigned long long)load->errors, (unsigned long long)load->lost,
		(unsigned long long)load->wrong, (unsigned long long)load->unclean, load->agreed,
		load->first_error);
	fflush(stdout);
}

/* What is under way counts as lost when the grace is over. */
static void count_lost(struct load *load) {
	for(size_t i = 0; i < load->options.connections; i++) {
		const struct conn *conn = &load->conns[i];
		if(conn_is_busy(load, conn)) {
			uint64_t missing = conn->begun - conn->done;
			load->lost += missing ? missing : 1;
		}
	}
}

static void load_finish(struct load *load) {
	if(load->options.mode != LOAD_SLOW) {
		count_lost(load);
	}
	load->end_ns = sockets_now_ns();
	load->limit_ns = 0;
	load->phase = PHASE_HELD;
	load_print(load);
	if(!load->options.wait && load->options.mode != LOAD_SLOW) {
		load->phase = PHASE_END;
	}
}

/* Slow: the client takes at last what has been waiting for it. */
static void load_read_all(struct load *load) {
	load->phase = PHASE_UNREAD;
	load->limit_ns = sockets_now_ns() + LOAD_GRACE_NS;
	for(size_t i = 0; i < load->options.connections; i++) {
		if(load->conns[i].state == CONN_OPEN) {
			conn_want(load, &load->conns[i]);
		}
	}
}

/* Follows the clock and what is still under way. */
static void load_check(struct load *load) {
	uint64_t now = load->limit_ns ? sockets_now_ns() : 0;
	bool late = load->limit_ns && now >= load->limit_ns;
	bool slow = load->options.mode == LOAD_SLOW;
	if(load->phase == PHASE_SETUP && late) {
		fprintf(stderr, "load: %zu of %zu connections are open, the rest does not come\n",
			load->open, load->options.connections);
		exit(1);
	}
	if(load->phase == PHASE_RUN && (late || (load_stops(load) && !slow) || load->errors)) {
		load->phase = PHASE_DRAIN;
		load->limit_ns = sockets_now_ns() + LOAD_GRACE_NS;
		late = false;
	}
	if(load->phase == PHASE_DRAIN && (load->busy == 0 || late || slow)) {
		load_finish(load);
		if(slow && !load->options.wait) {
			load_read_all(load);
		}
	} else if(load->phase == PHASE_UNREAD && (load->busy == 0 || late)) {
		count_lost(load);
		load->end_ns = sockets_now_ns();
		load_print(load);
		load->phase = PHASE_END;
	}
}

/* A line on standard input is the word to go on. */
static void load_told(struct load *load) {
	char line[64];
	ssize_t got = read(STDIN_FILENO, line, sizeof(line));
	if(got <= 0) {
		exit(1);
	}
	if(load->phase == PHASE_READY) {
		load_begin(load);
	} else if(load->phase == PHASE_HELD) {
		if(load->options.mode == LOAD_SLOW) {
			load_read_all(load);
		} else {
			load->phase = PHASE_END;
		}
	}
}

static int load_timeout(const struct load *load) {
	if(!load->limit_ns) {
		return -1;
	}
	uint64_t now = sockets_now_ns();
	return now >= load->limit_ns ? 0 : (int)((load->limit_ns - now) / 1000000) + 1;
}

static void load_run(struct load *load) {
	load->limit_ns = sockets_now_ns() + LOAD_SETUP_NS;
	while(load->phase != PHASE_END) {
		if(load->phase == PHASE_SETUP) {
			conn_open_next(load);
			load_is_ready(load);
		}
		struct epoll_event events[LOAD_EVENTS];
		int count = epoll_wait(load->epoll_fd, events, LOAD_EVENTS, load_timeout(load));
		for(int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			if(!conn) {
				load_told(load);
			} else if(conn->state != CONN_NONE) {
				conn_event(load, conn, events[i].events);
			}
		}
		load_check(load);
	}
}

/* ---- start ---- */

_Noreturn static void usage(void) {
	fprintf(stderr,
		"Usage: load [options] echo|up|down|connect|idle|slow ADDRESS\n"
		"  --raw             plain TCP instead of WebSocket\n"
		"  --tls             over TLS 1.3; nothing is verified or resumed\n"
		"  --cipher=NAME     of TLS, the only one offered (" LOAD_CIPHER ")\n"
		"  --rsa             ask for a server with an RSA key instead of P-256\n"
		"  --connections=N   (default 1)\n"
		"  --in-flight=N     echo: messages under way on each connection (1)\n"
		"  --size=BYTES      of a message (64)\n"
		"  --segment=BYTES   up, down: bytes that are acknowledged together (1048576)\n"
		"  --count=N         messages in all (connections in connect mode), instead of\n"
		"  --duration=MS     (1000)\n"
		"  --path=PATH       of the opening request (/)\n"
		"  --protocol=NAME   subprotocol to offer (none)\n"
		"  --wait            say READY and wait for a line; hold until the next one\n");
	exit(2);
}

static uint64_t number(const char *text) {
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	if(*text == '\0' || *end != '\0') {
		usage();
	}
	return value;
}

static void parse_option(struct options *options, int option) {
	switch(option) {
	case 'r':
		options->raw = true;
		break;
	case 't':
		options->tls = true;
		break;
	case 'a':
		options->rsa = true;
		break;
	case 'i':
		options->cipher = optarg;
		break;
	case 'w':
		options->wait = true;
		break;
	case 'n':
		options->connections = number(optarg);
		break;
	case 'f':
		options->in_flight = number(optarg);
		break;
	case 's':
		options->size = number(optarg);
		break;
	case 'g':
		options->segment = number(optarg);
		break;
	case 'c':
		options->count = number(optarg);
		break;
	case 'd':
		options->duration_ns = number(optarg) * 1000000;
		break;
	case 'p':
		options->path = optarg;
		break;
	case 'o':
		options->protocol = optarg;
		break;
	default:
		usage();
	}
}

static enum load_mode parse_mode(const char *name) {
	for(int i = 0; i < LOAD_MODES; i++) {
		if(strcmp(name, mode_names[i]) == 0) {
			return (enum load_mode)i;
		}
	}
	usage();
}

static void parse_options(struct options *options, int argc, char **argv) {
	static const struct option longs[] = {
		{"raw", no_argument, NULL, 'r'},
		{"tls", no_argument, NULL, 't'},
		{"rsa", no_argument, NULL, 'a'},
		{"cipher", required_argument, NULL, 'i'},
		{"wait", no_argument, NULL, 'w'},
		{"connections", required_argument, NULL, 'n'},
		{"in-flight", required_argument, NULL, 'f'},
		{"size", required_argument, NULL, 's'},
		{"segment", required_argument, NULL, 'g'},
		{"count", required_argument, NULL, 'c'},
		{"duration", required_argument, NULL, 'd'},
		{"path", required_argument, NULL, 'p'},
		{"protocol", required_argument, NULL, 'o'},
		{0},
	};
	int option;
	while((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		parse_option(options, option);
	}
	if(argc - optind != 2 || options->size == 0 || options->in_flight == 0 ||
		options->connections == 0) {
		usage();
	}
	options->mode = parse_mode(argv[optind]);
	options->address = sockets_parse(argv[optind + 1]);
	snprintf(options->host, sizeof(options->host), "%s:%u",
		inet_ntoa(options->address.sin_addr), ntohs(options->address.sin_port));
	/* A segment is made of whole messages. */
	options->segment = (options->segment + options->size - 1) / options->size * options->size;
}

static void load_allocate(struct load *load) {
	const struct options *options = &load->options;
	load->buffer = malloc(LOAD_BUFFER);
	load->conns = calloc(options->connections, sizeof(*load->conns));
	uint64_t *rings = calloc(options->connections * options->in_flight, sizeof(*rings));
	load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if(!load->buffer || !load->conns || !rings || load->epoll_fd < 0) {
		sockets_die("load");
	}
	for(size_t i = 0; i < options->connections; i++) {
		load->conns[i].sent_ns = rings + i * options->in_flight;
		load->conns[i].fd = -1;
	}
	struct epoll_event event = {.events = EPOLLIN};
	if(options->wait && epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) {
		sockets_die("standard input");
	}
	if(options->mode == LOAD_CONNECT) {
		load->opened = options->connections; /* they are opened while it runs */
	}
}

int main(int argc, char **argv) {
	static struct load load;
	load.options = (struct options){.connections = 1,
		.in_flight = 1,
		.size = 64,
		.segment = 1 << 20,
		.duration_ns = UINT64_C(1000000000),
		.cipher = LOAD_CIPHER,
		.path = "/"};
	parse_options(&load.options, argc, argv);
	if(load.options.tls) {
		signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
		load.offer = secure_offer(load.options.cipher, load.options.rsa);
	}
	sockets_raise_limit();
	load_allocate(&load);
	load_run(&load);
	return load.errors || load.lost || load.wrong ? 1 : 0;
}
