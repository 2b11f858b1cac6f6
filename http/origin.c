/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Patterns of allowed origins, and their comparison with Origin header fields.
 *
 * Must not know: requests, connections, the consequences of a mismatch.
 * Invariants: an Origin value is compared only after all of it has been parsed as
 * scheme://host[:port]; anything else (path, user name, a second origin, white space) matches
 * nothing. Host names are compared by whole labels, never as plain suffixes.
 * Implements RFC 6454, sections 4 to 6; RFC 6455, section 10.2; RFC 3986, section 3.2.2.
 */
#include "http/origin.h"

#include "base/address.h"
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The parts of scheme://host[:port]. */
struct origin_parts {
	struct slice scheme;
	struct slice host;
	unsigned port; /* 0: none given */
};

static const struct {
	const char *scheme;
	unsigned port;
} default_ports[] = {
	{"http", 80},
	{"ws", 80},
	{"https", 443},
	{"wss", 443},
};

/* 0: unknown scheme. */
static unsigned default_port(struct slice scheme) {
	for(size_t i = 0; i < sizeof(default_ports) / sizeof(*default_ports); i++) {
		if(text_equal_nocase(scheme, text_slice(default_ports[i].scheme))) {
			return default_ports[i].port;
		}
	}
	return 0;
}

static bool is_scheme_byte(char c, bool is_first) {
	bool later = text_is_digit(c) || c == '+' || c == '-' || c == '.';
	return text_is_letter(c) || (later && !is_first);
}

/* RFC 3986, 3.1, and the "://" behind it. */
static bool take_scheme(struct slice *text, struct slice *scheme) {
	size_t len = 0;
	while(len < text->len && is_scheme_byte(text->at[len], len == 0)) {
		len++;
	}
	if(len == 0 || text->len - len < 3 || memcmp(text->at + len, "://", 3) != 0) {
		return false;
	}
	*scheme = (struct slice){.at = text->at, .len = len};
	*text = text_skip(*text, len + 3);
	return true;
}

/* The whole of `host` as an IPv6 address in brackets. */
static bool read_ip6(struct slice host, union address *address) {
	return address_take_ip6(&host, address) == 0 && host.len == 0;
}

static bool take_ip6(struct slice *text, struct slice *host) {
	union address address;
	struct slice rest = *text;
	if(address_take_ip6(&rest, &address)) {
		return false;
	}
	*host = (struct slice){.at = text->at, .len = text->len - rest.len};
	*text = rest;
	return true;
}

/*
 * Labels of letters, digits, '-' and '_'. The last may end in a dot, which makes it a different
 * name, as in browsers.
 */
static bool take_name(struct slice *text, struct slice *host) {
	size_t len = 0;
	size_t label = 0;
	if(text->len == 0) {
		return false; /* `at` may be NULL */
	}
	for(; len < text->len; len++) {
		char c = text->at[len];
		if(c == '.' && label > 0) {
			label = 0;
		} else if(text_is_letter(c) || text_is_digit(c) || c == '-' || c == '_') {
			label++;
		} else {
			break;
		}
	}
	*host = (struct slice){.at = text->at, .len = len};
	*text = text_skip(*text, len);
	return len > 0;
}

static bool take_host(struct slice *text, struct slice *host) {
	return text->len > 0 && text->at[0] == '[' ? take_ip6(text, host) : take_name(text, host);
}

/* host[:port] up to the end of the text. */
static bool read_authority(struct slice text, struct origin_parts *parts) {
	parts->port = 0;
	if(!take_host(&text, &parts->host)) {
		return false;
	}
	if(text.len == 0) {
		return true;
	}
	uint16_t port;
	if(!text_take_char(&text, ':') || address_parse_port(text, &port) || port == 0) {
		return false;
	}
	parts->port = port;
	return true;
}

/* An Origin value, with the default port filled in. */
static bool read_origin(struct slice text, struct origin_parts *parts) {
	if(!take_scheme(&text, &parts->scheme) || !read_authority(text, parts)) {
		return false;
	}
	if(parts->port == 0) {
		parts->port = default_port(parts->scheme);
	}
	return true;
}

/* IPv6 addresses are equal in any notation. */
static bool is_same_host(struct slice a, struct slice b) {
	union address first;
	union address second;
	if(read_ip6(a, &first) && read_ip6(b, &second)) {
		return address_same_host(&first, &second);
	}
	return text_equal_nocase(a, b);
}

/* At a dot: evilexample.com is not a subdomain of example.com. */
static bool is_below(struct slice host, struct slice parent) {
	if(host.len < parent.len + 2 || host.at[host.len - parent.len - 1] != '.') {
		return false;
	}
	host = text_skip(host, host.len - parent.len);
	return text_equal_nocase(host, parent);
}

/*
 * Are the origin's host and port those of the request itself? Only schemes with a default port can
 * be the origin of a web page; browser extensions may have any host name.
 */
static bool is_own_host(const struct origin_parts *origin, const struct origin_self *self) {
	unsigned assumed = default_port(origin->scheme);
	bool https =
		text_is_nocase(origin->scheme, "https") || text_is_nocase(origin->scheme, "wss");
	if(assumed == 0 || self->host.len == 0 || (self->https && !https)) {
		return false;
	}
	return is_same_host(origin->host, self->host) &&
		origin->port == (self->port == 0 ? assumed : self->port);
}

static char *copy_lower(struct slice text) {
	char *copy = strndup(text.at, text.len);
	for(char *at = copy; at && *at; at++) {
		*at = text_lower(*at);
	}
	return copy;
}

static int reject(const char **error, const char *message) {
	*error = message;
	return -EINVAL;
}

static int fill(struct origin *out, const struct origin_parts *parts, const char **error) {
	out->port = parts->port == 0 ? default_port(parts->scheme) : parts->port;
	out->scheme = copy_lower(parts->scheme);
	out->host = copy_lower(parts->host);
	if(!out->scheme || !out->host) {
		origin_free(out);
		*error = "out of memory";
		return -ENOMEM;
	}
	return 0;
}

/* The part behind the scheme: [*.]host[:port]. */
static int parse_host(
	struct slice text, struct origin_parts *parts, bool *below, const char **error) {
	struct slice rest = text;
	*below = text_begins(text, "*.");
	if(*below) {
		text = text_skip(text, 2);
		rest = text;
		if(text.len > 0 && text.at[0] == '[') {
			return reject(error, "an IP address has no subdomains");
		}
	}
	if(!take_host(&rest, &parts->host)) {
		return reject(error,
			"the host must be a name (international ones as xn--...), an IPv4 "
			"address or an IPv6 address in brackets");
	}
	if(rest.len > 0 && rest.at[0] == '/') {
		return reject(error,
			"an origin ends after host and port: leave out the slash and what follows");
	}
	if(rest.len > 0 && rest.at[0] == '*') {
		return reject(error,
			"an asterisk stands only for subdomains, as in https://*.example.com");
	}
	if(rest.len > 0 && rest.at[0] != ':') {
		return reject(error, "the host contains an invalid character");
	}
	if(!read_authority(text, parts)) {
		return reject(error, "the port must be a number from 1 to 65535");
	}
	return 0;
}

int origin_parse(const char *text, struct origin *out, const char **error) {
	struct slice rest = text_slice(text);
	struct origin_parts parts;
	bool below;
	*out = (struct origin){.kind = ORIGIN_EXACT};
	if(strcmp(text, "same") == 0 || strcmp(text, "null") == 0) {
		out->kind = text[0] == 's' ? ORIGIN_SAME : ORIGIN_NULL;
		return 0;
	}
	if(strcmp(text, ORIGIN_FILE_TEXT) == 0) {
		out->kind = ORIGIN_FILE;
		return 0;
	}
	if(!take_scheme(&rest, &parts.scheme)) {
		return reject(error,
			"expected scheme://host[:port], scheme://*.host[:port], same, null or "
			"file://");
	}
	int result = parse_host(rest, &parts, &below, error);
	if(result < 0) {
		return result;
	}
	out->kind = below ? ORIGIN_SUBDOMAIN : ORIGIN_EXACT;
	return fill(out, &parts, error);
}

void origin_free(struct origin *origin) {
	free(origin->scheme);
	free(origin->host);
	origin->scheme = NULL;
	origin->host = NULL;
}

bool origin_matches(
	const struct origin *origin, struct slice value, const struct origin_self *self) {
	struct origin_parts parts;
	if(origin->kind == ORIGIN_NULL || origin->kind == ORIGIN_FILE) {
		return text_is(value, origin->kind == ORIGIN_NULL ? "null" : ORIGIN_FILE_TEXT);
	}
	if(!read_origin(value, &parts)) {
		return false;
	}
	if(origin->kind == ORIGIN_SAME) {
		return is_own_host(&parts, self);
	}
	if(!text_equal_nocase(parts.scheme, text_slice(origin->scheme)) ||
		parts.port != origin->port) {
		return false;
	}
	struct slice wanted = text_slice(origin->host);
	return origin->kind == ORIGIN_SUBDOMAIN ? is_below(parts.host, wanted)
						: is_same_host(parts.host, wanted);
}
