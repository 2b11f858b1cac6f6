/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parsing and formatting of socket addresses.
 *
 * Must not know: name resolution, descriptors.
 * Invariants: a literal is accepted in the one form of inet_pton(3), never in the historic ones of
 * inet_aton(3); no port and no mode is accepted with anything behind it.
 * Implements RFC 4291, section 2.2, through inet_pton(3); RFC 4007, section 11; unix(7).
 */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODE_MAX 0777

static const char unix_prefix[] = "unix:";
static const char mode_prefix[] = ",mode=";

/* ---- parsing ---- */

int address_parse(struct slice text, union address *out) {
	char copy[INET6_ADDRSTRLEN];
	*out = (union address){0};
	if(text_copy(text, copy, sizeof(copy))) {
		return -EINVAL;
	}
	if(inet_pton(AF_INET, copy, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		return 0;
	}
	if(inet_pton(AF_INET6, copy, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		return 0;
	}
	*out = (union address){0};
	return -EINVAL;
}

int address_parse_zone(struct slice text, union address *out, struct slice *zone) {
	struct slice literal;
	*zone = (struct slice){0};
	if(!text_split(&text, '%', &literal)) {
		return address_parse(text, out);
	}
	int result = address_parse(literal, out);
	if(result == 0 && (out->any.sa_family != AF_INET6 || text.len == 0)) {
		*out = (union address){0};
		result = -EINVAL;
	}
	*zone = text;
	return result;
}

int address_take_ip6(struct slice *rest, union address *out) {
	struct slice after = *rest;
	struct slice literal;
	*out = (union address){0};
	if(!text_take_char(&after, '[') || !text_split(&after, ']', &literal) ||
		address_parse(literal, out) || out->any.sa_family != AF_INET6) {
		*out = (union address){0};
		return -EINVAL;
	}
	*rest = after;
	return 0;
}

int address_parse_port(struct slice text, uint16_t *out) {
	uint64_t number;
	if(text.len > 5 || text_read_decimal(text, UINT16_MAX, &number)) {
		return -EINVAL;
	}
	*out = (uint16_t)number;
	return 0;
}

int address_parse_endpoint(struct slice text, union address *out) {
	uint64_t port = 0;
	if(address_parse(text, out) == 0) {
		return 0;
	}
	if(address_take_ip6(&text, out)) {
		size_t host = text_find(text, ':');
		if(address_parse((struct slice){text.at, host}, out)) {
			return -EINVAL;
		}
		text = text_skip(text, host);
	}
	if(text.len == 0) {
		return 0;
	}
	if(!text_take_char(&text, ':') || text_read_decimal(text, UINT16_MAX, &port) || port == 0) {
		*out = (union address){0};
		return -EINVAL;
	}
	address_set_port(out, (uint16_t)port);
	return 0;
}

int address_parse_server(struct slice text, union address *out, struct slice *zone) {
	char plain[ADDRESS_TEXT];
	size_t percent = text_find(text, '%');
	*zone = (struct slice){0};
	if(percent == text.len) {
		return address_parse_endpoint(text, out);
	}
	struct slice rest = text_skip(text, percent + 1);
	*zone = (struct slice){rest.at, text_find(rest, ']')};
	rest = text_skip(rest, zone->len);
	size_t len = percent + rest.len;
	*out = (union address){0};
	if(zone->len == 0 || len > sizeof(plain)) {
		return -EINVAL;
	}
	memcpy(plain, text.at, percent);
	memcpy(plain + percent, rest.at, rest.len);
	int result = address_parse_endpoint((struct slice){plain, len}, out);
	return result == 0 && out->any.sa_family != AF_INET6 ? -EINVAL : result;
}

bool address_is_ip6(const char *text, bool zone) {
	union address address;
	struct slice behind;
	return address_parse_zone(text_slice(text), &address, &behind) == 0 &&
		address.any.sa_family == AF_INET6 && (zone || behind.len == 0);
}

/* ---- Unix sockets ---- */

bool address_is_unix(const char *text) {
	return strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0;
}

/* Octal digits as chmod(1) takes them, up to the end of the text. */
static int parse_mode(const char *text, mode_t *out) {
	size_t len = strspn(text, "01234567");
	unsigned long mode = len <= 4 ? strtoul(text, NULL, 8) : MODE_MAX + 1;
	if(len == 0 || text[len] != '\0' || mode > MODE_MAX) {
		return -EINVAL;
	}
	*out = (mode_t)mode;
	return 0;
}

int address_parse_unix(const char *text, struct address_unix *out, const char **why) {
	*out = (struct address_unix){0};
	const char *path = address_is_unix(text) ? text + sizeof(unix_prefix) - 1 : "";
	const char *mode = strstr(path, mode_prefix);
	size_t len = mode ? (size_t)(mode - path) : strlen(path);
	if((path[0] != '/' && path[0] != '@') || len < 2) {
		*why = "is not an absolute path (use unix:/path[,mode=0660] or unix:@name)";
		return -EINVAL;
	}
	if(len > ADDRESS_UNIX_MAX) {
		*why = "is too long for the path of a socket (at most 107 bytes)";
		return -EINVAL;
	}
	if(mode && parse_mode(mode + sizeof(mode_prefix) - 1, &out->mode)) {
		*why = "has an invalid mode (use octal digits, 0 to 0777)";
		return -EINVAL;
	}
	out->path = (struct slice){path, len};
	out->has_mode = mode != NULL;
	return 0;
}

int address_of_path(struct slice path, struct socket_address *out) {
	*out = (struct socket_address){.un.sun_family = AF_UNIX};
	if(path.len == 0) {
		return -EINVAL;
	}
	if(path.len > ADDRESS_UNIX_MAX) {
		return -ENAMETOOLONG;
	}
	memcpy(out->un.sun_path, path.at, path.len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);
	if(path.at[0] == '@') {
		out->un.sun_path[0] = '\0'; /* the name is all bytes up to `len` */
	} else {
		out->len++;
	}
	return 0;
}

/* ---- IP addresses ---- */

union address address_of(const struct sockaddr *from) {
	union address address = {0};
	if(from->sa_family == AF_INET) {
		memcpy(&address.in, from, sizeof(address.in));
	} else if(from->sa_family == AF_INET6) {
		memcpy(&address.in6, from, sizeof(address.in6));
		address_unmap(&address);
	} else if(from->sa_family == AF_UNIX) {
		address.any.sa_family = AF_UNIX;
	}
	return address;
}

bool address_is_ip(const union address *address) {
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

void address_unmap(union address *address) {
	if(address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
		struct sockaddr_in in = {
			.sin_family = AF_INET,
			.sin_port = address->in6.sin6_port,
		};
		memcpy(&in.sin_addr, &address->in6.sin6_addr.s6_addr[12], 4);
		*address = (union address){.in = in};
	}
}

void address_map(union address *address) {
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = address->in.sin_port,
	};
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &address->in.sin_addr, 4);
	address->in6 = in6;
}

const uint8_t *address_bytes(const union address *address, size_t *len) {
	if(address->any.sa_family == AF_INET) {
		*len = sizeof(address->in.sin_addr);
		return (const uint8_t *)&address->in.sin_addr;
	}
	*len = address->any.sa_family == AF_INET6 ? sizeof(address->in6.sin6_addr) : 0;
	return address->in6.sin6_addr.s6_addr;
}

socklen_t address_size(const union address *address) {
	return address->any.sa_family == AF_INET6   ? sizeof(address->in6)
		: address->any.sa_family == AF_INET ? sizeof(address->in)
						    : sizeof(sa_family_t);
}

uint16_t address_port(const union address *address) {
	return address->any.sa_family == AF_INET     ? ntohs(address->in.sin_port)
		: address->any.sa_family == AF_INET6 ? ntohs(address->in6.sin6_port)
						     : 0;
}

void address_set_port(union address *address, uint16_t port) {
	if(address->any.sa_family == AF_INET) {
		address->in.sin_port = htons(port);
	} else if(address->any.sa_family == AF_INET6) {
		address->in6.sin6_port = htons(port);
	}
}

bool address_same_host(const union address *a, const union address *b) {
	size_t len;
	size_t other;
	const uint8_t *first = address_bytes(a, &len);
	const uint8_t *second = address_bytes(b, &other);
	return a->any.sa_family == b->any.sa_family && memcmp(first, second, len) == 0;
}

/* ---- formatting ---- */

/* inet_ntop() does this through printf(), and each connection needs it. */
static void format_ip4(const uint8_t bytes[4], char *out) {
	for(int i = 0; i < 4; i++) {
		if(bytes[i] >= 100) {
			*out++ = (char)('0' + bytes[i] / 100);
		}
		if(bytes[i] >= 10) {
			*out++ = (char)('0' + bytes[i] / 10 % 10);
		}
		*out++ = (char)('0' + bytes[i] % 10);
		*out++ = i < 3 ? '.' : '\0';
	}
}

void address_format_host(const struct sockaddr *from, char out[ADDRESS_HOST_TEXT]) {
	union address address = address_of(from);
	size_t len;
	const uint8_t *bytes = address_bytes(&address, &len);
	if(address.any.sa_family == AF_INET) {
		format_ip4(bytes, out);
	} else if(address.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, bytes, out, ADDRESS_HOST_TEXT);
	} else {
		snprintf(out, ADDRESS_HOST_TEXT, "%s",
			address.any.sa_family == AF_UNIX ? "unix" : "unknown");
	}
}

static void format_unix(const struct sockaddr_un *address, socklen_t len, char *out, size_t cap) {
	size_t path_len = len > offsetof(struct sockaddr_un, sun_path)
		? len - offsetof(struct sockaddr_un, sun_path)
		: 0;
	if(path_len == 0) {
		snprintf(out, cap, "unix");
	} else if(address->sun_path[0] == '\0') {
		snprintf(out, cap, "unix:@%.*s", (int)(path_len - 1), address->sun_path + 1);
	} else {
		snprintf(out, cap, "unix:%.*s", (int)strnlen(address->sun_path, path_len),
			address->sun_path);
	}
}

void address_format(const struct sockaddr *from, socklen_t len, char *out, size_t cap) {
	char host[ADDRESS_HOST_TEXT];
	union address address = address_of(from);
	uint16_t port = address_port(&address);
	if(from->sa_family == AF_UNIX) {
		format_unix((const struct sockaddr_un *)(const void *)from, len, out, cap);
		return;
	}
	address_format_host(from, host);
	if(port == 0) {
		snprintf(out, cap, "%s", host); /* a proxy has sent the host alone */
	} else {
		snprintf(out, cap, address.any.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
			port);
	}
}

/* ---- values of options ---- */

const char *address_check_servers(const char *text) {
	struct slice rest = text_slice(text);
	struct slice server;
	struct slice zone;
	union address address;
	bool more = rest.len > 0;
	while(more) {
		more = text_split(&rest, ',', &server);
		if(address_parse_server(more ? server : rest, &address, &zone)) {
			return "is not a list of name servers (use ADDR[:PORT],... with IPv6 "
			       "addresses in brackets)";
		}
	}
	return NULL;
}

/* Takes ",tls" or ",plain" off the end. */
static enum address_tls take_tls(struct slice *text) {
	static const char *const words[] = {
		[ADDRESS_TLS_ONLY] = ",tls", [ADDRESS_TLS_NEVER] = ",plain"};
	for(size_t i = ADDRESS_TLS_ONLY; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]);
		if(text->len > len && memcmp(text->at + text->len - len, words[i], len) == 0) {
			text->len -= len;
			return (enum address_tls)i;
		}
	}
	return ADDRESS_TLS_DEFAULT;
}

/* Takes ":PORT" off the end: behind brackets, or behind the only colon. 0 or -EINVAL. */
static int take_port(struct slice *text, struct address_listen *out) {
	const char *colon = memrchr(text->at, ':', text->len);
	bool brackets = text->at[0] == '[' && colon > text->at && colon[-1] == ']';
	if(!colon || (!brackets && memchr(text->at, ':', text->len) != colon)) {
		return 0;
	}
	struct slice port = {colon + 1, text->len - (size_t)(colon + 1 - text->at)};
	text->len = (size_t)(colon - text->at);
	out->has_port = true;
	return address_parse_port(port, &out->port);
}

static int parse_listen_unix(const struct slice *text, const char **why) {
	char copy[ADDRESS_UNIX_MAX + 32]; /* with "unix:" and a mode */
	struct address_unix local;
	if(text->len >= sizeof(copy)) {
		*why = "is too long for the path of a socket (at most 107 bytes)";
		return -EINVAL;
	}
	memcpy(copy, text->at, text->len);
	copy[text->len] = '\0';
	return address_parse_unix(copy, &local, why);
}

static int parse_listen_host(struct slice text, struct address_listen *out, const char **why) {
	union address address;
	struct slice zone;
	size_t colons = 0;
	bool brackets = text.len >= 2 && text.at[0] == '[' && text.at[text.len - 1] == ']';
	if(brackets) {
		text = (struct slice){text.at + 1, text.len - 2};
	}
	out->host = text;
	out->is_every = text_is(text, "*") && !brackets;
	bool is_literal = address_parse_zone(text, &address, &zone) == 0;
	if(brackets && (!is_literal || address.any.sa_family != AF_INET6)) {
		*why = "is not an IPv6 address (only those may be in brackets)";
		return -EINVAL;
	}
	for(size_t i = 0; i < text.len; i++) {
		colons += text.at[i] == ':';
	}
	if(is_literal || out->is_every || text_is_host_name(text)) {
		return 0;
	}
	*why = colons > 1
		? "is not an address (a port goes behind brackets, as in [::1]:443)"
		: "is not an address (use an IPv4 or IPv6 address, a host name, or unix:/path)";
	return -EINVAL;
}

int address_parse_listen(const char *text, struct address_listen *out, const char **why) {
	struct slice rest = text_slice(text);
	*out = (struct address_listen){.is_unix = address_is_unix(text)};
	out->tls = take_tls(&rest);
	if(out->is_unix) {
		out->host = rest;
		return parse_listen_unix(&rest, why);
	}
	if(rest.len > 0 && take_port(&rest, out)) {
		*why = "has an invalid port (use 0 to 65535)";
		return -EINVAL;
	}
	return parse_listen_host(rest, out, why);
}

const char *address_check_listen(const char *text) {
	struct address_listen listen;
	const char *why = NULL;
	address_parse_listen(text, &listen, &why);
	return why;
}
