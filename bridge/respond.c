/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP responses.
 *
 * Must not know: which rule was broken, which file is asked for.
 * Invariants: the next request is looked at when the response before has left for the kernel; a
 * response whose length was promised is sent whole, or the connection is closed.
 * Implements RFC 9112 section 9.3.
 */
#include "bridge/respond.h"

#include "bridge/client_address.h"
#include "bridge/handshake_state.h"
#include "bridge/response_fields.h"
#include "http/response.h"
#include "http/site.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESPOND_RESPONSE_MAX 8192 /* an error answer; half of it for where to ask instead */
#define RESPOND_FILE_TURN (1024 * 1024) /* bytes of a file in one turn */
#define RESPOND_REQUESTS_MAX 1000 /* of one connection */

void respond_close_file(struct handshake *h) {
	if(h->file >= 0) {
		close(h->file);
		h->file = -1;
	}
}

/* Nothing of a request holds for the next one. The client's address does: see may_keep(). */
static void request_reset(struct handshake *h) {
	assert(!h->job && !h->connect);
	respond_close_file(h);
	free(h->user);
	free(h->protocol);
	free(h->legacy_fields);
	h->user = NULL;
	h->protocol = NULL;
	h->legacy_fields = NULL;
	h->legacy = LEGACY_NONE;
	h->granted = false;
	h->login = 0;
	h->head_only = false;
	h->scanned = 0;
	h->head_len = 0;
	h->accept[0] = '\0';
	free(h->summary);
	h->summary = NULL;
}

/*
 * The answer is out. What the client asks for next may have arrived already; while the daemon
 * stops, that alone is still answered.
 */
static void response_end(struct connection *c) {
	struct handshake *h = c->handshake;
	stream_want_read(&c->client, true);
	bool more = h->input.len > 0 || stream_readable(&c->client);
	if(!h->keep || (c->env->ending && !more)) {
		connection_linger(c);
		return;
	}
	connection_enter(c, CONNECTION_HEAD);
	request_reset(h);
	handshake_arm(c, c->env->settings->handshake_timeout_ms);
}

/* ---- least rate ---- */

static void measure(struct connection *c) {
	stream_outstanding(&c->client);
	c->handshake->taken = c->client.taken;
	c->handshake->measured_ms = c->env->loop->now_ms;
}

bool respond_keeps_pace(struct connection *c) {
	const struct handshake *h = c->handshake;
	stream_outstanding(&c->client);
	uint64_t passed_ms = c->env->loop->now_ms - h->measured_ms;
	uint32_t taken = c->client.taken - h->taken;
	if((uint64_t)taken * 1000 < passed_ms * CONNECTION_RATE_MIN) {
		return false;
	}
	measure(c);
	return true;
}

/* handshake-timeout measures how fast the client takes the response, not whether it takes any. */
static void arm_response(struct connection *c) {
	connection_set_deadline(
		c, c->handshake->measured_ms + c->env->settings->handshake_timeout_ms);
}

/*
 * Sends as much of the file as the client takes, but only a part of a large one while other
 * connections wait.
 */
void respond_pump(struct connection *c) {
	struct handshake *h = c->handshake;
	uint64_t budget = RESPOND_FILE_TURN;
	while(h->file_left > 0 && budget > 0) {
		size_t max = (size_t)(h->file_left < budget ? h->file_left : budget);
		ssize_t sent = stream_send_file(&c->client, h->file, h->file_at, max);
		if(sent == -EAGAIN) {
			break;
		}
		if(sent <= 0) {
			/*
			 * The file has shrunk or the client is gone: the length that was promised
			 * cannot be kept.
			 */
			connection_close(c);
			return;
		}
		h->file_at += (uint64_t)sent;
		h->file_left -= (uint64_t)sent;
		budget -= (uint64_t)sent;
	}
	if(h->file_left > 0 && budget == 0) {
		handshake_yield(c);
	} else if(h->file_left > 0 || (h->keep && stream_backlog(&c->client) > 0)) {
		/* A client that asks without reading is not answered further. */
		arm_response(c);
	} else {
		response_end(c);
	}
}

/* The connection's own fields go behind the status line. 0 or negative errno. */
static int write_head(struct connection *c, const char *head, size_t len) {
	char start[128 + RESPONSE_FIELDS_MAX];
	const char *line = memchr(head, '\n', len);
	size_t line_len = line ? (size_t)(line - head) + 1 : 0;
	assert(line_len > 0 && line_len <= sizeof(start) - RESPONSE_FIELDS_MAX);
	size_t fields_len = response_fields_write(c, start + line_len);
	if(fields_len == 0) {
		return stream_write(&c->client, head, len);
	}
	memcpy(start, head, line_len);
	int result = stream_write(&c->client, start, line_len + fields_len);
	return result ? result : stream_write(&c->client, head + line_len, len - line_len);
}

/*
 * Sends the head and begins with the file. With `keep` what follows is the next request and stays
 * where it is; otherwise it is thrown away.
 */
static void response_begin(struct connection *c, const char *head, size_t len, bool keep) {
	connection_enter(c, CONNECTION_RESPONSE);
	c->handshake->keep = keep;
	stream_want_read(&c->client, !keep);
	if(write_head(c, head, len)) {
		connection_close(c);
		return;
	}
	measure(c);
	respond_pump(c);
}

/* Lines for which clients may be banned have a limit of their own. */
static enum log_kind log_kind_of(unsigned status) {
	return status == 401 || status == 429 ? LOG_KIND_AUTHENTICATION : LOG_KIND_REQUEST;
}

/* The text of the daemon comes first, before anything that the client has chosen. */
static void log_response(struct connection *c, const struct error_response *response) {
	const char *summary = c->handshake->summary;
	const char *user = response->user;
	enum log_level level = response->status >= 500 ? LOG_NOTICE : LOG_INFO;
	if(response->minor) {
		level = LOG_DEBUG;
	}
	connection_log_limited(c, log_kind_of(response->status), level, "answered %u: %s%s%s%s%s%s",
		response->status, response->message, user ? " (user \"" : "", user ? user : "",
		user ? "\")" : "", summary ? ", " : "", summary ? summary : "");
}

/* Answers with a status and one line, and says so in the log. */
void respond_error(struct connection *c, const struct error_response *response) {
	char answer[RESPOND_RESPONSE_MAX];
	log_response(c, response);
	int len = response_format_error(answer, sizeof(answer), response->status, response->message,
		response->extra, c->handshake->head_only ? RESPONSE_HEAD_ONLY : 0);
	if(len < 0) {
		connection_close(c);
		return;
	}
	response_begin(c, answer, (size_t)len, false);
}

void respond_status(struct connection *c, unsigned status, const char *message) {
	struct error_response response = {.status = status, .message = message};
	respond_error(c, &response);
}

void respond_busy(struct connection *c, const char *message) {
	struct error_response response = {
		.status = 503, .message = message, .extra = "Retry-After: 5\r\n"};
	respond_error(c, &response);
}

void respond_shutdown(struct connection *c) {
	respond_status(c, 503, "the server is shutting down");
}

/*
 * May the connection be used again after the answer to this request? Not that of a proxy whose
 * header fields tell who the client is: the next request may be someone else's.
 */
static bool may_keep(const struct connection *c) {
	return !c->env->ending && !c->over_limit && !c->handshake->shared &&
		c->handshake->requests < RESPOND_REQUESTS_MAX;
}

void respond_web(struct connection *c, const struct request *request) {
	struct site_response response;
	/* A query string may hold secrets, which do not belong into a log. */
	struct slice path = request_path(request);
	/* An idle connection must not take the place that the page's own WebSocket needs. */
	site_respond(c->env->web, request, may_keep(c) && !admission_at_limit(c), &response);
	const char *user = c->handshake->granted ? c->handshake->user : NULL;
	connection_log_limited(c, LOG_KIND_REQUEST, LOG_INFO, "%.*s %.*s answered %u%s%s%s",
		(int)request->method.len, request->method.at, (int)path.len, path.at,
		response.status, user ? " (user \"" : "", user ? user : "", user ? "\")" : "");
	c->handshake->costly = response.costly;
	c->handshake->file = response.fd;
	c->handshake->file_at = response.offset;
	c->handshake->file_left = response.body_len;
	response_begin(c, response.head, response.head_len, response.keep);
}

/* Is this for the option `health`? */
bool respond_is_health(const struct connection *c, const struct request *request) {
	const char *health = c->env->settings->health;
	struct slice path = request_path(request);
	bool is_allowed = request_method_is(request, "GET") || request_method_is(request, "HEAD") ||
		request_method_is(request, "OPTIONS");
	return health && is_allowed && !c->handshake->upgrade && path.len == strlen(health) &&
		memcmp(path.at, health, path.len) == 0;
}

bool respond_is_challenge(const struct connection *c, const struct request *request) {
	return c->env->web && !c->handshake->upgrade &&
		text_begins(request_path(request), "/.well-known/acme-challenge/");
}

/*
 * What keeps the next client from being taken; NULL: nothing. One that has come for this answer
 * alone has shown that there was room for it.
 */
static const char *find_obstacle(const struct connection *c) {
	if(c->env->leaving || c->env->draining) {
		return "the server is shutting down";
	}
	bool full = c->over_limit ||
		(admission_is_full(&c->env->admission) && c->handshake->requests > 1);
	return full ? "too many connections" : NULL;
}

void respond_health(struct connection *c, const struct request *request) {
	char answer[RESPOND_RESPONSE_MAX];
	const char *obstacle = find_obstacle(c);
	unsigned status = obstacle ? 503 : 200;
	bool keep = may_keep(c) && request_is_persistent(request);
	unsigned flags = keep ? RESPONSE_PERSISTENT : 0;
	flags |= c->handshake->head_only ? RESPONSE_HEAD_ONLY : 0;
	int len = response_format_error(answer, sizeof(answer), status, obstacle ? obstacle : "ok",
		request_method_is(request, "OPTIONS") ? "Allow: GET, HEAD, OPTIONS\r\n" : NULL,
		flags);
	assert(len > 0);
	connection_log(c, LOG_DEBUG, "health is answered with %u", status);
	response_begin(c, answer, (size_t)len, keep);
}

bool respond_check_admission(const struct connection *c, struct error_response *response) {
	bool page = c->env->web && !c->handshake->upgrade && admission_serves_page(c);
	bool taken = c->handshake->upgrade && lifetime_is_taken(&c->env->lifetime);
	const char *obstacle = c->env->draining ? "the server is shutting down"
		: taken                         ? RESPOND_TAKEN
		: c->over_limit && !page        ? "too many connections"
						: NULL;
	return !obstacle || error_response_set(response, 503, obstacle, "Retry-After: 5\r\n");
}

/* Behind a proxy that ends TLS the scheme is the one that the proxy tells. */
bool respond_must_redirect(const struct connection *c, const struct request *request) {
	struct client_view view;
	if(!c->env->settings->redirect_https) {
		return false;
	}
	client_address_view(c, request, &view);
	return !view.https && (c->env->tls || view.told);
}

/*
 * The port for TLS, 0: the default. Behind a trusted reverse proxy it is the proxy's; a socket that
 * takes no TLS has another one beside it, or the service manager has.
 */
static uint16_t redirect_port(const struct connection *c, const struct client_view *view) {
	if(view->told) {
		return 0;
	}
	return c->tls == ADDRESS_TLS_NEVER ? c->env->tls_port : view->port;
}

/* The same request, but under TLS. */
void respond_redirect(struct connection *c, const struct request *request) {
	char location[RESPOND_RESPONSE_MAX / 2];
	char port[8] = "";
	struct client_view view;
	client_address_view(c, request, &view);
	if(view.host.len == 0 || text_is(request->target, "*")) {
		respond_status(c, 400, "this server is to be reached with https");
		return;
	}
	if(view.host.len + request->target.len + 40 > sizeof(location)) {
		respond_status(c, 414, "the address is too long");
		return;
	}
	uint16_t number = redirect_port(c, &view);
	if(number != 0 && (number != 443 || c->tls != ADDRESS_TLS_NEVER)) {
		snprintf(port, sizeof(port), ":%u", number);
	}
	snprintf(location, sizeof(location), "Location: https://%.*s%s%.*s\r\n", (int)view.host.len,
		view.host.at, port, (int)request->target.len, request->target.at);
	struct error_response response = {.status = 308,
		.message = "this server is to be reached with https",
		.extra = location};
	respond_error(c, &response);
}

void respond_deadline(struct connection *c) {
	if(respond_keeps_pace(c)) {
		arm_response(c);
		return;
	}
	connection_log_limited(
		c, LOG_KIND_REQUEST, LOG_INFO, "closed: the client takes the response too slowly");
	connection_close(c);
}
