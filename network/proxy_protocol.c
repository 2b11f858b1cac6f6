/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is really calling, as proxies tell it.
 *
 * Must not know: sockets, HTTP requests, connections.
 * Invariants: nothing in front of an element that was not written by a trusted proxy is believed; the result of
 * parsing a PROXY header does not depend on how it was cut into reads; IPv4 in its IPv6 form is IPv4.
 * Implements RFC 7239 sections 4 and 6; haproxy's proxy-protocol.txt sections 2.1 and 2.2. The checksum that
 * version 2 may carry (PP2_TYPE_CRC32C) is skipped like all extensions.
 */
#include "network/proxy_protocol.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- header fields ---- */

const char *forwarded_field_name(enum forwarded_field field) {
	static const char *const names[] = {
		[FORWARDED_STANDARD] = "Forwarded",
		[FORWARDED_X_FORWARDED_FOR] = "X-Forwarded-For",
		[FORWARDED_X_REAL_IP] = "X-Real-IP",
	};
	static_assert(
		sizeof(names) / sizeof(names[0]) == FORWARDED_FIELDS, "one name for each field");
	return names[field];
}

/* Takes what is in front of the first semicolon outside of quotes off the front of `*rest`. */
static struct slice take_pair(struct slice *rest) {
	struct slice pair = {rest->at, 0};
	bool quoted = false;
	while(pair.len < rest->len && (quoted || rest->at[pair.len] != ';')) {
		if(quoted && rest->at[pair.len] == '\\' && pair.len + 1 < rest->len) {
			pair.len++;
		} else if(rest->at[pair.len] == '"') {
			quoted = !quoted;
		}
		pair.len++;
	}
	*rest = text_skip(*rest, pair.len < rest->len ? pair.len + 1 : pair.len);
	return text_trim(pair);
}

/*
 * Takes what is behind the last comma off the end of `*rest`. Read from its end, where trusted proxies have written,
 * so that a quote that a client left open in front of that hides nothing.
 */
static struct slice take_last(struct slice *rest, bool quotes) {
	size_t at = rest->len;
	bool quoted = false;
	while(at > 0 && (quoted || rest->at[at - 1] != ',')) {
		bool escaped = quoted && at > 1 && rest->at[at - 2] == '\\';
		if(quotes && rest->at[at - 1] == '"' && !escaped) {
			quoted = !quoted;
		}
		at--;
	}
	struct slice element = text_skip(*rest, at);
	rest->len = at > 0 ? at - 1 : 0;
	return text_trim(element);
}

/* RFC 7239, 6.2 and 6.3: what a proxy calls itself to tell nothing. */
static bool is_obfuscated(struct slice text) {
	if(text.len < 2 || text.at[0] != '_') {
		return false;
	}
	for(size_t at = 1; at < text.len; at++) {
		if(!text_is_alphanumeric(text.at[at]) && !text_is_one_of(text.at[at], "._-")) {
			return false;
		}
	}
	return true;
}

/* What may stand behind a node's colon: a port, or a name for one. */
static bool read_node_port(struct slice text, union address *address) {
	uint16_t port = 0;
	if(!is_obfuscated(text) && address_parse_port(text, &port)) {
		return false;
	}
	address_set_port(address, port);
	return true;
}

/*
 * RFC 7239, section 6: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80", "unknown", "_name"; the
 * older fields have IPv6 without brackets, too, and nginx calls a client on a Unix socket "unix:".
 */
static enum forwarded_claim read_node(struct slice text, bool bare, union address *out) {
	const char *close =
		text.len > 0 && text.at[0] == '[' ? memchr(text.at, ']', text.len) : NULL;
	const char *colon = memchr(text.at, ':', text.len);
	struct slice host = text;
	struct slice rest = {0};
	*out = (union address){0};
	if(bare && text_is_nocase(text, "unix:")) {
		out->any.sa_family = AF_UNIX;
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(bare && address_parse(text, out) == 0) {
		address_unmap(out);
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(close) {
		host = (struct slice){text.at + 1, (size_t)(close - text.at) - 1};
		rest = text_skip(text, host.len + 2);
	} else if(colon) {
		host.len = (size_t)(colon - text.at);
		rest = text_skip(text, host.len);
	}
	bool hidden = text_is_nocase(host, "unknown") || is_obfuscated(host);
	bool good = hidden ? !close : address_parse(host, out) == 0;
	if(!good || (!hidden && (out->any.sa_family == AF_INET6) != (close != NULL))) {
		return FORWARDED_CLAIM_BAD;
	}
	if(rest.len > 0 && (rest.at[0] != ':' || !read_node_port(text_skip(rest, 1), out))) {
		return FORWARDED_CLAIM_BAD;
	}
	address_unmap(out);
	return hidden ? FORWARDED_CLAIM_HIDDEN : FORWARDED_CLAIM_ADDRESS;
}

/* A token, or a quoted string without its quotes; no node needs an escape, so one with any is refused. */
static bool read_value(struct slice text, struct slice *out) {
	*out = text;
	if(text.len < 2 || text.at[0] != '"') {
		return text_is_token(text);
	}
	*out = (struct slice){text.at + 1, text.len - 2};
	return text.at[text.len - 1] == '"' && !memchr(out->at, '"', out->len);
}

/* One element of Forwarded: parameters of which `for` counts; RFC 7239, section 4. */
static enum forwarded_claim read_forwarded(struct slice element, union address *out) {
	enum forwarded_claim claim = FORWARDED_CLAIM_HIDDEN;
	bool found = false;
	while(element.len > 0) {
		struct slice value = take_pair(&element);
		const char *equals = memchr(value.at, '=', value.len);
		if(value.len == 0) {
			continue;
		}
		struct slice name = {value.at, equals ? (size_t)(equals - value.at) : 0};
		bool is_for = text_is_nocase(name, "for");
		bool good = text_is_token(name);
		if(good && is_for) {
			struct slice node;
			good = !found && read_value(text_skip(value, name.len + 1), &node);
			claim = good ? read_node(node, false, out) : FORWARDED_CLAIM_BAD;
			found = true;
		}
		if(!good || claim == FORWARDED_CLAIM_BAD) {
			return FORWARDED_CLAIM_BAD;
		}
	}
	return claim;
}

/* The caller goes from the last element to the first: up to the one that is no trusted proxy. */
static void chain_take(struct forwarded_chain *chain, enum forwarded_claim claim,
	const union address *address, struct cidr_list trusted) {
	chain->claim = claim;
	chain->address = *address;
	chain->settled =
		claim != FORWARDED_CLAIM_ADDRESS || !cidr_list_contains(trusted, &address->any);
}

void forwarded_chain_add(struct forwarded_chain *chain, enum forwarded_field field,
	const char *value, size_t len, struct cidr_list trusted) {
	struct slice rest = {value, len};
	if(field == FORWARDED_X_REAL_IP && chain->claim != FORWARDED_CLAIM_NONE) {
		/* It is no list: of two nobody knows which one the proxy wrote. */
		*chain = (struct forwarded_chain){.claim = FORWARDED_CLAIM_BAD, .settled = true};
		return;
	}
	while(rest.len > 0 && !chain->settled) {
		union address address = {0};
		struct slice element = take_last(&rest, field == FORWARDED_STANDARD);
		if(element.len == 0) {
			continue;
		}
		enum forwarded_claim claim = field == FORWARDED_STANDARD
			? read_forwarded(element, &address)
			: read_node(element, true, &address);
		if(field == FORWARDED_X_REAL_IP && text_trim(rest).len > 0) {
			claim = FORWARDED_CLAIM_BAD;
		}
		chain_take(chain, claim, &address, trusted);
	}
}

/* Does it name a trusted proxy, and thus nobody in particular? */
static bool is_weak(const struct forwarded_chain *chain, struct cidr_list trusted) {
	return chain->claim == FORWARDED_CLAIM_ADDRESS &&
		cidr_list_contains(trusted, &chain->address.any);
}

bool forwarded_chain_join(
	struct forwarded_chain *all, const struct forwarded_chain *told, struct cidr_list trusted) {
	if(told->claim == FORWARDED_CLAIM_NONE || all->claim == FORWARDED_CLAIM_BAD ||
		all->claim == FORWARDED_CLAIM_DISPUTED) {
		return false;
	}
	if(all->claim == FORWARDED_CLAIM_NONE || told->claim == FORWARDED_CLAIM_BAD) {
		*all = *told;
		return true;
	}
	if(is_weak(told, trusted)) {
		return false;
	}
	if(is_weak(all, trusted)) {
		*all = *told;
		return true;
	}
	if(all->claim == told->claim && address_same_host(&all->address, &told->address)) {
		return false;
	}
	all->claim = FORWARDED_CLAIM_DISPUTED;
	return true;
}

/* ---- reading the PROXY protocol ---- */

#define V1_MAX 107 /* with CR and LF, section 2.1 */
#define V2_FIXED 16
#define V2_LOCAL 0x20 /* version and command */
#define V2_PROXY 0x21
#define V2_TLV 3 /* type and length of an extension */

static const char v1_start[] = "PROXY ";
static const uint8_t v2_start[12] = {
	0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static enum proxy_protocol_result bad(const char **why, const char *text) {
	*why = text;
	return PROXY_PROTOCOL_BAD;
}

static bool take_v1_host(struct slice *rest, sa_family_t family, union address *out) {
	return address_parse(text_take(rest, ' '), out) == 0 && out->any.sa_family == family;
}

static bool take_v1_port(struct slice *rest, union address *address) {
	struct slice word = text_take(rest, ' ');
	uint16_t port;
	if(address_parse_port(word, &port) || (word.len > 1 && word.at[0] == '0')) {
		return false;
	}
	address_set_port(address, port);
	return true;
}

/* The line behind "PROXY ", without its end. */
static bool read_v1_line(struct slice line, struct proxy_protocol_header *header) {
	struct slice protocol = text_take(&line, ' ');
	bool ip6 = text_is(protocol, "TCP6");
	if(text_is(protocol, "UNKNOWN")) {
		return true; /* whatever follows is to be ignored */
	}
	if(!ip6 && !text_is(protocol, "TCP4")) {
		return false;
	}
	sa_family_t family = ip6 ? AF_INET6 : AF_INET;
	struct proxy_protocol_header told = {0};
	bool good = take_v1_host(&line, family, &told.source) &&
		take_v1_host(&line, family, &told.destination) && take_v1_port(&line, &told.source);
	/* The last word takes the rest, so a blank behind it would be lost on text_take(). */
	good = good && text_find(line, ' ') == line.len && take_v1_port(&line, &told.destination);
	if(good) {
		address_unmap(&told.source);
		address_unmap(&told.destination);
		*header = told;
	}
	return good;
}

static enum proxy_protocol_result parse_v1(const char *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why) {
	size_t start = sizeof(v1_start) - 1;
	size_t looked = len < V1_MAX ? len : V1_MAX;
	const char *end = memchr(data, '\n', looked);
	const char *wrong = "the line of its version 1 is malformed";
	if(!end) {
		const char *cr = memchr(data, '\r', looked);
		if(cr && cr != data + looked - 1) {
			return bad(why, wrong);
		}
		return looked < V1_MAX ? PROXY_PROTOCOL_MORE
				       : bad(why, "the line of its version 1 is too long");
	}
	size_t line_len = (size_t)(end - data);
	if(memchr(data, '\r', line_len) != end - 1 || line_len < start + 1) {
		return bad(why, wrong);
	}
	if(!read_v1_line((struct slice){data + start, line_len - 1 - start}, header)) {
		return bad(why, wrong);
	}
	*used = line_len + 1;
	return PROXY_PROTOCOL_DONE;
}

/* Families by the upper half of the byte behind the command. */
static const struct v2_family {
	uint8_t address_len; /* of one address */
	uint8_t block_len; /* of all addresses and ports */
	sa_family_t family;
} v2_families[] = {
	{0, 0, AF_UNSPEC},
	{4, 12, AF_INET},
	{16, 36, AF_INET6},
	{108, 216, AF_UNIX},
};
#define V2_FAMILIES (sizeof(v2_families) / sizeof(v2_families[0]))
#define V2_PROTOCOLS 3 /* unspecified, stream, datagram */

static union address read_v2_address(
	const struct v2_family *family, const uint8_t *address, const uint8_t *port) {
	union address out = {.any.sa_family = family->family};
	if(family->family == AF_INET || family->family == AF_INET6) {
		void *to = family->family == AF_INET ? (void *)&out.in.sin_addr
						     : (void *)&out.in6.sin6_addr;
		memcpy(to, address, family->address_len);
		address_set_port(&out, (uint16_t)(port[0] << 8 | port[1]));
		address_unmap(&out);
	}
	return out;
}

/* The extensions have to fill what is left exactly; their content does not matter here. */
static bool tlvs_fit(const uint8_t *at, size_t len) {
	while(len >= V2_TLV) {
		size_t value = (size_t)at[1] << 8 | at[2];
		if(value > len - V2_TLV) {
			return false;
		}
		at += V2_TLV + value;
		len -= V2_TLV + value;
	}
	return len == 0;
}

/* What can be said of a header of version 2 when its fixed part is there. NULL: nothing is wrong. */
static const char *check_v2(const uint8_t *data, size_t block) {
	unsigned family = data[13] >> 4;
	if(data[12] != V2_LOCAL && data[12] != V2_PROXY) {
		return "its version 2 has an unknown version or command";
	}
	if(block > PROXY_PROTOCOL_HEADER_MAX - V2_FIXED) {
		return "its version 2 is too long";
	}
	if(data[12] == V2_LOCAL) {
		return NULL; /* section 2.2: the family has to be ignored */
	}
	if(family >= V2_FAMILIES || (data[13] & 15) >= V2_PROTOCOLS) {
		return "its version 2 has an unknown address family or protocol";
	}
	if(block < v2_families[family].block_len) {
		return "its version 2 is too short for its addresses";
	}
	return NULL;
}

static enum proxy_protocol_result parse_v2(const uint8_t *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why) {
	if(len < V2_FIXED) {
		return PROXY_PROTOCOL_MORE;
	}
	size_t block = (size_t)data[14] << 8 | data[15];
	const char *wrong = check_v2(data, block);
	if(wrong) {
		return bad(why, wrong);
	}
	if(len - V2_FIXED < block) {
		return PROXY_PROTOCOL_MORE;
	}
	*used = V2_FIXED + block;
	if(data[12] == V2_LOCAL) {
		return PROXY_PROTOCOL_DONE; /* whatever its family is */
	}
	const struct v2_family *family = &v2_families[data[13] >> 4];
	if(family->family == AF_UNSPEC) {
		return PROXY_PROTOCOL_DONE;
	}
	const uint8_t *source = data + V2_FIXED;
	const uint8_t *ports = source + 2 * family->address_len;
	if(!tlvs_fit(source + family->block_len, block - family->block_len)) {
		return bad(why, "its version 2 has an extension that does not fit");
	}
	header->source = read_v2_address(family, source, ports);
	header->destination = read_v2_address(family, source + family->address_len, ports + 2);
	return PROXY_PROTOCOL_DONE;
}

static bool begins(const uint8_t *data, size_t len, const void *start, size_t start_len) {
	return memcmp(data, start, len < start_len ? len : start_len) == 0;
}

enum proxy_protocol_result proxy_protocol_parse(const uint8_t *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why) {
	size_t v1_len = sizeof(v1_start) - 1;
	*header = (struct proxy_protocol_header){0};
	if(len == 0) {
		return PROXY_PROTOCOL_MORE;
	}
	if(begins(data, len, v1_start, v1_len)) {
		return len < v1_len ? PROXY_PROTOCOL_MORE
				    : parse_v1((const char *)data, len, header, used, why);
	}
	if(begins(data, len, v2_start, sizeof(v2_start))) {
		return parse_v2(data, len, header, used, why);
	}
	return bad(why, "there is none");
}

/* ---- writing it ---- */

static size_t format_v1(
	const union address *source, const union address *destination, uint8_t *out) {
	char from[INET6_ADDRSTRLEN];
	char to[INET6_ADDRSTRLEN];
	sa_family_t family = source->any.sa_family;
	size_t size; /* the same for both */
	inet_ntop(family, address_bytes(source, &size), from, sizeof(from));
	inet_ntop(family, address_bytes(destination, &size), to, sizeof(to));
	int len = snprintf((char *)out, PROXY_PROTOCOL_FORMAT_MAX, "%sTCP%c %s %s %u %u\r\n",
		v1_start, family == AF_INET ? '4' : '6', from, to, address_port(source),
		address_port(destination));
	assert(len > 0 && len < PROXY_PROTOCOL_FORMAT_MAX);
	return (size_t)len;
}

static size_t format_v2(
	const union address *source, const union address *destination, uint8_t *out) {
	bool ip4 = source->any.sa_family == AF_INET;
	const struct v2_family *family = &v2_families[ip4 ? 1 : 2];
	in_port_t ports[2] = {htons(address_port(source)), htons(address_port(destination))};
	size_t size; /* the same for both */
	uint8_t *at = out + V2_FIXED;
	memcpy(out, v2_start, sizeof(v2_start));
	out[12] = V2_PROXY;
	out[13] = ip4 ? 0x11 : 0x21; /* over a stream */
	out[14] = 0;
	out[15] = family->block_len;
	memcpy(at, address_bytes(source, &size), family->address_len);
	memcpy(at + family->address_len, address_bytes(destination, &size), family->address_len);
	memcpy(at + 2 * family->address_len, ports, sizeof(ports));
	return V2_FIXED + (size_t)family->block_len;
}

static size_t format_nobody(enum proxy_protocol_version version, uint8_t *out) {
	static const char line[] = "PROXY UNKNOWN\r\n";
	if(version == PROXY_PROTOCOL_V1) {
		memcpy(out, line, sizeof(line) - 1);
		return sizeof(line) - 1;
	}
	memset(out, 0, V2_FIXED);
	memcpy(out, v2_start, sizeof(v2_start));
	out[12] = V2_LOCAL;
	return V2_FIXED;
}

size_t proxy_protocol_format(enum proxy_protocol_version version, const struct sockaddr *source,
	const struct sockaddr *destination, uint8_t out[PROXY_PROTOCOL_FORMAT_MAX]) {
	union address from = address_of(source);
	union address to = address_of(destination);
	assert(version != PROXY_PROTOCOL_OFF);
	if(!address_is_ip(&from)) {
		return format_nobody(version, out);
	}
	if(!address_is_ip(&to)) {
		to = (union address){.any.sa_family = from.any.sa_family};
	}
	if(from.any.sa_family != to.any.sa_family) {
		address_map(from.any.sa_family == AF_INET ? &from : &to);
	}
	return version == PROXY_PROTOCOL_V1 ? format_v1(&from, &to, out)
					    : format_v2(&from, &to, out);
}
