/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of peers and their parameters: parsing and formatting.
 *
 * Must not know: how to connect.
 * Invariants: a formatted address reads back as the same address.
 */
#include "network/peer_address.h"

#include "base/address.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	if(!fifo && strlen(rest) > ADDRESS_UNIX_MAX) {
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
	static const char *const versions[] = {[PROXY_V1] = "v1", [PROXY_V2] = "v2"};
	(void)parameter;
	for(int version = PROXY_V1; version <= PROXY_V2; version++) {
		if(strcmp(value, versions[version]) == 0) {
			out->proxy = (enum proxy_version)version;
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

int peer_address_parse(peer_transport transport, const char *host, const char *port,
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
	static const char *const versions[] = {
		[PROXY_OFF] = NULL, [PROXY_V1] = "v1", [PROXY_V2] = "v2"};
	const char *mark = "?";
	put_parameter(out, &mark, "proxy", versions[address->proxy]);
	put_parameter(out, &mark, "ca", address->tls.ca);
	put_parameter(out, &mark, "sni", address->tls.sni);
	put_parameter(out, &mark, "cert", address->tls.cert);
	put_parameter(out, &mark, "key", address->tls.key);
	put_parameter(out, &mark, "verify", address->tls.insecure ? "off" : NULL);
}

void peer_address_format(const struct peer_address *address, char *out, size_t cap) {
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
