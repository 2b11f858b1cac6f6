/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The option `url` of the backend `http`, and the requests that are made of it.
 *
 * Must not know: connections, responses.
 * Invariants: texts of a client become part of the target only in their percent-encoded form, and
 * in the path of the URL only if they cannot be taken for more than one segment or for a dot
 * segment, even if the server decodes them first (RFC 3986, 3.3 and 5.2.4); they become part of a
 * field only without control characters.
 */
#include "plugins/backend_http/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define URL_ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum url_part {
	URL_LITERAL = 0,
	URL_TOKEN,
	URL_PATH
};

static const struct url_placeholder {
	const char *text;
	enum url_part part;
} url_placeholders[] = {
	{"%s", URL_TOKEN},
	{"%token%", URL_TOKEN},
	{"%path%", URL_PATH},
};

/* The placeholder at `at`, and its length. */
static enum url_part url_part_at(const char *at, size_t *len) {
	for(size_t i = 0; i < sizeof(url_placeholders) / sizeof(url_placeholders[0]); i++) {
		*len = strlen(url_placeholders[i].text);
		if(strncmp(at, url_placeholders[i].text, *len) == 0) {
			return url_placeholders[i].part;
		}
	}
	*len = 1;
	return URL_LITERAL;
}

/* ---- the option ---- */

static bool url_is_hex(char byte) {
	return byte && strchr("0123456789abcdefABCDEF", byte);
}

/* A byte of a path or query (RFC 3986, 3.3 and 3.4), or the % of an encoded one. */
static bool url_is_literal(const char *at) {
	if(*at == '%') {
		return url_is_hex(at[1]) && url_is_hex(at[2]);
	}
	return strchr(URL_ALNUM "-._~!$&'()*+,;=:@/?", *at) != NULL;
}

static const char *url_parse_target(struct url *url) {
	bool query = false;
	for(const char *at = url->target; *at;) {
		size_t len;
		enum url_part part = url_part_at(at, &len);
		query = query || *at == '?';
		if(part == URL_LITERAL && !url_is_literal(at)) {
			return "must be a URL without blanks and #; a % that is not part of %s, "
			       "%token% or %path% is written %25";
		}
		if(part == URL_PATH && !query) {
			return "may have %path% only behind a ?, as in ?path=%path%";
		}
		url->has_token = url->has_token || part == URL_TOKEN;
		url->has_path = url->has_path || part == URL_PATH;
		at += len;
	}
	return NULL;
}

const char *url_parse(struct url *url, const char *text) {
	static const char form[] = "must be http://host[:port]/... or https://host[:port]/...";
	url->tls = strncmp(text, "https://", 8) == 0;
	url->has_token = false;
	url->has_path = false;
	if((!url->tls && strncmp(text, "http://", 7) != 0) || strlen(text) > URL_MAX) {
		return form;
	}
	url->host = text + (url->tls ? 8 : 7);
	url->host_len = strcspn(url->host, "/?#");
	url->target = url->host + url->host_len;
	if(!server_address(url->address, url->tls ? "tls" : "tcp", url->host, url->host_len,
		   url->tls ? "443" : "80")) {
		return form;
	}
	return url_parse_target(url);
}

const char *url_check_header(const char *name) {
	static const char *const own[] = {"Host", "Connection", "Content-Length",
		"Transfer-Encoding", "Upgrade", "TE", "Trailer", "Expect", "Keep-Alive",
		"Proxy-Connection", "User-Agent", "Accept", "Content-Type"};
	if(!name[0] || name[strspn(name, URL_ALNUM "!#$%&'*+-.^_`|~")] || strlen(name) > 128) {
		return "must be the name of a header field, such as Cookie";
	}
	for(size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if(strcasecmp(name, own[i]) == 0) {
			return "must not be a header field about the connection itself";
		}
	}
	return NULL;
}

/* ---- requests ---- */

static bool url_put(struct url_request *out, const char *text, size_t len) {
	if(sizeof(out->text) - out->len <= len) {
		return false;
	}
	memcpy(out->text + out->len, text, len);
	out->len += len;
	out->text[out->len] = '\0';
	return true;
}

static bool url_put_text(struct url_request *out, const char *text) {
	return url_put(out, text, strlen(text));
}

/* All but unreserved characters is encoded (RFC 3986, 2.3). */
static bool url_put_encoded(struct url_request *out, const char *text) {
	bool room = true;
	for(; *text && room; text++) {
		char encoded[4];
		bool plain = strchr(URL_ALNUM "-._~", *text) != NULL;
		snprintf(encoded, sizeof(encoded), "%%%02X", (unsigned)(unsigned char)*text);
		room = plain ? url_put(out, text, 1) : url_put(out, encoded, 3);
	}
	return room;
}

/* Stays the token one segment of a path? */
static bool url_is_segment(const char *token) {
	return !strpbrk(token, "/\\") && strcmp(token, ".") != 0 && strcmp(token, "..") != 0;
}

struct url_values {
	const char *token;
	const char *path;
};

static enum url_result url_put_target(
	const struct url *url, const struct url_values *values, struct url_request *out) {
	bool query = url->target[0] == '?';
	bool room = url_put_text(out, query || !url->target[0] ? "GET /" : "GET ");
	for(const char *at = url->target; *at && room;) {
		size_t len;
		enum url_part part = url_part_at(at, &len);
		query = query || *at == '?';
		if(part == URL_TOKEN && !query && !url_is_segment(values->token)) {
			return URL_BAD_TOKEN;
		}
		if(part == URL_LITERAL) {
			room = url_put(out, at, len);
		} else {
			room = url_put_encoded(
				out, part == URL_TOKEN ? values->token : values->path);
		}
		at += len;
	}
	return room ? URL_OK : URL_TOO_LONG;
}

static bool url_is_field_value(const char *value) {
	for(; *value; value++) {
		if(((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f) {
			return false;
		}
	}
	return true;
}

static bool url_put_fields(const struct url *url, const struct websocksy_core *core,
	struct websocksy_query *query, struct url_request *out) {
	bool room = url_put_text(out, " HTTP/1.1\r\nHost: ") &&
		url_put(out, url->host, url->host_len) &&
		url_put_text(out,
			"\r\nUser-Agent: websocksy\r\nAccept: application/json, text/plain\r\n");
	for(size_t i = 0; i < url->headers && room; i++) {
		const char *value = core->find(query, url->source[i]);
		if(!value) {
			continue;
		}
		room = url_is_field_value(value) &&
			url_put_text(out, strchr(url->source[i], ':') + 1) &&
			url_put_text(out, ": ") && url_put_text(out, value) &&
			url_put_text(out, "\r\n");
	}
	return room && url_put_text(out, "\r\n");
}

enum url_result url_request(const struct url *url, const struct websocksy_core *core,
	struct websocksy_query *query, struct url_request *out) {
	const char *token = url->has_token ? core->find(query, url->from) : "";
	const char *path = url->has_path ? core->find(query, "path") : "";
	struct url_values values = {.token = token ? token : "", .path = path ? path : ""};
	out->len = 0;
	if(url->has_token && !values.token[0]) {
		return URL_NO_TOKEN;
	}
	if(strlen(values.token) > URL_TOKEN_MAX) {
		return URL_BAD_TOKEN;
	}
	enum url_result result = url_put_target(url, &values, out);
	if(result == URL_OK && !url_put_fields(url, core, query, out)) {
		return URL_TOO_LONG;
	}
	return result;
}
