/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Peers: addresses, connecting, and the stream kinds that are no byte-stream sockets.
 *
 * Must not know: WebSocket, connections, who asks.
 * Invariants: at most two lookups and any number of attempts run for one connect; the first attempt that
 * connects wins and ends all others; the callback comes once and never from within peer_connect_start().
 * Implements RFC 8305 sections 3 (both families asked at once, resolution delay), 4 (interleaving) and 5
 * (staggered attempts).
 */
#include "network/peer.h"

#include "base/address.h"
#include "base/passes.h"

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
#define PEER_FLUSH_DATAGRAMS 64 /* sent in one go */
#define PEER_DATAGRAM_IOV 1024 /* pieces of one datagram, what sendmsg() takes (IOV_MAX) */
/* The first and the last piece of a queued datagram are not whole chunks. */
#define PEER_DATAGRAM_MAX ((size_t)(PEER_DATAGRAM_IOV - 2) * BUFQ_CHUNK_DATA)
#define PEER_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* ---- addresses ---- */

static const struct peer_scheme {
	const char *text;
	peer_transport transport; /* of the plugin API; detect: not in there */
	bool has_port;
} schemes[PEER_KINDS] = {
	[PEER_TCP] = {"tcp://", peer_tcp_client, true},
	[PEER_TLS] = {"tls://", peer_transport_detect, true},
	[PEER_UDP] = {"udp://", peer_udp_client, true},
	[PEER_UNIX] = {"unix://", peer_unix_stream, false},
	[PEER_UNIX_DGRAM] = {"unix-dgram://", peer_unix_dgram, false},
	[PEER_FIFO_TX] = {"fifotx://", peer_fifo_tx, false},
	[PEER_FIFO_RX] = {"fiforx://", peer_fifo_rx, false},
	[PEER_ECHO] = {"echo://", peer_transport_detect, false},
};
static_assert(sizeof(schemes) / sizeof(schemes[0]) == PEER_KINDS, "one scheme for each kind");

/* Finds the kind by the scheme; `*rest` is what follows it. -1: an unknown scheme. */
static int detect_kind(const char *host, const char **rest, bool *guessed) {
	for(int kind = 0; kind < PEER_KINDS; kind++) {
		size_t len = strlen(schemes[kind].text);
		if(strncasecmp(host, schemes[kind].text, len) == 0) {
			*rest = host + len;
			return kind;
		}
	}
	*guessed = true;
	return strstr(host, "://") ? -1 : PEER_TCP;
}

static int kind_of_transport(peer_transport transport) {
	for(int kind = 0; kind < PEER_KINDS; kind++) {
		if(schemes[kind].transport == transport && transport != peer_transport_detect) {
			return kind;
		}
	}
	return -1;
}

static int parse_port(const char *text, uint16_t *out) {
	size_t len = strlen(text);
	bool number = strspn(text, "0123456789") == len && len > 0 && len <= 5;
	unsigned long value = number ? strtoul(text, NULL, 10) : 0;
	if(value == 0 || value > UINT16_MAX) {
		return -EINVAL;
	}
	*out = (uint16_t)value;
	return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port", and a bare IPv6 literal. Cuts `text` into host and port. */
static int split_port(char *text, char **host, char **port, const char **why) {
	*host = text;
	*port = NULL;
	if(text[0] == '[') {
		char *end = strchr(text, ']');
		if(!end || (end[1] != '\0' && end[1] != ':')) {
			*why = "the address has a [ without its ]";
			return -EINVAL;
		}
		*end = '\0';
		*host = text + 1;
		*port = end[1] == ':' ? end + 2 : NULL;
		return 0;
	}
	char *colon = strchr(text, ':');
	if(colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		*port = colon + 1;
	}
	return 0;
}

/* What stands in brackets or has a colon is no name: looking it up could only mislead. */
static int check_host(const char *host, bool brackets, const char **why) {
	if(host[0] == '\0') {
		*why = "the host is missing";
		return -EINVAL;
	}
	if((brackets || strchr(host, ':')) && !address_is_ip6(host, true)) {
		*why = "the host is no IPv6 address, but has brackets or several colons";
		return -EINVAL;
	}
	return 0;
}

static int parse_network(
	const char *rest, const char *port, struct peer_address *out, const char **why) {
	char *copy = strdup(rest);
	if(!copy) {
		return -ENOMEM;
	}
	size_t len = strlen(copy);
	if(len > 0 && copy[len - 1] == '/') {
		copy[len - 1] = '\0';
	}
	char *host;
	char *own_port;
	int result = split_port(copy, &host, &own_port, why);
	if(result == 0) {
		result = check_host(host, rest[0] == '[', why);
	}
	if(result == 0 && !own_port && !port) {
		*why = "the port is missing";
		result = -EINVAL;
	} else if(result == 0) {
		result = parse_port(own_port ? own_port : port, &out->port);
		*why = "the port is no number from 1 to 65535";
	}
	if(result == 0) {
		out->host = strdup(host);
		result = out->host ? 0 : -ENOMEM;
	}
	free(copy);
	return result;
}

/* The byte whose code `text` begins with: one of those that parameters take away from paths and values. 0: none. */
static char coded_byte(const char *text) {
	static const struct {
		const char *code;
		char byte;
	} codes[] = {{"%3F", '?'}, {"%26", '&'}, {"%25", '%'}};
	for(size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if(strncasecmp(text, codes[i].code, 3) == 0) {
			return codes[i].byte;
		}
	}
	return '\0';
}

/* Any other % is itself. */
static void decode_reserved(char *text) {
	char *to = text;
	for(const char *at = text; *at; at++) {
		char byte = coded_byte(at);
		*to++ = byte ? byte : *at;
		at += byte ? 2 : 0;
	}
	*to = '\0';
}

static int parse_path(const char *rest, struct peer_address *out, const char **why) {
	bool fifo = out->kind == PEER_FIFO_TX || out->kind == PEER_FIFO_RX;
	bool abstract = rest[0] == '@' && rest[1] != '\0' && !fifo;
	if(rest[0] != '/' && !abstract) {
		*why = fifo ? "the path is not absolute" : "the path is neither absolute nor @name";
		return -EINVAL;
	}
	if(!fifo && strlen(rest) > PEER_PATH_MAX) {
		*why = "the path is longer than a Unix socket address can hold (107 bytes)";
		return -EINVAL;
	}
	out->host = strdup(rest);
	return out->host ? 0 : -ENOMEM;
}

/* What may stand behind the `?`, and with which kinds. */
struct parameter {
	const char *key;
	unsigned kinds;
	/* 0, -ENOMEM, or -EINVAL with `*why`; `value` is decoded and not empty */
	int (*take)(const struct parameter *parameter, struct peer_address *out, const char *value,
		const char **why);
	size_t text; /* take_text: where it is kept */
};

static int take_proxy(const struct parameter *parameter, struct peer_address *out,
	const char *value, const char **why) {
	static const char *const versions[] = {
		[PROXY_PROTOCOL_V1] = "v1", [PROXY_PROTOCOL_V2] = "v2"};
	(void)parameter;
	for(int version = PROXY_PROTOCOL_V1; version <= PROXY_PROTOCOL_V2; version++) {
		if(strcmp(value, versions[version]) == 0) {
			out->proxy = (enum proxy_protocol_version)version;
			return 0;
		}
	}
	*why = "the parameter proxy is neither v1 nor v2";
	return -EINVAL;
}

static int take_verify(const struct parameter *parameter, struct peer_address *out,
	const char *value, const char **why) {
	(void)parameter;
	out->tls.insecure = strcmp(value, "off") == 0;
	*why = "the parameter verify is not off, the only value that it can have";
	return out->tls.insecure ? 0 : -EINVAL;
}

static char **text_of(const struct parameter *parameter, struct peer_address *address) {
	return (char **)(void *)((char *)address + parameter->text);
}

static int take_text(const struct parameter *parameter, struct peer_address *out, const char *value,
	const char **why) {
	char **text = text_of(parameter, out);
	(void)why;
	*text = strdup(value);
	return *text ? 0 : -ENOMEM;
}

#define KIND(name) (1u << PEER_##name)
#define TLS_TEXT(name)                                                                             \
	{ #name, KIND(TLS), take_text, offsetof(struct peer_address, tls.name) }
static const struct parameter parameters[] = {
	{"proxy", KIND(TCP) | KIND(TLS) | KIND(UNIX), take_proxy, 0},
	{"verify", KIND(TLS), take_verify, 0},
	TLS_TEXT(ca),
	TLS_TEXT(sni),
	TLS_TEXT(cert),
	TLS_TEXT(key),
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static const struct parameter *find_parameter(const char *key, size_t len) {
	for(size_t i = 0; i < PARAMETERS; i++) {
		if(len == strlen(parameters[i].key) && memcmp(key, parameters[i].key, len) == 0) {
			return &parameters[i];
		}
	}
	return NULL;
}

/* One `key=value`, which is changed. `*seen` has a bit for each parameter. */
static int parse_parameter(char *text, unsigned *seen, struct peer_address *out, const char **why) {
	char *equals = strchr(text, '=');
	const struct parameter *parameter =
		equals ? find_parameter(text, (size_t)(equals - text)) : NULL;
	if(!parameter) {
		*why = "what stands behind the ? is no known parameter (there are proxy=, ca=, "
		       "sni=, cert=, key=, verify=; a ? in a path is written %3F)";
		return -EINVAL;
	}
	unsigned bit = 1u << (parameter - parameters);
	if(!(parameter->kinds & (1u << out->kind))) {
		*why = "this transport does not have the parameter behind the ?";
		return -EINVAL;
	}
	if(*seen & bit) {
		*why = "a parameter behind the ? is given twice";
		return -EINVAL;
	}
	if(equals[1] == '\0') {
		*why = "a parameter behind the ? has no value";
		return -EINVAL;
	}
	*seen |= bit;
	decode_reserved(equals + 1);
	return parameter->take(parameter, out, equals + 1, why);
}

static int parse_parameters(char *query, struct peer_address *out, const char **why) {
	unsigned seen = 0;
	int result = 0;
	for(char *next = query; next && result == 0; query = next) {
		next = strchr(query, '&');
		if(next) {
			*next++ = '\0';
		}
		result = parse_parameter(query, &seen, out, why);
	}
	if(result == 0 && out->tls.key && !out->tls.cert) {
		*why = "there is a key without its certificate (cert=)";
		result = -EINVAL;
	}
	return result;
}

/* What follows the scheme; `rest` is changed. */
static int parse_rest(char *rest, const char *port, struct peer_address *out, const char **why) {
	char *query = strchr(rest, '?');
	if(query) {
		*query++ = '\0';
		int result = parse_parameters(query, out, why);
		if(result) {
			return result;
		}
	}
	if(schemes[out->kind].has_port) {
		return parse_network(rest, port, out, why);
	}
	if(out->kind != PEER_ECHO) {
		decode_reserved(rest);
		return parse_path(rest, out, why);
	}
	if(rest[0] != '\0') {
		*why = "echo:// takes no address";
		return -EINVAL;
	}
	return 0;
}

int peer_parse(peer_transport transport, const char *host, const char *port,
	struct peer_address *out, const char **why) {
	const char *rest = host;
	*out = (struct peer_address){0};
	int kind = transport == peer_transport_detect ? detect_kind(host, &rest, &out->guessed)
						      : kind_of_transport(transport);
	if(kind < 0) {
		*why = "the transport is unknown";
		return -EINVAL;
	}
	out->kind = (enum peer_kind)kind;
	char *copy = strdup(rest);
	if(!copy) {
		return -ENOMEM;
	}
	int result = parse_rest(copy, port, out, why);
	free(copy);
	return result;
}

void peer_address_free(struct peer_address *address) {
	for(size_t i = 0; i < PARAMETERS; i++) {
		if(parameters[i].take == take_text) {
			char **text = text_of(&parameters[i], address);
			free(*text);
			*text = NULL;
		}
	}
	free(address->host);
	address->host = NULL;
}

/* A text that is being formatted, cut where its room ends. */
struct text {
	char *at;
	size_t left; /* with the NUL */
};

static void put(struct text *out, const char *text) {
	size_t len = strlen(text);
	len = len < out->left ? len : out->left - 1;
	memcpy(out->at, text, len);
	out->at += len;
	out->left -= len;
	*out->at = '\0';
}

/* What ends a path or value, and what decode_reserved() would change, is written as a code. */
static void put_coded(struct text *out, const char *text, const char *ends) {
	for(; *text; text++) {
		bool code = strchr(ends, *text) || coded_byte(text);
		char piece[4] = {*text};
		if(code) {
			snprintf(piece, sizeof(piece), "%%%02X", *text);
		}
		put(out, piece);
	}
}

static void put_parameter(struct text *out, const char **mark, const char *key, const char *value) {
	if(value) {
		put(out, *mark);
		put(out, key);
		put(out, "=");
		put_coded(out, value, "?&");
		*mark = "&";
	}
}

static void put_parameters(struct text *out, const struct peer_address *address) {
	static const char *const versions[] = {[PROXY_PROTOCOL_OFF] = NULL,
		[PROXY_PROTOCOL_V1] = "v1",
		[PROXY_PROTOCOL_V2] = "v2"};
	const char *mark = "?";
	put_parameter(out, &mark, "proxy", versions[address->proxy]);
	put_parameter(out, &mark, "ca", address->tls.ca);
	put_parameter(out, &mark, "sni", address->tls.sni);
	put_parameter(out, &mark, "cert", address->tls.cert);
	put_parameter(out, &mark, "key", address->tls.key);
	put_parameter(out, &mark, "verify", address->tls.insecure ? "off" : NULL);
}

void peer_format(const struct peer_address *address, char *out, size_t cap) {
	const struct peer_scheme *scheme = &schemes[address->kind];
	const char *host = address->host ? address->host : "";
	struct text text = {out, cap};
	put(&text, scheme->text);
	if(scheme->has_port) {
		bool brackets = strchr(host, ':');
		char port[8];
		snprintf(port, sizeof(port), ":%u", address->port);
		put(&text, brackets ? "[" : "");
		put(&text, host);
		put(&text, brackets ? "]" : "");
		put(&text, port);
	} else {
		put_coded(&text, host, "?");
	}
	put_parameters(&text, address);
}

bool peer_is_datagram(enum peer_kind kind) {
	return kind == PEER_UDP || kind == PEER_UNIX_DGRAM;
}

/* ---- datagram streams ---- */

static ssize_t datagram_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, MSG_TRUNC));
	if(got < 0) {
		/* The call that failed to send took the error with it, and a datagram socket has no end. */
		return errno == EAGAIN && stream->error ? -stream->error : -errno;
	}
	return (size_t)got > cap ? -EMSGSIZE : got;
}

/* A queued datagram is its length and its bytes. */
static int datagram_queue(struct stream *stream, const struct iovec *iov, size_t total) {
	uint32_t len = (uint32_t)total;
	struct iovec record[2] = {{&len, sizeof(len)}, iov[0]};
	return stream_queue(stream, record, 2, 0);
}

static int datagram_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	assert(count == 1);
	if(total > PEER_DATAGRAM_MAX) {
		return -EMSGSIZE;
	}
	if(stream->out.len == 0 && (stream->io.ready & LOOP_OUT)) {
		ssize_t sent = network_send(stream->io.fd, iov, count, 0);
		/* No room on a device's queue: datagrams may be lost, and nothing would tell when to retry. */
		if(sent >= 0 || sent == -ENOBUFS) {
			return 0;
		}
		if(sent != -EAGAIN) {
			return (int)sent;
		}
		loop_used_up(&stream->io, LOOP_OUT);
	}
	return datagram_queue(stream, iov, total);
}

/* Sends the first queued datagram. 0, or negative errno with the datagram still queued. */
static int datagram_flush_one(struct stream *stream) {
	uint32_t len = 0;
	uint8_t *to = (uint8_t *)&len;
	struct iovec iov[PEER_DATAGRAM_IOV];
	int count = bufq_peek(&stream->out, 0, sizeof(len), iov, PEER_DATAGRAM_IOV);
	for(int i = 0; i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	count = bufq_peek(&stream->out, sizeof(len), len, iov, PEER_DATAGRAM_IOV);
	ssize_t sent = network_send(stream->io.fd, iov, count, 0);
	if(sent < 0 && sent != -ENOBUFS) {
		return (int)sent;
	}
	bufq_consume(&stream->out, &stream->loop->pool, sizeof(len) + len);
	return 0;
}

static int datagram_flush(struct stream *stream) {
	for(int i = 0; i < PEER_FLUSH_DATAGRAMS && stream->out.len > 0; i++) {
		int result = datagram_flush_one(stream);
		if(result == -EAGAIN) {
			loop_used_up(&stream->io, LOOP_OUT);
			return 0;
		}
		if(result) {
			return result;
		}
	}
	return 0;
}

static bool finish_nothing(struct stream *stream) {
	(void)stream;
	return true;
}

static const struct stream_ops datagram_ops = {
	.read = datagram_read,
	.write = datagram_write,
	.flush = datagram_flush,
	.finish = finish_nothing,
};

/* ---- fifo streams ---- */

static ssize_t fifo_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(read(stream->io.fd, data, cap));
	if(got < 0) {
		return -errno;
	}
	/* A short read proves nothing: a writer may have made packets of it (O_DIRECT, pipe(2)). */
	return got;
}

/* A fifo is no socket: here alone writing is not sendmsg(). SIGPIPE is ignored by main. */
static ssize_t fifo_send(int fd, const struct iovec *iov, int count, int flags) {
	(void)flags;
	ssize_t sent = RETRY_INTERRUPTED(writev(fd, iov, count));
	return sent < 0 ? -errno : sent;
}

/* The writing end gives no bytes, but the kernel says when the last reader has gone. */
static ssize_t fifo_tx_read(struct stream *stream, void *data, size_t cap) {
	(void)data;
	(void)cap;
	return stream->io.ready & LOOP_HUP ? -EPIPE : -EAGAIN;
}

static int fifo_rx_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	(void)stream;
	(void)iov;
	(void)count;
	(void)total;
	return -EOPNOTSUPP;
}

static int flush_nothing(struct stream *stream) {
	(void)stream;
	return 0;
}

static const struct stream_ops fifo_tx_ops = {
	.read = fifo_tx_read,
	.send = fifo_send,
	.write = stream_write_bytes,
	.flush = stream_flush_bytes,
	.finish = finish_nothing,
};

static const struct stream_ops fifo_rx_ops = {
	.read = fifo_read,
	.write = fifo_rx_write,
	.flush = flush_nothing,
	.finish = finish_nothing,
};

static const struct stream_ops *const kind_ops[PEER_KINDS] = {
	[PEER_TCP] = &network_stream_ops,
	[PEER_TLS] = &network_stream_ops,
	[PEER_UDP] = &datagram_ops,
	[PEER_UNIX] = &network_unix_ops,
	[PEER_UNIX_DGRAM] = &datagram_ops,
	[PEER_FIFO_TX] = &fifo_tx_ops,
	[PEER_FIFO_RX] = &fifo_rx_ops,
};

/* ---- connecting ---- */

/* One address that is being tried. */
struct attempt {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct peer_connect *connect;
};

enum family {
	FAMILY_6,
	FAMILY_4,
	FAMILIES
};

/* What is known of one address family. */
struct candidates {
	struct peer_connect *connect;
	struct resolve_query *query; /* running, or NULL */
	struct resolve_address *address;
	size_t count;
	size_t next; /* the first that has not been tried */
};

struct peer_connect {
	struct loop *loop;
	peer_connect_fn *fn;
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

static void connect_stop(struct peer_connect *connect) {
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

static void connect_note(struct peer_connect *connect, int error, const char *why) {
	connect->error = error;
	connect->why = why ? why : strerror(-error);
}

static void connect_done(struct peer_connect *connect, int error) {
	connect_stop(connect);
	connect->fn(connect->ctx, error, error ? connect->why : NULL);
}

static struct resolve_address *next_address(struct peer_connect *connect) {
	for(int i = 0; i < FAMILIES; i++) {
		struct candidates *family = &connect->family[connect->turn];
		connect->turn = connect->turn == FAMILY_6 ? FAMILY_4 : FAMILY_6;
		if(family->next < family->count) {
			return &family->address[family->next++];
		}
	}
	return NULL;
}

static bool connect_has_more(const struct peer_connect *connect) {
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
static int attempt_add(struct peer_connect *connect, int fd) {
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
static int attempt_start(
	struct peer_connect *connect, const struct sockaddr *address, socklen_t len) {
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
static int connect_next(struct peer_connect *connect) {
	struct resolve_address *address;
	PASSES(addresses, connect->family[FAMILY_6].count + connect->family[FAMILY_4].count + 1);
	while((address = next_address(connect))) {
		PASS(addresses);
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

static void connect_go_on(struct peer_connect *connect) {
	connect->begun = true;
	int result = connect_next(connect);
	if(result != -EINPROGRESS) {
		connect_done(connect, result);
	}
}

static void unix_again(struct peer_connect *connect);

static void connect_due(struct ev_timer *timer) {
	struct peer_connect *connect = container_of(timer, struct peer_connect, timer);
	if(connect->unix_address) {
		unix_again(connect);
	} else {
		connect_go_on(connect);
	}
}

static void attempt_run(struct ev_io *io) {
	struct attempt *attempt = container_of(io, struct attempt, io);
	struct peer_connect *connect = attempt->connect;
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
static void connect_answered(struct peer_connect *connect, const struct candidates *family) {
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
	struct peer_connect *connect = family->connect;
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

static int lookup_start(struct peer_connect *connect, struct resolver *resolver,
	const struct peer_address *address) {
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
static int connect_literal(struct peer_connect *connect, const struct peer_address *address) {
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

static int connect_network(struct peer_connect *connect, const struct peer_address *address,
	struct resolver *resolver) {
	int result = connect_literal(connect, address);
	return result == -ENOENT ? lookup_start(connect, resolver, address) : result;
}

static int connect_unix(struct peer_connect *connect, const struct peer_address *address) {
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(address->host);
	assert(len <= PEER_PATH_MAX);
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

static void unix_again(struct peer_connect *connect) {
	int result = connect_unix(connect, connect->unix_address);
	if(result != -EINPROGRESS) {
		if(result) {
			connect_note(connect, result, NULL);
		}
		connect_done(connect, result);
	}
}

static int connect_fifo(
	struct peer_connect *connect, const struct peer_address *address, const char **why) {
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

static void connect_free(struct deferred_free *dead) {
	struct peer_connect *connect = container_of(dead, struct peer_connect, dead);
	for(int i = 0; i < FAMILIES; i++) {
		free(connect->family[i].address);
	}
	free(connect);
}

static int connect_begin(struct peer_connect *connect, const struct peer_address *address,
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

int peer_connect_start(struct peer_connect **out, const struct peer_address *address,
	struct loop *loop, struct resolver *resolver, peer_connect_fn *fn, void *ctx,
	const char **why) {
	struct peer_connect *connect = calloc(1, sizeof(*connect));
	*why = NULL;
	if(!connect) {
		*why = strerror(ENOMEM);
		return -ENOMEM;
	}
	*connect = (struct peer_connect){
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
	peer_connect_free(connect);
	if(!*why) {
		*why = strerror(-result);
	}
	return result;
}

int peer_connect_take(struct peer_connect *connect, struct stream *stream, stream_fn *fn) {
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

void peer_connect_free(struct peer_connect *connect) {
	if(!connect) {
		return;
	}
	connect->winner = NULL;
	connect_stop(connect);
	loop_timer_close(connect->loop, &connect->timer);
	if(connect->fd >= 0) {
		close(connect->fd);
	}
	connect->dead.free = connect_free;
	loop_defer_free(connect->loop, &connect->dead);
}
