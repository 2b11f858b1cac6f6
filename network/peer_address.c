/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of peers and their parameters: parsing and formatting.
 *
 * Must not know: how to connect.
 * Invariants: a formatted address reads back as the same address.
 */
#include "network/peer_address.h"

#include "base/address.h"
#include "network/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- hosts, ports, paths ---- */

/*
 * "host", "host:port", "[v6]", "[v6]:port", and an IPv6 literal without brackets. Cuts `text` into
 * host and port; NULL: there is no port.
 */
static int split_port(char *text, char **host, char **port, const char **why) {
	*host = text;
	*port = NULL;
	if(text[0] == '[') {
		char *end = strchr(text, ']');
		if(!end || (end[1] != '\0' && end[1] != ':')) {
			*why = "the address has a [ without a matching ]";
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

/* In brackets or with a colon it cannot be a name, and is not looked up as one. */
static int check_host(struct peer_address *out, const char *host, bool brackets, const char **why) {
	if(host[0] == '\0') {
		*why = "the host is missing";
		return -EINVAL;
	}
	if(brackets || strchr(host, ':')) {
		*why = "the host is not a valid IPv6 address, but has brackets or colons";
		return address_is_ip6(host, true) ? 0 : -EINVAL;
	}
	if(host[0] == '/') {
		*why = "the host is a path (a Unix socket is unix:///path)";
		return -EINVAL;
	}
	*why = "the host is neither a host name nor an address";
	bool numeric = host[strspn(host, "0123456789.")] == '\0';
	bool valid = numeric ? address_parse(text_slice(host), &out->ip4) == 0
			     : text_is_host_name(text_slice(host));
	return valid ? 0 : -EINVAL;
}

static int take_port(struct peer_address *out, const char *port, const char **why) {
	if(!port) {
		*why = "the port is missing";
		return -EINVAL;
	}
	if(address_parse_port(text_slice(port), &out->port) || out->port == 0) {
		*why = "the port is not a number from 1 to 65535";
		return -EINVAL;
	}
	return 0;
}

static int take_host(struct peer_address *out, const char *host) {
	out->host = strdup(host);
	return out->host ? 0 : -ENOMEM;
}

int peer_address_network(struct peer_address *out, char *rest, const char *port, const char **why) {
	bool brackets = rest[0] == '[';
	size_t len = strlen(rest);
	if(len > 0 && rest[len - 1] == '/') {
		rest[len - 1] = '\0';
	}
	char *host;
	char *own_port;
	int result = split_port(rest, &host, &own_port, why);
	if(result == 0) {
		result = check_host(out, host, brackets, why);
	}
	if(result == 0) {
		result = take_port(out, own_port ? own_port : port, why);
	}
	return result ? result : take_host(out, host);
}

/*
 * The byte whose code `text` begins with, of those that are reserved in paths and values; 0: none.
 */
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

/* Any other % stands for itself. */
static void decode_reserved(char *text) {
	char *to = text;
	for(const char *at = text; *at; at++) {
		char byte = coded_byte(at);
		*to++ = byte ? byte : *at;
		at += byte ? 2 : 0;
	}
	*to = '\0';
}

int peer_address_unix(struct peer_address *out, char *rest, const char *port, const char **why) {
	(void)port;
	decode_reserved(rest);
	if(rest[0] != '/' && (rest[0] != '@' || rest[1] == '\0')) {
		*why = "the path is neither absolute nor @name";
		return -EINVAL;
	}
	if(strlen(rest) > ADDRESS_UNIX_MAX) {
		*why = "the path is too long for a Unix socket (at most 107 bytes)";
		return -EINVAL;
	}
	return take_host(out, rest);
}

int peer_address_fifo(struct peer_address *out, char *rest, const char *port, const char **why) {
	(void)port;
	decode_reserved(rest);
	if(rest[0] != '/') {
		*why = "the path is not absolute";
		return -EINVAL;
	}
	return take_host(out, rest);
}

/* The name of the program, for the log. */
int peer_address_program(struct peer_address *out, char *rest, const char *port, const char **why) {
	(void)port;
	(void)why;
	decode_reserved(rest);
	return take_host(out, rest);
}

int peer_address_none(struct peer_address *out, char *rest, const char *port, const char **why) {
	(void)out;
	(void)port;
	*why = "echo:// does not take an address";
	return rest[0] == '\0' ? 0 : -EINVAL;
}

/* ---- parameters ---- */

/* A parameter behind the `?`. */
struct parameter {
	const char *key;
	unsigned group; /* one of PEER_PARAMETERS_* */
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
	*why = "proxy: invalid value (use v1 or v2)";
	return -EINVAL;
}

static int take_verify(const struct parameter *parameter, struct peer_address *out,
	const char *value, const char **why) {
	(void)parameter;
	out->tls.insecure = strcmp(value, "off") == 0;
	*why = "verify: invalid value (only \"off\" is supported)";
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

#define TLS_TEXT(name)                                                                             \
	{ #name, PEER_PARAMETERS_TLS, take_text, offsetof(struct peer_address, tls.name) }
static const struct parameter parameters[] = {
	{"proxy", PEER_PARAMETERS_PROXY, take_proxy, 0},
	{"verify", PEER_PARAMETERS_TLS, take_verify, 0},
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
		*why = "unknown parameter behind the ? (known: proxy=, ca=, sni=, cert=, key=, "
		       "verify=; a ? in a path is written %3F)";
		return -EINVAL;
	}
	unsigned bit = 1u << (parameter - parameters);
	if(!(parameter->group & out->kind->parameters)) {
		*why = "this transport does not support the parameter behind the ?";
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
		*why = "key= without cert=";
		result = -EINVAL;
	}
	return result;
}

static int parse_rest(struct peer_address *out, char *rest, const char *port, const char **why) {
	char *query = strchr(rest, '?');
	if(query) {
		*query++ = '\0';
		int result = parse_parameters(query, out, why);
		if(result) {
			return result;
		}
	}
	return out->kind->parse(out, rest, port, why);
}

int peer_address_parse(
	struct peer_address *out, const char *rest, const char *port, const char **why) {
	char *copy = strdup(rest);
	if(!copy) {
		return -ENOMEM;
	}
	int result = parse_rest(out, copy, port, why);
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

/* ---- formatting ---- */

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

/* Each connection needs this, and printf() costs more than the rest of the address. */
static void put_number(struct text *out, unsigned number) {
	char digits[16];
	char *at = digits + sizeof(digits) - 1;
	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while(number > 0);
	put(out, at);
}

/* Encodes the bytes in `ends`, and those that decode_reserved() would change. */
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

void peer_address_format(const struct peer_address *address, char *out, size_t cap) {
	const char *host = address->host ? address->host : "";
	struct text text = {out, cap};
	put(&text, address->kind->scheme);
	if(address->port) {
		bool brackets = strchr(host, ':');
		put(&text, brackets ? "[" : "");
		put(&text, host);
		put(&text, brackets ? "]:" : ":");
		put_number(&text, address->port);
	} else if(address->kind->program) {
		put(&text, host); /* it is kept as it is written */
	} else {
		put_coded(&text, host, "?");
	}
	put_parameters(&text, address);
}
