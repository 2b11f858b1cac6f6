/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request as the backend receives it.
 *
 * Must not know: backends.
 * Invariants: a request's header fields called Websocksy-* are the daemon's own; a backend may
 * change its arguments, so it gets copies.
 */
#include "bridge/query_request.h"

#include "bridge/handshake_state.h"
#include "http/login_cookie.h"
#include "network/tls_session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct query_copy {
	struct connection *c;
	const struct request *head;
	struct backend_request *out;
};

/* ---- header fields about the client ---- */

/*
 * Header fields that are added to the request. A value is NULL if there is none, or lives as long
 * as the handshake or in `buf`. A client's own fields with this prefix are dropped, so a backend
 * can trust them.
 */
#define INJECTED_WORD "Websocksy"
#define INJECTED_PREFIX INJECTED_WORD "-"
#define INJECTED_TEXT TLS_SUBJECT_MAX

static const char *injected_user(const struct connection *c, char buf[INJECTED_TEXT]) {
	(void)buf;
	return c->handshake->granted ? c->handshake->user : NULL;
}

/*
 * GnuTLS leaves the control characters of a name as they are: a line end would begin another field.
 */
static const char *escape_name(const char *name, char buf[INJECTED_TEXT]) {
	size_t used = 0;
	for(const char *at = name; *at; at++) {
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

static const char *injected_subject(const struct connection *c, char buf[INJECTED_TEXT]) {
	char name[TLS_SUBJECT_MAX];
	return tls_session_client_subject(&c->client, name) > 0 ? escape_name(name, buf) : NULL;
}

static const char *injected_issuer(const struct connection *c, char buf[INJECTED_TEXT]) {
	char name[TLS_SUBJECT_MAX];
	return tls_session_client_issuer(&c->client, name) > 0 ? escape_name(name, buf) : NULL;
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
	{INJECTED_PREFIX "Client-Issuer", injected_issuer},
	{INJECTED_PREFIX "Client-Address", injected_client_address},
};
#define INJECTED_HEADERS (sizeof(injected_headers) / sizeof(injected_headers[0]))

/*
 * Does a client claim to be us? With Websocksy_User, too: who makes variables of fields, as CGI
 * does (RFC 3875, 4.1.18), cannot tell the one from the other.
 */
static bool is_forged(struct slice name) {
	size_t word = strlen(INJECTED_WORD);
	struct slice start = {.at = name.at, .len = word};
	return name.len > word && text_is_nocase(start, INJECTED_WORD) &&
		(name.at[word] == '-' || name.at[word] == '_');
}

/* Their values for one request. */
struct injected_values {
	const char *value[INJECTED_HEADERS];
	char buf[INJECTED_HEADERS][INJECTED_TEXT];
};

static void find_injected_values(
	const struct connection *c, bool wanted, struct injected_values *out) {
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		out->value[i] = wanted ? injected_headers[i].value(c, out->buf[i]) : NULL;
	}
}

/* A password that has been verified here is not passed on. */
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

/* The path of an absolute form may be empty (RFC 9110, 4.2.3). */
static char *copy_target(char **at, const struct request *request) {
	char *target = *at;
	copy_slice(at, request_path(request));
	(*at)--; /* the query follows in place of the NUL */
	copy_slice(at, request_query(request));
	return target;
}

static size_t copies_size(const struct query_copy *q, const struct injected_values *injected) {
	const struct request *request = q->head;
	size_t size = (request->headers + INJECTED_HEADERS) * sizeof(ws_http_header) +
		q->c->handshake->protocols * sizeof(char *);
	size += request->target.len + 2;
	for(size_t i = 0; i < request->headers; i++) {
		/* Subprotocols and the key are copied a second time; a cookie may get spaces. */
		size += request->header[i].name.len + 2 * request->header[i].value.len + 4;
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		const char *value = injected->value[i];
		size += value ? strlen(injected_headers[i].name) + strlen(value) + 2 : 0;
	}
	return size;
}

static void copy_protocols(struct query_copy *q, char **at) {
	const struct request_header *header;
	size_t count = 0;
	const char *field = handshake_protocol_field(q->c->handshake);
	for(size_t i = 0; (header = request_find_header(q->head, field, i)); i++) {
		struct slice list = header->value;
		struct slice name;
		while(request_next_element(&list, &name)) {
			q->out->protocol[count++] = copy_slice(at, name);
		}
	}
	assert(count == q->c->handshake->protocols);
}

static char *copy_text(char **at, const char *text) {
	return copy_slice(at, (struct slice){.at = text, .len = strlen(text)});
}

/* A login cookie is as good as a password for its lifetime. */
static char *copy_value(
	const struct connection *c, const struct request_header *header, char **at) {
	char name[LOGIN_COOKIE_NAME];
	if(c->env->settings->auth_cookie_ms == 0 || !text_is_nocase(header->name, "Cookie")) {
		return copy_slice(at, header->value);
	}
	char *start = *at;
	login_cookie_name(c->env->settings->port, name);
	size_t len = login_cookie_strip(header->value, name, start);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

static void copy_headers(struct query_copy *q, const struct injected_values *injected, char **at) {
	ws_http_header *next = q->out->header;
	for(size_t i = 0; i < q->head->headers; i++) {
		const struct request_header *header = &q->head->header[i];
		if(is_passed_on(q->c, header)) {
			next->tag = copy_slice(at, header->name);
			next++->value = copy_value(q->c, header, at);
		}
	}
	for(size_t i = 0; i < INJECTED_HEADERS; i++) {
		if(injected->value[i]) {
			next->tag = copy_text(at, injected_headers[i].name);
			next++->value = copy_text(at, injected->value[i]);
		}
	}
	q->out->headers = (size_t)(next - q->out->header);
}

int query_request_copy(struct connection *c, const struct request *request, bool whole,
	struct backend_request *out) {
	struct query_copy q = {.c = c, .head = request, .out = out};
	struct injected_values injected;
	find_injected_values(c, whole, &injected);
	char *memory = malloc(copies_size(&q, &injected));
	if(!memory) {
		return -ENOMEM;
	}
	ws_http_header *headers = (ws_http_header *)(void *)memory;
	char **protocols = (char **)(void *)(headers + request->headers + INJECTED_HEADERS);
	char *at = (char *)(protocols + c->handshake->protocols);
	*out = (struct backend_request){
		.fd = c->client.io.fd,
		.client = c->address,
		.protocols = c->handshake->protocols,
		.protocol = protocols,
		.header = headers,
		.memory = memory,
	};
	copy_protocols(&q, &at);
	if(whole) {
		out->endpoint = copy_target(&at, request);
		out->key = copy_slice(&at, header_value(request, "Sec-WebSocket-Key"));
		copy_headers(&q, &injected, &at);
	}
	return 0;
}
