/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets of requests, and authorities.
 *
 * Must not know: header fields, file descriptors.
 * Invariant: a target that is accepted has neither control characters nor blanks.
 * Implements RFC 9112 section 3.2; RFC 3986 section 3.2; RFC 8615.
 */
#include "http/target.h"

#include "base/address.h"

#include <string.h>

/* RFC 8615: the one directory with a hidden name that is public. */
#define WELL_KNOWN "/.well-known"

static const char *const absolute_schemes[] = {"http://", "https://", "ws://", "wss://"};

/* The characters of a reg-name (RFC 3986, 3.2.2) that stand for themselves, but see take_name(). */
static const bool name_characters[UINT8_MAX + 1] = {
	['0' ... '9'] = true,
	['a' ... 'z'] = true,
	['A' ... 'Z'] = true,
	['-'] = true,
	['.'] = true,
	['_'] = true,
	['~'] = true,
	['!'] = true,
	['$'] = true,
	['&'] = true,
	['\''] = true,
	['('] = true,
	[')'] = true,
	['*'] = true,
	['+'] = true,
	[';'] = true,
	['='] = true,
};

/* Length of the character of a reg-name at the front of `text`; 0: none. */
static size_t name_character_len(struct slice text) {
	if(text.at[0] != '%') {
		return name_characters[(uint8_t)text.at[0]] ? 1 : 0;
	}
	bool valid =
		text.len >= 3 && text_hex_value(text.at[1]) >= 0 && text_hex_value(text.at[2]) >= 0;
	return valid ? 3 : 0;
}

/*
 * reg-name of RFC 3986, 3.2.2, but without the comma: a proxy may have joined two Host fields with
 * it.
 */
static bool take_name(struct slice host, struct slice *rest) {
	size_t len;
	*rest = host;
	while(rest->len > 0 && (len = name_character_len(*rest)) > 0) {
		*rest = text_skip(*rest, len);
	}
	return rest->len < host.len;
}

static bool take_host(struct slice text, struct slice *rest) {
	union address address;
	if(text.len == 0 || text.at[0] != '[') {
		return take_name(text, rest);
	}
	*rest = text;
	return address_take_ip6(rest, &address) == 0;
}

bool target_is_authority(struct slice text) {
	struct slice rest;
	uint64_t port;
	if(!take_host(text, &rest)) {
		return false;
	}
	/* The empty port ("host:") is allowed by RFC 3986, 3.2.3. */
	return rest.len == 0 || text_is(rest, ":") ||
		(text_take_char(&rest, ':') && text_read_decimal(rest, UINT16_MAX, &port) == 0);
}

/* Length of the authority at the front of `text` (RFC 3986, 3.2). */
static size_t authority_len(struct slice text) {
	size_t path = text_find(text, '/');
	size_t query = text_find(text, '?');
	return path < query ? path : query;
}

/*
 * Cuts "scheme://authority" off the front of `*target` (RFC 9112, 3.2.2). An empty path is "/"
 * (RFC 9110, 4.2.3), but its slash cannot be put in front of a query: see request_path().
 */
static bool reduce_absolute(struct slice *target, struct slice *authority) {
	size_t skip = 0;
	for(size_t i = 0; skip == 0 && i < sizeof(absolute_schemes) / sizeof(*absolute_schemes);
		i++) {
		size_t len = strlen(absolute_schemes[i]);
		if(target->len > len && strncasecmp(target->at, absolute_schemes[i], len) == 0) {
			skip = len;
		}
	}
	if(skip == 0) {
		return false;
	}
	struct slice rest = {.at = target->at + skip, .len = target->len - skip};
	*authority = (struct slice){.at = rest.at, .len = authority_len(rest)};
	rest = text_skip(rest, authority->len);
	*target = rest.len > 0 ? rest : text_slice("/");
	return target_is_authority(*authority);
}

/*
 * Bytes above 0x7f are accepted, although RFC 3986 does not allow them: some clients send file
 * names in UTF-8 without percent-encoding. A '#' is not: fragments are never sent (RFC 9112, 3.2).
 * The asterisk form is for OPTIONS only (3.2.4).
 */
bool target_reduce(struct slice *target, bool is_options, struct slice *authority) {
	for(size_t i = 0; i < target->len; i++) {
		char c = target->at[i];
		if(text_is_control(c) || c == ' ' || c == '#') {
			return false;
		}
	}
	*authority = (struct slice){.at = NULL, .len = 0};
	if(text_begins(*target, "/")) {
		return true;
	}
	if(text_is(*target, "*")) {
		return is_options;
	}
	return reduce_absolute(target, authority);
}

/* Is this WELL_KNOWN or something in it? */
static bool is_well_known(const char *path) {
	size_t len = strlen(WELL_KNOWN);
	return strncmp(path, WELL_KNOWN, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool target_path_is_public(const char *path) {
	if(is_well_known(path)) {
		path += strlen(WELL_KNOWN);
		if(*path == '\0') {
			return true;
		}
	}
	for(const char *at = path; *at; at++) {
		if(*at == '/' && (at[1] == '.' || at[1] == '/')) {
			return false;
		}
	}
	return path[0] == '/';
}
