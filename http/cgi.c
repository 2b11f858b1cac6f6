/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request as environment of a program.
 *
 * Must not know: how programs are started.
 * Invariants: a variable that describes the request never comes from the environment of the daemon,
 * nor a field of one name from that of another; credentials are not passed on.
 * Implements RFC 3875 section 4.1.
 */
#include "http/cgi.h"

#include "base/dynbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_PREFIX "HTTP_"

/* Variables one behind the other, each with its NUL. */
struct environment {
	struct dynbuf text;
	size_t count;
	bool failed;
};

static void put(struct environment *out, struct slice text) {
	if(dynbuf_append(&out->text, text.at, text.len)) {
		out->failed = true;
	}
}

static void put_end(struct environment *out) {
	put(out, (struct slice){"", 1});
	out->count++;
}

static void put_variable(struct environment *out, const char *name, struct slice value) {
	put(out, text_slice(name));
	put(out, text_slice("="));
	put(out, value);
	put_end(out);
}

static void put_text(struct environment *out, const char *name, const char *value) {
	put_variable(out, name, text_slice(value));
}

/* ---- variables of the daemon ---- */

/* What a program may take for a part of the request. */
static bool describes_request(const char *variable) {
	static const char *const names[] = {"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE",
		"GATEWAY_INTERFACE", "HTTPS", "PATH_INFO", "PATH_TRANSLATED", "QUERY_STRING",
		"REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER",
		"REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
		"SERVER_PROTOCOL", "SERVER_SOFTWARE"};
	struct slice name = {variable, strcspn(variable, "=")};
	for(size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if(text_is(name, names[i])) {
			return true;
		}
	}
	return strncmp(variable, FIELD_PREFIX, strlen(FIELD_PREFIX)) == 0;
}

static void put_inherited(struct environment *out, char *const *inherited, bool terminal) {
	for(; *inherited; inherited++) {
		bool replaced = terminal && strncmp(*inherited, "TERM=", 5) == 0;
		if(!replaced && !describes_request(*inherited)) {
			put(out, text_slice(*inherited));
			put_end(out);
		}
	}
}

/* ---- header fields ---- */

/*
 * Only letters, digits and hyphens: X-User and X_User would be one variable (RFC 3875, 4.1.18), and
 * a proxy that sets the one may let the other pass. Credentials, and the field that would set
 * HTTP_PROXY, are left out; so is what only the daemon may claim.
 */
static bool is_passed_on(struct slice name) {
	static const char *const secret[] = {
		"Authorization", "Proxy-Authorization", "Cookie", "Proxy"};
	static const char own[] = "Websocksy-";
	for(size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
		if(text_is_nocase(name, secret[i])) {
			return false;
		}
	}
	for(size_t i = 0; i < name.len; i++) {
		if(!text_is_alphanumeric(name.at[i]) && name.at[i] != '-') {
			return false;
		}
	}
	return name.len < strlen(own) || strncasecmp(name.at, own, strlen(own)) != 0;
}

static bool is_same_name(struct slice a, struct slice b) {
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

static bool is_first(const struct request *request, size_t index) {
	for(size_t i = 0; i < index; i++) {
		if(is_same_name(request->header[i].name, request->header[index].name)) {
			return false;
		}
	}
	return true;
}

static void put_name(struct environment *out, struct slice name) {
	put(out, text_slice(FIELD_PREFIX));
	for(size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
		put(out, (struct slice){&c, 1});
	}
	put(out, text_slice("="));
}

/* Fields of one name are one list (RFC 9110, 5.3). */
static void put_field(struct environment *out, const struct request *request, size_t index) {
	struct slice name = request->header[index].name;
	put_name(out, name);
	put(out, request->header[index].value);
	for(size_t i = index + 1; i < request->headers; i++) {
		if(is_same_name(request->header[i].name, name)) {
			put(out, text_slice(", "));
			put(out, request->header[i].value);
		}
	}
	put_end(out);
}

static void put_fields(struct environment *out, const struct request *request) {
	for(size_t i = 0; i < request->headers; i++) {
		if(is_passed_on(request->header[i].name) && is_first(request, i)) {
			put_field(out, request, i);
		}
	}
}

/* ---- the request ---- */

/* A path that cannot be decoded, or not be passed on with a NUL in it, stays as it is. */
static void put_path(struct environment *out, struct slice path) {
	char *decoded = malloc(path.len + 1);
	if(!decoded) {
		out->failed = true;
		return;
	}
	int len = text_percent_decode(path, decoded, path.len + 1);
	bool usable = len >= 0 && !memchr(decoded, '\0', (size_t)len);
	put_variable(out, "PATH_INFO", usable ? (struct slice){decoded, (size_t)len} : path);
	free(decoded);
}

static void put_uri(struct environment *out, const struct request *request) {
	put(out, text_slice("REQUEST_URI="));
	put(out, request_path(request));
	put(out, request_query(request));
	put_end(out);
}

static void put_target(struct environment *out, const struct request *request) {
	struct slice query = request_query(request);
	text_take_char(&query, '?');
	put_text(out, "REQUEST_METHOD", "GET");
	put_uri(out, request);
	put_text(out, "SCRIPT_NAME", "");
	put_path(out, request_path(request));
	put_variable(out, "QUERY_STRING", query);
	put_text(out, "SERVER_PROTOCOL", "HTTP/1.1");
}

static void put_addresses(struct environment *out, const struct cgi_request *cgi) {
	char host[ADDRESS_HOST_TEXT];
	char port[8];
	snprintf(port, sizeof(port), "%u", client_view_port(cgi->view));
	put_variable(out, "SERVER_NAME", cgi->view->host);
	put_text(out, "SERVER_PORT", port);
	address_format_host(&cgi->client->any, host);
	snprintf(port, sizeof(port), "%u", address_port(cgi->client));
	put_text(out, "REMOTE_ADDR", address_is_ip(cgi->client) ? host : "");
	put_text(out, "REMOTE_PORT", address_is_ip(cgi->client) ? port : "");
}

static void put_all(
	struct environment *out, const struct cgi_request *cgi, char *const *inherited) {
	put_inherited(out, inherited, cgi->terminal);
	put_text(out, "GATEWAY_INTERFACE", "CGI/1.1");
	put_text(out, "SERVER_SOFTWARE", cgi->software);
	put_target(out, cgi->request);
	put_addresses(out, cgi);
	if(cgi->user) {
		put_text(out, "AUTH_TYPE", "Basic");
		put_text(out, "REMOTE_USER", cgi->user);
	}
	if(cgi->view->https) {
		put_text(out, "HTTPS", "on");
	}
	if(cgi->terminal) {
		put_text(out, "TERM", cgi->terminal);
	}
	put_fields(out, cgi->request);
}

/* The pointers, and the text behind them. */
static char **pointers_to(const struct environment *all) {
	size_t size = (all->count + 1) * sizeof(char *);
	char **result = malloc(size + all->text.len);
	if(!result) {
		return NULL;
	}
	char *at = (char *)result + size;
	memcpy(at, all->text.data, all->text.len);
	for(size_t i = 0; i < all->count; i++) {
		result[i] = at;
		at += strlen(at) + 1;
	}
	result[all->count] = NULL;
	return result;
}

char **cgi_environment(const struct cgi_request *cgi, char *const *inherited) {
	struct environment all = {0};
	put_all(&all, cgi, inherited);
	char **result = all.failed ? NULL : pointers_to(&all);
	dynbuf_free(&all.text);
	return result;
}
