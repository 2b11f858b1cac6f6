/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The handshake.
 *
 * Must not know: frames; what happens after the 101.
 * Invariants: 101 is sent only when the peer is connected, so every failure is an HTTP answer; the backend is
 * asked once for a request, and no file is opened, before the client's password has been found right, for each
 * request anew; what the client sends behind its request is kept, in order; the next request is looked at when the
 * answer before has left for the kernel; a request's headers called Websocksy-* are ours alone; only trusted
 * proxies are asked whom they stand for.
 * Implements RFC 6455 section 4.2, RFC 9110 section 11.6, RFC 9112 section 9.3, and RFC 6454 (through origin.c).
 */
#include "bridge/handshake.h"

#include "http/forwarded.h"
#include "http/origin.h"
#include "http/request.h"
#include "http/response.h"
#include "http/site.h"
#include "http/verifier.h"
#include "network/peer.h"
#include "network/proxy_protocol.h"
#include "network/tls_cache.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"
#include "websocket/key.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDSHAKE_READ (16 * 1024) /* one read behind an incomplete head */
#define HANDSHAKE_RESPONSE_MAX 8192 /* an error answer; half of it for where to ask instead */
#define HANDSHAKE_PEER_TEXT 512 /* a peer's address in the log */
#define HANDSHAKE_PROXY_READ 512 /* of a PROXY header at once: mostly all of it */
#define HANDSHAKE_FILE_TURN (1024 * 1024) /* bytes of a file in one turn */
#define HANDSHAKE_REQUESTS_MAX 1000 /* of one connection */
#define HANDSHAKE_REQUESTS_TURN 16 /* in one turn */

struct handshake {
	/* An incomplete head; in CONNECTION_AUTH a complete one with what follows; later what followed. */
	struct dynbuf input;
	size_t scanned;
	size_t head_len; /* CONNECTION_AUTH: of the head in `input`; otherwise 0 */
	struct verifier_job *job; /* CONNECTION_AUTH: the password is being verified */
	char *user; /* who the client says he is; NULL: nobody has asked */
	bool granted; /* and has proven */
	bool head_only; /* the request is HEAD */
	bool upgrade; /* the request asks for WebSocket */
	bool proxy_header; /* has to come first; `input` is what there is of it */
	bool identified; /* the client's address is final */
	bool shared; /* by clients of a proxy: header fields tell whose a request is */
	union address destination; /* what the client connected to, as told by a PROXY header */
	struct connect *connect;
	struct tls_credentials *tls; /* for a TLS peer; one reference */
	struct peer_address address;
	char accept[WEBSOCKET_KEY_ACCEPT_LEN + 1];
	char *protocol; /* the chosen subprotocol, or NULL */
	int file; /* body of an answer; -1: none */
	uint64_t file_at;
	uint64_t file_left;
	unsigned requests; /* so far */
	bool keep; /* the answer leaves the connection open for the next request */
	struct loop_task task; /* goes on in the next turn, see yield() */
	struct connection *connection;
};

/* An answer instead of a connection. */
struct error_response {
	unsigned status;
	const char *message; /* one line for the client */
	const char *extra; /* header lines, or NULL */
	const char *user; /* for the log, or NULL */
};

/* An upgrade request on its way to the backend: strings are private copies in `memory`. */
struct upgrade {
	struct connection *c;
	const struct request *request;
	struct error_response response;
	size_t protocols;
	char *memory;
	struct backend_request query;
};

static void arm(struct connection *c, uint64_t timeout_ms) {
	if(timeout_ms) {
		connection_set_deadline(c, c->env->loop->now_ms + timeout_ms);
	} else {
		loop_timer_cancel(c->env->loop, &c->timer);
	}
}

static void close_file(struct handshake *h) {
	if(h->file >= 0) {
		close(h->file);
		h->file = -1;
	}
}

/* ---- answers ---- */

/* Other connections wait: goes on in the next turn, see next_turn(). */
static void yield(struct connection *c) {
	loop_timer_cancel(c->env->loop, &c->timer);
	loop_next_turn(c->env->loop, &c->handshake->task);
}

/* Nothing of a request holds for the next one. The client's address does: see may_keep(). */
static void request_reset(struct handshake *h) {
	assert(!h->job && !h->connect);
	close_file(h);
	free(h->user);
	free(h->protocol);
	h->user = NULL;
	h->protocol = NULL;
	h->granted = false;
	h->head_only = false;
	h->scanned = 0;
	h->head_len = 0;
	h->accept[0] = '\0';
}

/*
 * The answer is out. What the client asks for next may have arrived already; while the daemon stops, that
 * alone is still answered.
 */
static void response_end(struct connection *c) {
	struct handshake *h = c->handshake;
	stream_want_read(&c->client, true);
	bool more = h->input.len > 0 || stream_readable(&c->client);
	if(!h->keep || (c->env->draining && !more)) {
		connection_linger(c);
		return;
	}
	connection_enter(c, CONNECTION_HEAD);
	request_reset(h);
	arm(c, c->env->settings->handshake_timeout_ms);
}

/* Sends of the file what the client takes, but not all of a large one while others wait. */
static void response_pump(struct connection *c) {
	struct handshake *h = c->handshake;
	uint64_t budget = HANDSHAKE_FILE_TURN;
	while(h->file_left > 0 && budget > 0) {
		size_t max = (size_t)(h->file_left < budget ? h->file_left : budget);
		ssize_t sent = stream_send_file(&c->client, h->file, h->file_at, max);
		if(sent == -EAGAIN) {
			break;
		}
		if(sent <= 0) {
			/* The file has shrunk or the client is gone: the length that was promised cannot be kept. */
			connection_close(c);
			return;
		}
		h->file_at += (uint64_t)sent;
		h->file_left -= (uint64_t)sent;
		budget -= (uint64_t)sent;
	}
	if(h->file_left > 0 && budget == 0) {
		yield(c);
	} else if(h->file_left > 0 || (h->keep && stream_backlog(&c->client) > 0)) {
		/* A client that asks without reading is not answered further. */
		arm(c, c->env->settings->handshake_timeout_ms);
	} else {
		response_end(c);
	}
}

/*
 * Sends the head and begins with the file. With `keep` what follows is the next request and stays where it
 * is; otherwise it is thrown away.
 */
static void response_begin(struct connection *c, const char *head, size_t len, bool keep) {
	connection_enter(c, CONNECTION_RESPONSE);
	c->handshake->keep = keep;
	stream_want_read(&c->client, !keep);
	if(stream_write(&c->client, head, len)) {
		connection_close(c);
		return;
	}
	response_pump(c);
}

/* Answers with a status and one line, and says so in the log. */
static void respond_error(struct connection *c, const struct error_response *response) {
	char answer[HANDSHAKE_RESPONSE_MAX];
	enum log_level level = response->status >= 500 ? LOG_NOTICE : LOG_INFO;
	const char *user = response->user;
	connection_log_limited(c, level, "answered %u: %s%s%s%s", response->status,
		response->message, user ? " (user \"" : "", user ? user : "", user ? "\")" : "");
	int len = response_format_error(answer, sizeof(answer), response->status, response->message,
		response->extra, c->handshake->head_only ? RESPONSE_HEAD_ONLY : 0);
	if(len < 0) {
		connection_close(c);
		return;
	}
	response_begin(c, answer, (size_t)len, false);
}

static void respond_status(struct connection *c, unsigned status, const char *message) {
	struct error_response response = {.status = status, .message = message};
	respond_error(c, &response);
}

/*
 * May the connection be used again after the answer to this request? Not that of a proxy whose header fields tell
 * who the client is: the next request may be someone else's.
 */
static bool may_keep(const struct connection *c) {
	return !c->env->draining && !c->over_limit && !c->handshake->shared &&
		c->handshake->requests < HANDSHAKE_REQUESTS_MAX;
}

/* The path of a request's target: a query string may hold what does not belong into a log. */
static struct slice target_path(const struct request *request) {
	struct slice path = request->target;
	const char *query = memchr(path.at, '?', path.len);
	path.len = query ? (size_t)(query - path.at) : path.len;
	return path;
}

static void respond_web(struct connection *c, const struct request *request) {
	struct site_response response;
	struct slice path = target_path(request);
	/* An idle connection must not take the place that the page's own WebSocket needs. */
	site_respond(c->env->web, request, may_keep(c) && !c->env->at_limit(c), &response);
	const char *user = c->handshake->granted ? c->handshake->user : NULL;
	connection_log_limited(c, LOG_INFO, "%.*s %.*s answered %u%s%s%s", (int)request->method.len,
		request->method.at, (int)path.len, path.at, response.status,
		user ? " (user \"" : "", user ? user : "", user ? "\")" : "");
	c->handshake->file = response.fd;
	c->handshake->file_at = response.offset;
	c->handshake->file_left = response.body_len;
	response_begin(c, response.head, response.head_len, response.keep);
}

/* Is this for the option `health`? */
static bool asks_for_health(const struct connection *c, const struct request *request) {
	const char *health = c->env->settings->health;
	struct slice path = target_path(request);
	bool is_read = request_method_is(request, "GET") || request_method_is(request, "HEAD");
	return health && is_read && !c->handshake->upgrade && path.len == strlen(health) &&
		memcmp(path.at, health, path.len) == 0;
}

/*
 * What keeps the next client from being taken; NULL: nothing. One that has come for this answer alone has
 * shown that there was room for it.
 */
static const char *find_obstacle(const struct connection *c) {
	if(c->env->draining) {
		return "the server is shutting down";
	}
	bool full = c->over_limit || (c->env->full && c->handshake->requests > 1);
	return full ? "too many connections" : NULL;
}

static void respond_health(struct connection *c, const struct request *request) {
	char answer[HANDSHAKE_RESPONSE_MAX];
	const char *obstacle = find_obstacle(c);
	unsigned status = obstacle ? 503 : 200;
	bool keep = may_keep(c) && request_is_persistent(request);
	unsigned flags = keep ? RESPONSE_PERSISTENT : 0;
	flags |= c->handshake->head_only ? RESPONSE_HEAD_ONLY : 0;
	int len = response_format_error(
		answer, sizeof(answer), status, obstacle ? obstacle : "ok", NULL, flags);
	assert(len > 0);
	connection_log(c, LOG_DEBUG, "health is answered with %u", status);
	response_begin(c, answer, (size_t)len, keep);
}

/* ---- the rules of the upgrade, RFC 6455 section 4.2.1 ---- */

static struct slice header_value(const struct request *request, const char *name) {
	const struct request_header *header = request_find_header(request, name, 0);
	return header ? header->value : (struct slice){0};
}

static bool refused(struct upgrade *u, unsigned status, const char *message, const char *extra) {
	u->response = (struct error_response){.status = status, .message = message, .extra = extra};
	return false;
}

static bool check_request_line(struct upgrade *u) {
	if(!request_method_is(u->request, "GET")) {
		return refused(
			u, 405, "a WebSocket upgrade is a GET request", "Allow: GET, HEAD\r\n");
	}
	if(u->request->minor < 1) {
		return refused(u, 400, "a WebSocket upgrade needs HTTP/1.1", NULL);
	}
	if(!request_has_token(u->request, "Connection", "upgrade")) {
		return refused(u, 400, "the Connection header does not name upgrade", NULL);
	}
	return true;
}

static bool check_version(struct upgrade *u) {
	size_t count = request_count_headers(u->request, "Sec-WebSocket-Version");
	if(count > 1) {
		return refused(u, 400, "more than one Sec-WebSocket-Version header", NULL);
	}
	if(count == 0 || !text_is_nocase(header_value(u->request, "Sec-WebSocket-Version"), "13")) {
		return refused(
			u, 426, "this server speaks WebSocket version 13", RESPONSE_UPGRADE_FIELDS);
	}
	return true;
}

static bool check_key(struct upgrade *u) {
	struct slice key = header_value(u->request, "Sec-WebSocket-Key");
	if(request_count_headers(u->request, "Sec-WebSocket-Key") != 1) {
		return refused(u, 400, "there must be one Sec-WebSocket-Key header", NULL);
	}
	if(!websocket_key_valid(key.at, key.len)) {
		return refused(
			u, 400, "the Sec-WebSocket-Key is not the base64 form of 16 bytes", NULL);
	}
	websocket_key_accept(key.at, key.len, u->c->handshake->accept);
	return true;
}

static bool check_protocols(struct upgrade *u) {
	const struct request_header *header;
	for(size_t i = 0; (header = request_find_header(u->request, "Sec-WebSocket-Protocol", i));
		i++) {
		struct slice list = header->value;
		struct slice name;
		while(request_next_element(&list, &name)) {
			if(!text_is_token(name)) {
				return refused(u, 400, "a subprotocol name is no token", NULL);
			}
			u->protocols++;
		}
	}
	return true;
}

static bool check_origin(struct upgrade *u) {
	const struct settings *settings = u->c->env->settings;
	struct slice host = header_value(u->request, "Host");
	struct slice value = header_value(u->request, "Origin");
	if(settings->origins == 0) {
		return true;
	}
	if(request_count_headers(u->request, "Origin") == 1) {
		for(size_t i = 0; i < settings->origins; i++) {
			if(origin_matches(
				   &settings->origin[i], value.at, value.len, host.at, host.len)) {
				return true;
			}
		}
	}
	return refused(u, 403, "this Origin is not allowed", NULL);
}

static bool check_admission(struct upgrade *u) {
	if(u->c->env->draining) {
		return refused(u, 503, "the server is shutting down", "Retry-After: 5\r\n");
	}
	if(u->c->over_limit) {
		return refused(u, 503, "too many connections", "Retry-After: 5\r\n");
	}
	return true;
}

typedef bool upgrade_check(struct upgrade *u);
static upgrade_check *const upgrade_checks[] = {
	check_request_line,
	check_version,
	check_key,
	check_protocols,
	check_origin,
	check_admission,
};

/* ---- what we tell the backend of the client ---- */

/*
 * Header fields that are added to the request. A value is NULL if there is none, or lives as long as the
 * handshake or in `buf`. A client's own fields with this prefix are dropped, so a backend can trust them.
 */
#define INJECTED_WORD "Websocksy"
#define INJECTED_PREFIX INJECTED_WORD "-"
#define INJECTED_TEXT TLS_SUBJECT_MAX

static const char *injected_user(const struct connection *c, char buf[INJECTED_TEXT]) {
	(void)buf;
	return c->handshake->granted ? c->handshake->user : NULL;
}

/* GnuTLS leaves the control characters of a name as they are: a line end would begin another field. */
static const char *injected_subject(const struct connection *c, char buf[INJECTED_TEXT]) {
	char subject[TLS_SUBJECT_MAX];
	size_t used = 0;
	if(tls_session_client_subject(&c->client, subject) == 0) {
		return NULL;
	}
	for(const char *at = subject; *at; at++) {
		unsigned byte = (unsigned char)*at;
		bool is_control = byte < 0x20 || byte == 0x7f; /* RFC 4514, 2.4 */
		int len = snprintf(
			buf + used, INJECTED_TEXT - used, is_control ? "\\%02X" : "%c", byte);
		if(len < 0 || (size_t)len >= INJECTED_TEXT - used) {
			return NULL;
		}
		used += (size_t)len;
	}
	return buf;
}

static const char *injected_client_address(const struct connection *c, char buf[INJECTED_TEXT]) {
	address_format_host(&c->address.any, buf);
	return buf;
}

static const struct injected_header {
	const char *name;
	const char *(*value)(const struct connection *c, char buf[INJECTED_TEXT]);
} injected_headers[] = {
	{INJECTED_PREFIX "User", injected_user},
	{INJECTED_PREFIX "Client-Subject", injected_subject},
	{INJECTED_PREFIX "Client-Address", injected_client_address},
};
#define INJECTED_HEADERS (sizeof(injected_headers) / sizeof(injected_headers[0]))

/*
 * Does a client claim to be us? With Websocksy_User, too: who makes variables of fields, as CGI does (RFC 3875,
 * 4.1.18), cannot tell the one from the other.
 */
static bool is_forged(struct slice name) {
	size_t word = strlen(INJECTED_WORD);
	struct slice start = {.at = name.at, .len = word};
	return name.len > word && text_is_nocase(start, INJECTED_WORD) &&
		(name.at[word] == '-' || name.at[word] == '_');
}

/* Their values for one request. */
struct pseudo_values {
	const char *value[INJECTED_HEADERS];
	char buf[INJECTED_HEADERS][INJECTED_TEXT];
};

static void find_pseudo_values(const struct connection *c, struct pseudo_values *out) {
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		out->value[i] = injected_headers[i].value(c, out->buf[i]);
	}
}

/* The password is none of the backend's business once we have asked for it ourselves. */
static bool is_passed_on(const struct connection *c, const struct request_header *header) {
	bool is_secret = c->handshake->granted && text_is_nocase(header->name, "Authorization");
	return !is_secret && !is_forged(header->name);
}

/* ---- the question to the backend ---- */

static char *copy_slice(char **at, struct slice slice) {
	char *start = *at;
	if(slice.len > 0) {
		memcpy(start, slice.at, slice.len);
	}
	start[slice.len] = '\0';
	*at += slice.len + 1;
	return start;
}

static size_t copies_size(const struct upgrade *u, const struct pseudo_values *pseudo) {
	const struct request *request = u->request;
	size_t size = (request->headers + INJECTED_HEADERS) * sizeof(ws_http_header) +
		u->protocols * sizeof(char *);
	size += request->target.len + 1;
	for(size_t i = 0; i < request->headers; i++) {
		/* Subprotocols and the key are copied a second time out of their fields. */
		size += request->header[i].name.len + 2 * request->header[i].value.len + 4;
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		const char *value = pseudo->value[i];
		size += value ? strlen(injected_headers[i].name) + strlen(value) + 2 : 0;
	}
	return size;
}

static void copy_protocols(struct upgrade *u, char **at) {
	const struct request_header *header;
	size_t count = 0;
	for(size_t i = 0; (header = request_find_header(u->request, "Sec-WebSocket-Protocol", i));
		i++) {
		struct slice list = header->value;
		struct slice name;
		while(request_next_element(&list, &name)) {
			u->query.protocol[count++] = copy_slice(at, name);
		}
	}
	assert(count == u->protocols);
}

static char *copy_text(char **at, const char *text) {
	return copy_slice(at, (struct slice){.at = text, .len = strlen(text)});
}

static void copy_headers(struct upgrade *u, const struct pseudo_values *pseudo, char **at) {
	ws_http_header *next = u->query.header;
	for(size_t i = 0; i < u->request->headers; i++) {
		const struct request_header *header = &u->request->header[i];
		if(is_passed_on(u->c, header)) {
			next->tag = copy_slice(at, header->name);
			next++->value = copy_slice(at, header->value);
		}
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		if(pseudo->value[i]) {
			next->tag = copy_text(at, injected_headers[i].name);
			next++->value = copy_text(at, pseudo->value[i]);
		}
	}
	u->query.headers = (size_t)(next - u->query.header);
}

/* A backend may write into what it is given, so it gets copies. */
static int copy_request(struct upgrade *u) {
	const struct request *request = u->request;
	struct pseudo_values pseudo;
	find_pseudo_values(u->c, &pseudo);
	u->memory = malloc(copies_size(u, &pseudo));
	if(!u->memory) {
		return -ENOMEM;
	}
	ws_http_header *headers = (ws_http_header *)(void *)u->memory;
	char **protocols = (char **)(void *)(headers + request->headers + INJECTED_HEADERS);
	char *at = (char *)(protocols + u->protocols);
	u->query = (struct backend_request){
		.fd = u->c->client.io.fd,
		.protocols = u->protocols,
		.protocol = protocols,
		.header = headers,
	};
	u->query.endpoint = copy_slice(&at, request->target);
	u->query.key = copy_slice(&at, header_value(request, "Sec-WebSocket-Key"));
	copy_headers(u, &pseudo, &at);
	copy_protocols(u, &at);
	return 0;
}

static bool take_framing(struct upgrade *u, struct backend_answer *answer) {
	struct connection *c = u->c;
	const struct framing *framing = answer->framing;
	char *config = answer->peer.framing_config;
	const char *wrong = framing_check(framing, config);
	if(wrong) {
		connection_log_limited(c, LOG_ERROR,
			"framing-config \"%s\" of framing function %s: %s", config ? config : "",
			framing->name, wrong);
		return refused(u, 500, "the framing of this peer is configured wrongly", NULL);
	}
	answer->peer.framing_config = NULL;
	c->backend = backend_ref(c->env->backend);
	return framing_open(&c->framing, framing, config) == 0 ||
		refused(u, 503, "out of memory", NULL);
}

static bool take_peer(struct upgrade *u, const ws_peer_info *peer) {
	struct connection *c = u->c;
	struct handshake *h = c->handshake;
	const char *why = NULL;
	char text[HANDSHAKE_PEER_TEXT];
	int result = peer_parse(peer->transport, peer->host, peer->port, &h->address, &why);
	if(result == -ENOMEM) {
		return refused(u, 503, "out of memory", NULL);
	}
	if(result) {
		connection_log_limited(c, LOG_ERROR, "peer address \"%s\": %s", peer->host, why);
		return refused(u, 502, "the address of the peer is wrong", NULL);
	}
	if(h->address.guessed) {
		connection_log_limited(c, LOG_NOTICE,
			"peer address \"%s\" names no transport, tcp:// is assumed", peer->host);
	}
	peer_address_format(&h->address, text, sizeof(text));
	c->echo = h->address.kind->loopback;
	return connection_name_peer(c, text) == 0 || refused(u, 503, "out of memory", NULL);
}

static bool take_answer(struct upgrade *u, struct backend_answer *answer) {
	struct handshake *h = u->c->handshake;
	ws_peer_info *peer = &answer->peer;
	if(!peer->host) {
		/* The message lives in the answer, which outlives the response. */
		return refused(u, answer->status, answer->message, NULL);
	}
	if(peer->protocol < u->protocols) {
		/* Taken from the request, not from what the backend may have made of its copy. */
		const struct request_header *header;
		size_t skip = peer->protocol;
		for(size_t i = 0;
			(header = request_find_header(u->request, "Sec-WebSocket-Protocol", i));
			i++) {
			struct slice list = header->value;
			struct slice name;
			while(request_next_element(&list, &name)) {
				if(skip-- == 0) {
					h->protocol = strndup(name.at, name.len);
				}
			}
		}
		if(!h->protocol) {
			return refused(u, 503, "out of memory", NULL);
		}
	}
	return take_framing(u, answer) && take_peer(u, peer);
}

/* ---- connecting ---- */

static void connect_failed(struct connection *c, int error, const char *why) {
	bool ours = error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
	char message[256];
	snprintf(message, sizeof(message), "the peer cannot be reached: %s", why);
	connection_log_limited(c, LOG_WARNING, "cannot connect to %s: %s", c->peer_name, why);
	respond_status(c, ours ? 503 : 502, message);
}

/* Sends the 101 and hands the connection on. RFC 6455, section 4.2.2. */
static void handshake_finish(struct connection *c) {
	struct handshake *h = c->handshake;
	char head[512 + HANDSHAKE_HEAD_MAX];
	char *end = stpcpy(head,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: ");
	end = stpcpy(end, h->accept);
	if(h->protocol) {
		/* It is from the request, whose head has no more than HANDSHAKE_HEAD_MAX bytes. */
		end = stpcpy(end, "\r\nSec-WebSocket-Protocol: ");
		end = stpcpy(end, h->protocol);
	}
	end = stpcpy(end, "\r\n\r\n");
	assert((size_t)(end - head) < sizeof(head));
	connection_log(c, LOG_DEBUG, "connected to %s, subprotocol %s", c->peer_name,
		h->protocol ? h->protocol : "none");
	/* A client that is gone meanwhile is met by the first read. */
	stream_write(&c->client, head, (size_t)(end - head));
	c->handshake = NULL;
	c->env->opened(c, h->input.data, h->input.len);
	handshake_free(h);
}

/* `?proxy=`: who is calling, and where, in front of everything else. */
static void send_proxy_header(struct connection *c) {
	struct handshake *h = c->handshake;
	uint8_t header[PROXY_PROTOCOL_FORMAT_MAX];
	union address own = h->destination;
	socklen_t len = sizeof(own);
	if(h->address.proxy == PROXY_PROTOCOL_OFF) {
		return;
	}
	/* A Unix socket's path is cut off; an address that cannot be had stays unspecified. */
	if(own.any.sa_family == AF_UNSPEC) {
		getsockname(c->client.io.fd, &own.any, &len);
	}
	size_t header_len =
		proxy_protocol_format(h->address.proxy, &c->address.any, &own.any, header);
	/* A peer that is gone already is met by the first read. */
	stream_write(&c->peer, header, header_len);
}

static void peer_failed(struct connection *c, int error, const char *why) {
	char text[256];
	bool tls = tls_stream_is_active(&c->peer);
	snprintf(text, sizeof(text), "%s%s", tls ? "TLS failed: " : "", why);
	stream_close(&c->peer);
	connect_failed(c, error, text);
}

/* The TLS handshake with the peer goes on; the 101 waits for its end. */
static void peer_handshake(struct connection *c) {
	int result = tls_stream_handshake(&c->peer);
	if(result == 0) {
		handshake_finish(c);
	} else if(result != -EAGAIN) {
		peer_failed(c, result, stream_reason(&c->peer, result));
	}
}

/* A stream to the peer is there. TLS begins behind the PROXY header, as haproxy sends it. */
static void peer_begin(struct connection *c) {
	struct handshake *h = c->handshake;
	const char *sni = h->address.tls.sni;
	send_proxy_header(c);
	if(!h->address.kind->tls) {
		handshake_finish(c);
		return;
	}
	int result = tls_session_connect(&c->peer, h->tls, sni ? sni : h->address.host);
	if(result) {
		peer_failed(c, result,
			result == -EINVAL ? "TLS cannot ask for that name" : strerror(-result));
		return;
	}
	/* Not at once: what is set up here counts as one of the turn's handshakes. */
	loop_set_ready(c->env->loop, &c->peer.io, LOOP_IN);
}

static void peer_connected(void *ctx, int error, const char *why) {
	struct connection *c = ctx;
	struct handshake *h = c->handshake;
	if(!error) {
		error = connect_take(h->connect, &c->peer, connection_peer_event);
		why = error ? strerror(-error) : NULL;
	}
	connect_free(h->connect);
	h->connect = NULL;
	if(error) {
		connect_failed(c, error, why);
	} else {
		peer_begin(c);
	}
}

/* Before a connection is made: without these there is no use in one. False: refused. */
static bool find_credentials(struct connection *c) {
	struct handshake *h = c->handshake;
	char error[TLS_ERROR_MAX];
	if(!h->address.kind->tls) {
		return true;
	}
	int result = tls_cache_find(c->env->tls_cache, &h->address.tls, &h->tls, error);
	if(result) {
		connection_log_limited(
			c, LOG_ERROR, "cannot connect to %s: %s", c->peer_name, error);
		respond_status(c, result == -ENOMEM ? 503 : 502,
			"the peer cannot be reached: the files for TLS cannot be used");
	}
	return result == 0;
}

static void connect_peer(struct connection *c) {
	struct handshake *h = c->handshake;
	struct connection_env *env = c->env;
	const char *why;
	if(c->echo) {
		handshake_finish(c);
		return;
	}
	connection_enter(c, CONNECTION_CONNECT);
	arm(c, env->settings->connect_timeout_ms);
	if(connection_is_dead(c) || !find_credentials(c)) {
		return;
	}
	struct connect_owner owner = {env->loop, env->resolver, peer_connected, c};
	int result = connect_start(&h->connect, &h->address, &owner, &why);
	if(result == 0) {
		peer_connected(c, 0, NULL);
	} else if(result != -EINPROGRESS) {
		connect_failed(c, result, why);
	}
}

/* Asks the backend. False: u->response says why not. */
static bool ask_backend(struct upgrade *u, struct backend_answer *answer) {
	if(copy_request(u) || backend_query(u->c->env->backend, &u->query, answer)) {
		return refused(u, 503, "out of memory", NULL);
	}
	return take_answer(u, answer);
}

static void start_upgrade(struct connection *c, const struct request *request) {
	struct upgrade u = {.c = c, .request = request};
	struct backend_answer answer = {0};
	if(!check_protocols(&u)) { /* counts them; has been true before */
		respond_error(c, &u.response);
		return;
	}
	if(c->handshake->granted) {
		connection_log_limited(c, LOG_INFO, "user \"%s\" is let in", c->handshake->user);
	}
	connection_enter(c, CONNECTION_QUERY);
	if(ask_backend(&u, &answer)) {
		connect_peer(c);
	} else {
		respond_error(c, &u.response);
	}
	backend_answer_free(&answer);
	free(u.memory);
}

/* ---- who the client is ---- */

/* See below: a request that has waited begins anew, and others may be behind it. */
static bool head_bytes(struct connection *c, const uint8_t *data, size_t len);
static void head_next(struct connection *c);

enum auth_decision {
	LOGIN_GRANTED,
	LOGIN_PENDING, /* the password is being verified */
	LOGIN_DENIED /* and answered */
};

/* RFC 9110, section 11.6.1; RFC 7617, section 2.1 for the charset. */
static void refuse_user(struct connection *c, const char *message) {
	const struct passwords *users = verifier_get_passwords(c->env->auth);
	const char *user = c->handshake->user;
	struct error_response response = {
		.status = 401,
		.message = message,
		.extra = "WWW-Authenticate: Basic realm=\"websocksy\", charset=\"UTF-8\"\r\n",
		/* What is no user's name may be a password in the wrong field. */
		.user = user && users && passwords_has_user(users, user) ? user : NULL,
	};
	respond_error(c, &response);
}

static void refuse_busy(struct connection *c, const char *message) {
	struct error_response response = {
		.status = 503, .message = message, .extra = "Retry-After: 5\r\n"};
	respond_error(c, &response);
}

/* The request begins anew, with what has been kept of it. */
static void auth_resume(struct connection *c) {
	struct handshake *h = c->handshake;
	h->scanned = 0;
	if(head_bytes(c, h->input.data, h->input.len)) {
		head_next(c);
	}
}

static void auth_done(void *ctx, enum verifier_result result) {
	struct connection *c = ctx;
	struct handshake *h = c->handshake;
	h->job = NULL;
	switch(result) {
	case VERIFIER_GRANTED:
		h->granted = true;
		auth_resume(c);
		return;
	case VERIFIER_STALE:
		auth_resume(c);
		return;
	case VERIFIER_DENIED:
		refuse_user(c, "wrong user or password");
		return;
	case VERIFIER_BROKEN:
		refuse_busy(c, "the password cannot be verified now");
		return;
	}
}

static enum auth_decision start_check(
	struct connection *c, const struct basic_credentials *credentials) {
	struct handshake *h = c->handshake;
	free(h->user);
	h->user = strdup(credentials->user);
	int result = h->user ? verifier_check(c->env->auth, credentials, auth_done, c, &h->job)
			     : -ENOMEM;
	switch(result) {
	case 0:
		h->granted = true;
		return LOGIN_GRANTED;
	case -EINPROGRESS:
		return LOGIN_PENDING;
	case -EACCES:
		refuse_user(c, "wrong user or password");
		return LOGIN_DENIED;
	case -EBUSY:
		refuse_busy(c, "too many passwords are being verified");
		return LOGIN_DENIED;
	default:
		refuse_busy(c, "out of memory");
		return LOGIN_DENIED;
	}
}

/* May the client have what it asks for? */
static enum auth_decision authenticate(struct connection *c, const struct request *request) {
	const struct connection_env *env = c->env;
	struct basic_credentials credentials;
	bool concerned = c->handshake->upgrade || env->settings->web_auth;
	if(!verifier_get_passwords(env->auth) || !concerned || c->handshake->granted) {
		return LOGIN_GRANTED;
	}
	size_t count = request_count_headers(request, "Authorization");
	if(count == 0) {
		refuse_user(c, "a user and a password are needed");
		return LOGIN_DENIED;
	}
	struct slice value = header_value(request, "Authorization");
	enum auth_decision decision = LOGIN_DENIED;
	if(count > 1 || basic_parse(value.at, value.len, &credentials)) {
		refuse_user(c, "the Authorization header is no Basic authentication");
	} else {
		decision = start_check(c, &credentials);
	}
	basic_wipe(&credentials);
	return decision;
}

/* Keeps the head and what came behind it; the former is read once more afterwards. */
static void auth_wait(struct connection *c, const uint8_t *data, size_t len, size_t head_len) {
	struct handshake *h = c->handshake;
	if(data != h->input.data && dynbuf_append(&h->input, data, len)) {
		connection_close(c);
		return;
	}
	h->head_len = head_len;
	if(c->phase == CONNECTION_AUTH) {
		return; /* the users have changed; the deadline runs */
	}
	connection_enter(c, CONNECTION_AUTH);
	arm(c, c->env->settings->handshake_timeout_ms);
}

/* ---- whom a proxy stands for ---- */

/* What one kind of field comes to. The lines of a request are one list. */
static struct forwarded_chain read_proxy_field(
	const struct request *request, enum forwarded_field field, struct cidr_list trusted) {
	struct forwarded_chain chain = {0};
	const char *name = forwarded_field_name(field);
	for(size_t i = request_count_headers(request, name); i > 0; i--) {
		struct slice value = request_find_header(request, name, i - 1)->value;
		forwarded_chain_add(&chain, field, value.at, value.len, trusted);
	}
	return chain;
}

/* RFC 7239 and its predecessors; forwarded_chain_join() has the rule. */
static void read_proxy_fields(struct connection *c, const struct request *request) {
	struct cidr_list trusted = c->env->settings->trusted;
	struct forwarded_chain chain = {0};
	const char *name = NULL;
	for(int field = 0; field < FORWARDED_FIELDS; field++) {
		struct forwarded_chain told =
			read_proxy_field(request, (enum forwarded_field)field, trusted);
		if(forwarded_chain_join(&chain, &told, trusted)) {
			name = forwarded_field_name((enum forwarded_field)field);
		}
	}
	if(chain.claim == FORWARDED_CLAIM_BAD || chain.claim == FORWARDED_CLAIM_DISPUTED) {
		connection_log_limited(c, LOG_NOTICE, "the %s header of a trusted proxy %s", name,
			chain.claim == FORWARDED_CLAIM_BAD
				? "is malformed and ignored"
				: "contradicts another one; both are ignored");
	} else if(chain.claim == FORWARDED_CLAIM_ADDRESS) {
		char proxy[ADDRESS_HOST_TEXT];
		address_format_host(&c->address.any, proxy);
		c->address = chain.address;
		connection_log(
			c, LOG_DEBUG, "the address is from the %s header of %s", name, proxy);
	}
}

/* A PROXY header may have named a client that is no proxy itself: what that one claims does not count. */
static void identify(struct connection *c, const struct request *request) {
	if(!c->proxied || c->handshake->identified) {
		return;
	}
	if(cidr_list_contains(c->env->settings->trusted, &c->address.any)) {
		c->handshake->shared = true;
		read_proxy_fields(c, request);
	}
	c->handshake->identified = true;
	c->env->identified(c);
}

/* The next layer begins here: at the first byte, or behind a PROXY header. False: no memory, closed. */
static bool start_tls(struct connection *c) {
	const struct connection_env *env = c->env;
	if(env->tls && tls_session_accept(&c->client, env->tls, env->tls_detect)) {
		connection_close(c);
		return false;
	}
	return true;
}

static void tls_handshake_failed(struct connection *c, const char *why) {
	connection_log_limited(c, LOG_INFO, "TLS handshake failed: %s", why);
}

static void proxy_header_failed(struct connection *c, const char *why) {
	connection_log_limited(c, LOG_NOTICE, "closed, wrong PROXY header: %s", why);
	connection_close(c);
}

static void proxy_header_done(struct connection *c, const struct proxy_protocol_header *header) {
	struct handshake *h = c->handshake;
	h->proxy_header = false;
	dynbuf_free(&h->input);
	if(header->source.any.sa_family != AF_UNSPEC) {
		char proxy[ADDRESS_HOST_TEXT];
		address_format_host(&c->address.any, proxy);
		c->address = header->source;
		h->destination = header->destination;
		connection_log(c, LOG_DEBUG, "the address is from the PROXY header of %s", proxy);
	}
}

/*
 * Takes no byte that is not of the header out of the socket: what follows may be of any protocol, and is read when
 * its turn comes.
 */
static void proxy_header_readable(struct connection *c) {
	struct handshake *h = c->handshake;
	struct proxy_protocol_header header;
	const char *why;
	size_t used;
	if(dynbuf_reserve(&h->input, HANDSHAKE_PROXY_READ)) {
		connection_close(c);
		return;
	}
	uint8_t *fresh = h->input.data + h->input.len;
	ssize_t got = stream_peek(&c->client, fresh, HANDSHAKE_PROXY_READ);
	if(got == -EAGAIN) {
		return;
	}
	if(got <= 0) {
		connection_close(c);
		return;
	}
	enum proxy_protocol_result result = proxy_protocol_parse(
		h->input.data, h->input.len + (size_t)got, &header, &used, &why);
	if(result == PROXY_PROTOCOL_BAD) {
		proxy_header_failed(c, why);
		return;
	}
	size_t ours = result == PROXY_PROTOCOL_DONE ? used - h->input.len : (size_t)got;
	if(stream_read(&c->client, fresh, ours) != (ssize_t)ours) {
		connection_close(c);
		return;
	}
	h->input.len += ours;
	if(result == PROXY_PROTOCOL_DONE) {
		proxy_header_done(c, &header);
		start_tls(c);
	}
}

/* ---- the request head ---- */

static bool must_redirect(const struct connection *c) {
	return c->env->settings->redirect_https && c->env->tls && !tls_stream_is_active(&c->client);
}

/* redirect-https: the same request, but under TLS. */
static void redirect(struct connection *c, const struct request *request) {
	char location[HANDSHAKE_RESPONSE_MAX / 2];
	struct slice host = header_value(request, "Host");
	if(host.len == 0 || request->target.at[0] != '/') {
		respond_status(c, 400, "this server is to be reached with https");
		return;
	}
	if(host.len + request->target.len + 32 > sizeof(location)) {
		respond_status(c, 414, "the address is too long");
		return;
	}
	snprintf(location, sizeof(location), "Location: https://%.*s%.*s\r\n", (int)host.len,
		host.at, (int)request->target.len, request->target.at);
	struct error_response response = {.status = 308,
		.message = "this server is to be reached with https",
		.extra = location};
	respond_error(c, &response);
}

static void handle_request(struct connection *c, const struct request *request) {
	if(c->handshake->upgrade) {
		start_upgrade(c, request);
	} else {
		respond_web(c, request);
	}
}

/*
 * What needs to know nobody: the rules, and whether there is room. Before the password, so that what is
 * refused anyway costs no hash. False: it has been refused.
 */
static bool check_request(struct connection *c, const struct request *request) {
	struct upgrade u = {.c = c, .request = request};
	size_t count = sizeof(upgrade_checks) / sizeof(upgrade_checks[0]);
	bool fine = true;
	for(size_t i = 0; c->handshake->upgrade && fine && i < count; i++) {
		fine = upgrade_checks[i](&u);
	}
	fine = fine && check_admission(&u);
	if(!fine) {
		respond_error(c, &u.response);
	}
	return fine;
}

/* Whether `data` has been admitted: false, it has been refused, or waits in h->input. */
static bool head_admitted(struct connection *c, const struct request *request, const uint8_t *data,
	size_t len, size_t head_len) {
	if(!check_request(c, request)) {
		return false;
	}
	enum auth_decision decision = authenticate(c, request);
	if(decision == LOGIN_PENDING) {
		auth_wait(c, data, len, head_len);
	}
	return decision == LOGIN_GRANTED;
}

/* `data` is in the scratch buffer or all of h->input: a complete head and what came behind it. */
static void head_complete(struct connection *c, const struct request *request, const uint8_t *data,
	size_t len, size_t head_len) {
	struct handshake *h = c->handshake;
	struct dynbuf rest = {0};
	h->head_only = request_method_is(request, "HEAD");
	h->upgrade = request_has_token(request, "Upgrade", "websocket");
	identify(c, request);
	if(connection_is_dead(c)) {
		return; /* one too many even to be told so */
	}
	/* Whoever asks for the daemon's health needs neither room nor a password, nor TLS: balancers ask plainly. */
	bool health = asks_for_health(c, request);
	if(!health && must_redirect(c)) {
		redirect(c, request);
		return;
	}
	if(!health && !head_admitted(c, request, data, len, head_len)) {
		return;
	}
	if(dynbuf_append(&rest, data + head_len, len - head_len)) {
		connection_close(c);
		return;
	}
	struct dynbuf head = h->input; /* the request points into it */
	h->input = rest;
	h->head_len = 0;
	h->requests++;
	if(health) {
		respond_health(c, request);
	} else {
		handle_request(c, request);
	}
	dynbuf_free(&head);
}

/*
 * `len` bytes of input at `data`, in the scratch buffer or in h->input: a complete head, or a part of one.
 * `request` points into them while it is handled. True: a request has been handled, and others may follow
 * if the phase is CONNECTION_HEAD again.
 */
static bool head_bytes(struct connection *c, const uint8_t *data, size_t len) {
	struct handshake *h = c->handshake;
	struct request request;
	struct request_error error;
	size_t head_len = 0;
	enum request_result result =
		request_parse((const char *)data, len, &h->scanned, &request, &head_len, &error);
	if(result == REQUEST_BAD) {
		respond_status(c, error.status, error.message);
		return true;
	}
	if((result == REQUEST_MORE ? len : head_len) > HANDSHAKE_HEAD_MAX) {
		respond_status(c, 431, "the request head is too large");
		return true;
	}
	if(result == REQUEST_DONE) {
		head_complete(c, &request, data, len, head_len);
		return true;
	}
	if(data != h->input.data && dynbuf_append(&h->input, data, len)) {
		connection_close(c);
	}
	return false;
}

/* Closes a connection that waits for nothing but a further request. TLS wants to hear that this is the end. */
static void leave(struct connection *c) {
	if(c->handshake->requests > 0) {
		stream_finish(&c->client);
	}
	connection_close(c);
}

/*
 * Handles what a client has sent without waiting for the answers before, one after the other and not by
 * recursion: there may be many, and others have their turn, too.
 */
static void head_next(struct connection *c) {
	bool handled = true;
	for(int i = 0; handled && c->phase == CONNECTION_HEAD && c->handshake->input.len > 0; i++) {
		struct handshake *h = c->handshake;
		if(i == HANDSHAKE_REQUESTS_TURN) {
			stream_want_read(&c->client, false);
			yield(c);
			return;
		}
		handled = head_bytes(c, h->input.data, h->input.len);
	}
}

/* Those who connect and leave without a word, as monitors do, are not worth a line. */
static void log_tls_failure(struct connection *c) {
	const char *why = tls_stream_reason(&c->client);
	if(why && tls_stream_in_handshake(&c->client)) {
		tls_handshake_failed(c, why);
	} else if(why) {
		connection_log_limited(c, LOG_INFO, "TLS failed: %s", why);
	}
}

static void head_readable(struct connection *c) {
	struct handshake *h = c->handshake;
	uint8_t *into = c->env->loop->scratch;
	size_t cap = LOOP_SCRATCH_SIZE;
	if(h->input.len > 0) {
		if(dynbuf_reserve(&h->input, HANDSHAKE_READ)) {
			connection_close(c);
			return;
		}
		into = h->input.data + h->input.len;
		cap = h->input.cap - h->input.len;
	}
	ssize_t got = stream_read(&c->client, into, cap);
	if(got == -EAGAIN) {
		return;
	}
	if(got <= 0) {
		log_tls_failure(c);
		leave(c);
		return;
	}
	if(h->input.len > 0) {
		h->input.len += (size_t)got;
		into = h->input.data;
		got = (ssize_t)h->input.len;
	} else if(h->requests > 0) {
		arm(c, c->env->settings->handshake_timeout_ms); /* counts from the first byte */
	}
	if(!connection_is_dead(c) && head_bytes(c, into, (size_t)got)) {
		head_next(c);
	}
}

static void head_client(struct connection *c, unsigned events) {
	if(!(events & STREAM_READABLE)) {
		return;
	}
	if(c->handshake->proxy_header) {
		proxy_header_readable(c);
	} else {
		head_readable(c);
	}
}

/*
 * No further request: closed without a word, which would be taken for the answer to one that is on its way. But
 * the kernel may still hold much of the last answer.
 */
static void head_idle(struct connection *c) {
	uint64_t due_ms;
	if(stream_outstanding(&c->client) > 0 &&
		connection_progresses(
			&c->client, c->env->settings->handshake_timeout_ms, &due_ms)) {
		connection_set_deadline(c, due_ms);
	} else {
		leave(c);
	}
}

static void head_deadline(struct connection *c) {
	struct handshake *h = c->handshake;
	if(h->proxy_header) {
		proxy_header_failed(c, "it is not complete in time (handshake-timeout)");
		return;
	}
	if(h->requests > 0 && h->input.len == 0) {
		head_idle(c);
		return;
	}
	if(tls_stream_in_handshake(&c->client)) {
		tls_handshake_failed(c, "it is not done in time (handshake-timeout)");
		connection_close(c);
		return;
	}
	respond_status(c, 408, "no complete request in time (handshake-timeout)");
}

static void handshake_shutdown(struct connection *c) {
	respond_status(c, 503, "the server is shutting down");
}

static void head_shutdown(struct connection *c) {
	if(c->handshake->input.len == 0 || c->handshake->proxy_header) {
		leave(c); /* nothing was asked, nothing is answered */
	} else {
		handshake_shutdown(c);
	}
}

/* ---- while the password is verified or the peer is being connected ---- */

/* A client may send frames before it has the 101; they are kept, up to a bound. False: it is gone. */
static bool early_bytes(struct connection *c, unsigned events) {
	struct handshake *h = c->handshake;
	uint8_t *scratch = c->env->loop->scratch;
	if(!(events & STREAM_READABLE)) {
		return true;
	}
	ssize_t got = stream_read(&c->client, scratch, HANDSHAKE_READ);
	if(got == -EAGAIN) {
		return true;
	}
	if(got <= 0 || dynbuf_append(&h->input, scratch, (size_t)got)) {
		return false;
	}
	if(h->input.len - h->head_len >= HANDSHAKE_EARLY_MAX) {
		stream_want_read(&c->client, false);
	}
	return true;
}

static void auth_client(struct connection *c, unsigned events) {
	if(!early_bytes(c, events)) {
		connection_log_limited(
			c, LOG_INFO, "the client went away before its password was verified");
		connection_close(c);
	}
}

static void auth_end(struct connection *c) {
	verifier_cancel(c->handshake->job);
	c->handshake->job = NULL;
}

static void auth_deadline(struct connection *c) {
	auth_end(c);
	refuse_busy(c, "the password was not verified in time (handshake-timeout)");
}

static void auth_shutdown(struct connection *c) {
	auth_end(c);
	handshake_shutdown(c);
}

static void connect_client(struct connection *c, unsigned events) {
	if(!early_bytes(c, events)) {
		connection_log_limited(
			c, LOG_INFO, "the client went away before %s was connected", c->peer_name);
		connection_close(c);
	}
}

/* The stream is there already during the TLS handshake with the peer. */
static void connect_peer_event(struct connection *c, unsigned events) {
	(void)events;
	peer_handshake(c);
}

static void connect_cancel(struct connection *c) {
	connect_free(c->handshake->connect);
	c->handshake->connect = NULL;
	stream_close(&c->peer);
}

static void connect_deadline(struct connection *c) {
	connection_log_limited(c, LOG_WARNING, "cannot connect to %s: %s in time (connect-timeout)",
		c->peer_name,
		stream_is_open(&c->peer) ? "TLS: the handshake has not ended" : "no answer");
	connect_cancel(c);
	respond_status(c, 504, "the peer did not answer in time");
}

static void connect_shutdown(struct connection *c) {
	connect_cancel(c);
	handshake_shutdown(c);
}

/* ---- while an answer is on its way ---- */

static void response_client(struct connection *c, unsigned events) {
	if(events & STREAM_BROKEN) {
		connection_close(c);
		return;
	}
	if((events & STREAM_READABLE) && !c->handshake->keep) {
		/* Nothing that comes behind the request matters; its end does not stop the answer. */
		stream_read(&c->client, c->env->loop->scratch, LOOP_SCRATCH_SIZE);
	}
	if(events & STREAM_PROGRESS) {
		response_pump(c);
		head_next(c);
	}
}

static void response_deadline(struct connection *c) {
	uint64_t due_ms;
	if(connection_progresses(&c->client, c->env->settings->handshake_timeout_ms, &due_ms)) {
		connection_set_deadline(c, due_ms);
	} else {
		connection_close(c);
	}
}

const struct connection_handlers handshake_head_handlers = {
	.client = head_client,
	.deadline = head_deadline,
	.shutdown = head_shutdown,
};

const struct connection_handlers handshake_auth_handlers = {
	.client = auth_client,
	.deadline = auth_deadline,
	.shutdown = auth_shutdown,
};

const struct connection_handlers handshake_connect_handlers = {
	.client = connect_client,
	.peer = connect_peer_event,
	.deadline = connect_deadline,
	.shutdown = connect_shutdown,
};

const struct connection_handlers handshake_response_handlers = {
	.client = response_client,
	.deadline = response_deadline,
};

/* Goes on with what yield() has put off: requests that have arrived, or a large file. */
static void next_turn(struct loop_task *task) {
	struct connection *c = container_of(task, struct handshake, task)->connection;
	if(c->phase == CONNECTION_RESPONSE) {
		response_pump(c);
	} else {
		stream_want_read(&c->client, true);
		arm(c, c->env->settings->handshake_timeout_ms);
	}
	head_next(c);
}

void handshake_begin(struct connection *c) {
	c->handshake = calloc(1, sizeof(*c->handshake));
	if(!c->handshake) {
		connection_close(c);
		return;
	}
	c->handshake->file = -1;
	c->handshake->connection = c;
	c->handshake->task.fn = next_turn;
	c->handshake->proxy_header = c->proxied && c->env->settings->proxy_protocol;
	if(!c->handshake->proxy_header && !start_tls(c)) {
		return;
	}
	arm(c, c->env->settings->handshake_timeout_ms);
}

void handshake_free(struct handshake *handshake) {
	loop_task_cancel(&handshake->task);
	verifier_cancel(handshake->job);
	connect_free(handshake->connect);
	tls_credentials_unref(handshake->tls);
	peer_address_free(&handshake->address);
	free(handshake->user);
	free(handshake->protocol);
	dynbuf_free(&handshake->input);
	close_file(handshake);
	free(handshake);
}
