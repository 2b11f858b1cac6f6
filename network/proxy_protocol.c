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
#include <strings.h>

/* A piece of text in the caller's memory. */
struct text {
	const char *at;
	size_t len;
};

/* ---- addresses ---- */

/* Addresses are compared and sent as IPv4 wherever they are. */
static void unmap(union address *address) {
	if(address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
		struct sockaddr_in in = {
			.sin_family = AF_INET,
			.sin_port = address->in6.sin6_port,
		};
		memcpy(&in.sin_addr, &address->in6.sin6_addr.s6_addr[12], 4);
		*address = (union address){.in = in};
	}
}

static void map(union address *address) {
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = address->in.sin_port,
	};
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &address->in.sin_addr, 4);
	address->in6 = in6;
}

static union address copy_address(const struct sockaddr *from) {
	union address address = {0};
	if(from->sa_family == AF_INET) {
		memcpy(&address.in, from, sizeof(address.in));
	} else if(from->sa_family == AF_INET6) {
		memcpy(&address.in6, from, sizeof(address.in6));
		unmap(&address);
	} else if(from->sa_family == AF_UNIX) {
		address.any.sa_family = AF_UNIX;
	}
	return address;
}

static const void *address_bytes(const union address *address) {
	return address->any.sa_family == AF_INET ? (const void *)&address->in.sin_addr
						 : (const void *)&address->in6.sin6_addr;
}

/* An IP address without anything around it. Its port stays 0. */
static bool read_host(struct text text, union address *out) {
	char copy[INET6_ADDRSTRLEN];
	*out = (union address){0};
	if(text.len == 0 || text.len >= sizeof(copy) || memchr(text.at, '\0', text.len)) {
		return false;
	}
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	if(inet_pton(AF_INET, copy, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		return true;
	}
	if(inet_pton(AF_INET6, copy, &out->in6.sin6_addr) == 1) {
		out->in6.sin6_family = AF_INET6;
		return true;
	}
	*out = (union address){0};
	return false;
}

static bool is_digit(char byte) {
	return byte >= '0' && byte <= '9';
}

/* Decimal, up to five digits. */
static bool read_port(struct text text, in_port_t *out) {
	uint32_t value = 0;
	if(text.len == 0 || text.len > 5) {
		return false;
	}
	for(size_t at = 0; at < text.len; at++) {
		if(!is_digit(text.at[at])) {
			return false;
		}
		value = value * 10 + (uint32_t)(text.at[at] - '0');
	}
	*out = htons((uint16_t)value);
	return value <= UINT16_MAX;
}

static void set_port(union address *address, in_port_t port) {
	if(address->any.sa_family == AF_INET) {
		address->in.sin_port = port;
	} else {
		address->in6.sin6_port = port;
	}
}

/* inet_ntop() makes this with printf(), and each connection needs it. */
static void format_ipv4(const uint8_t bytes[4], char *out) {
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
	union address address = copy_address(from);
	if(address.any.sa_family == AF_INET) {
		format_ipv4(address_bytes(&address), out);
	} else if(address.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, address_bytes(&address), out, ADDRESS_HOST_TEXT);
	} else {
		snprintf(out, ADDRESS_HOST_TEXT, "%s",
			address.any.sa_family == AF_UNIX ? "unix" : "unknown");
	}
}

/* ---- networks ---- */

/* Does `address` begin with the `bits` of `prefix`? Also used to see that nothing stands behind them. */
static bool same_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits) {
	unsigned whole = bits / 8;
	unsigned rest = bits % 8;
	if(memcmp(address, prefix, whole) != 0) {
		return false;
	}
	return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

static bool nothing_behind(const uint8_t *address, unsigned bits, unsigned width) {
	for(unsigned bit = bits; bit < width; bit++) {
		if(address[bit / 8] & (0x80u >> (bit % 8))) {
			return false;
		}
	}
	return true;
}

/* The number behind the slash; none: all bits. */
static bool read_bits(const char *slash, unsigned width, unsigned *out) {
	*out = width;
	if(!slash) {
		return true;
	}
	size_t len = strlen(slash + 1);
	bool plain = slash[1] != '0' || len == 1;
	in_port_t value;
	if(!plain || !read_port((struct text){slash + 1, len}, &value)) {
		return false;
	}
	*out = ntohs(value);
	return *out <= width;
}

int cidr_parse(const char *text, struct cidr *out, const char **why) {
	union address address;
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned bits;
	*out = (struct cidr){.family = AF_UNIX};
	if(strcmp(text, "unix") == 0) {
		return 0;
	}
	if(!read_host((struct text){text, len}, &address)) {
		*why = "is no network (use 192.0.2.0/24, 2001:db8::/32, an address, or unix)";
		return -EINVAL;
	}
	unsigned width = address.any.sa_family == AF_INET ? 32 : 128;
	if(!read_bits(slash, width, &bits)) {
		*why = "has no such prefix length (use 0 to 32 for IPv4, 0 to 128 for IPv6)";
		return -EINVAL;
	}
	if(width == 128 && bits >= 96 && IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr)) {
		unmap(&address);
		width = 32;
		bits -= 96;
	}
	out->family = address.any.sa_family;
	out->bits = (uint8_t)bits;
	memcpy(out->address, address_bytes(&address), width / 8);
	if(!nothing_behind(out->address, bits, width)) {
		*why = "has bits behind its prefix (as in 192.0.2.1/24 instead of 192.0.2.0/24)";
		return -EINVAL;
	}
	return 0;
}

void cidr_format(const struct cidr *network, char out[CIDR_TEXT]) {
	char host[INET6_ADDRSTRLEN];
	if(network->family == AF_UNIX) {
		snprintf(out, CIDR_TEXT, "unix");
		return;
	}
	inet_ntop(network->family, network->address, host, sizeof(host));
	snprintf(out, CIDR_TEXT, "%s/%u", host, network->bits);
}

bool cidr_list_contains(struct cidr_list trusted, const struct sockaddr *from) {
	union address address = copy_address(from);
	for(size_t at = 0; at < trusted.count; at++) {
		const struct cidr *network = &trusted.network[at];
		if(network->family != address.any.sa_family) {
			continue;
		}
		if(network->family == AF_UNIX ||
			same_prefix(address_bytes(&address), network->address, network->bits)) {
			return true;
		}
	}
	return false;
}

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

static bool is_blank(char byte) {
	return byte == ' ' || byte == '\t';
}

static struct text trim(struct text text) {
	while(text.len > 0 && is_blank(text.at[0])) {
		text.at++;
		text.len--;
	}
	while(text.len > 0 && is_blank(text.at[text.len - 1])) {
		text.len--;
	}
	return text;
}

static bool text_is(struct text text, const char *word) {
	return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

static struct text skip(struct text text, size_t len) {
	return (struct text){text.at + len, text.len - len};
}

/* Takes what is in front of the first semicolon outside of quotes off the front of `*rest`. */
static struct text take_pair(struct text *rest) {
	struct text pair = {rest->at, 0};
	bool quoted = false;
	while(pair.len < rest->len && (quoted || rest->at[pair.len] != ';')) {
		if(quoted && rest->at[pair.len] == '\\' && pair.len + 1 < rest->len) {
			pair.len++;
		} else if(rest->at[pair.len] == '"') {
			quoted = !quoted;
		}
		pair.len++;
	}
	*rest = skip(*rest, pair.len < rest->len ? pair.len + 1 : pair.len);
	return trim(pair);
}

/*
 * Takes what is behind the last comma off the end of `*rest`. Read from its end, where trusted proxies have written,
 * so that a quote that a client left open in front of that hides nothing.
 */
static struct text take_last(struct text *rest, bool quotes) {
	size_t at = rest->len;
	bool quoted = false;
	while(at > 0 && (quoted || rest->at[at - 1] != ',')) {
		bool escaped = quoted && at > 1 && rest->at[at - 2] == '\\';
		if(quotes && rest->at[at - 1] == '"' && !escaped) {
			quoted = !quoted;
		}
		at--;
	}
	struct text element = skip(*rest, at);
	rest->len = at > 0 ? at - 1 : 0;
	return trim(element);
}

/* RFC 7239, 6.2 and 6.3: what a proxy calls itself to tell nothing. */
static bool is_obfuscated(struct text text) {
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	if(text.len < 2 || text.at[0] != '_') {
		return false;
	}
	for(size_t at = 1; at < text.len; at++) {
		if(text.at[at] == '\0' || !strchr(allowed, text.at[at])) {
			return false;
		}
	}
	return true;
}

/* What may stand behind a node's colon: a port, or a name for one. */
static bool read_node_port(struct text text, union address *address) {
	in_port_t port = 0;
	if(!is_obfuscated(text) && !read_port(text, &port)) {
		return false;
	}
	set_port(address, port);
	return true;
}

/*
 * RFC 7239, section 6: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80", "unknown", "_name"; the
 * older fields have IPv6 without brackets, too, and nginx calls a client on a Unix socket "unix:".
 */
static enum forwarded_claim read_node(struct text text, bool bare, union address *out) {
	const char *close =
		text.len > 0 && text.at[0] == '[' ? memchr(text.at, ']', text.len) : NULL;
	const char *colon = memchr(text.at, ':', text.len);
	struct text host = text;
	struct text rest = {0};
	*out = (union address){0};
	if(bare && text_is(text, "unix:")) {
		out->any.sa_family = AF_UNIX;
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(bare && read_host(text, out)) {
		unmap(out);
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(close) {
		host = (struct text){text.at + 1, (size_t)(close - text.at) - 1};
		rest = skip(text, host.len + 2);
	} else if(colon) {
		host.len = (size_t)(colon - text.at);
		rest = skip(text, host.len);
	}
	bool hidden = text_is(host, "unknown") || is_obfuscated(host);
	bool good = hidden ? !close : read_host(host, out);
	if(!good || (!hidden && (out->any.sa_family == AF_INET6) != (close != NULL))) {
		return FORWARDED_CLAIM_BAD;
	}
	if(rest.len > 0 && (rest.at[0] != ':' || !read_node_port(skip(rest, 1), out))) {
		return FORWARDED_CLAIM_BAD;
	}
	unmap(out);
	return hidden ? FORWARDED_CLAIM_HIDDEN : FORWARDED_CLAIM_ADDRESS;
}

static bool is_token(struct text text) {
	static const char others[] = "!#$%&'*+-.^_`|~";
	for(size_t at = 0; at < text.len; at++) {
		char byte = text.at[at];
		bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
		if(byte == '\0' || (!letter && !is_digit(byte) && !strchr(others, byte))) {
			return false;
		}
	}
	return text.len > 0;
}

/* A token, or a quoted string without its quotes; no node needs an escape, so one with any is refused. */
static bool read_value(struct text text, struct text *out) {
	*out = text;
	if(text.len < 2 || text.at[0] != '"') {
		return is_token(text);
	}
	*out = (struct text){text.at + 1, text.len - 2};
	return text.at[text.len - 1] == '"' && !memchr(out->at, '"', out->len);
}

/* One element of Forwarded: parameters of which `for` counts; RFC 7239, section 4. */
static enum forwarded_claim read_forwarded(struct text element, union address *out) {
	enum forwarded_claim claim = FORWARDED_CLAIM_HIDDEN;
	bool found = false;
	while(element.len > 0) {
		struct text value = take_pair(&element);
		const char *equals = memchr(value.at, '=', value.len);
		if(value.len == 0) {
			continue;
		}
		struct text name = {value.at, equals ? (size_t)(equals - value.at) : 0};
		bool is_for = text_is(name, "for");
		bool good = is_token(name);
		if(good && is_for) {
			struct text node;
			good = !found && read_value(skip(value, name.len + 1), &node);
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
	struct text rest = {value, len};
	if(field == FORWARDED_X_REAL_IP && chain->claim != FORWARDED_CLAIM_NONE) {
		/* It is no list: of two nobody knows which one the proxy wrote. */
		*chain = (struct forwarded_chain){.claim = FORWARDED_CLAIM_BAD, .settled = true};
		return;
	}
	while(rest.len > 0 && !chain->settled) {
		union address address = {0};
		struct text element = take_last(&rest, field == FORWARDED_STANDARD);
		if(element.len == 0) {
			continue;
		}
		enum forwarded_claim claim = field == FORWARDED_STANDARD
			? read_forwarded(element, &address)
			: read_node(element, true, &address);
		if(field == FORWARDED_X_REAL_IP && trim(rest).len > 0) {
			claim = FORWARDED_CLAIM_BAD;
		}
		chain_take(chain, claim, &address, trusted);
	}
}

static bool same_host(const union address *a, const union address *b) {
	size_t len = a->any.sa_family == AF_INET ? sizeof(a->in.sin_addr)
		: a->any.sa_family == AF_INET6   ? sizeof(a->in6.sin6_addr)
						 : 0;
	return a->any.sa_family == b->any.sa_family &&
		memcmp(address_bytes(a), address_bytes(b), len) == 0;
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
	if(all->claim == told->claim && same_host(&all->address, &told->address)) {
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

static struct text take_word(struct text *rest) {
	const char *end = memchr(rest->at, ' ', rest->len);
	struct text word = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
	*rest = skip(*rest, end ? word.len + 1 : word.len);
	return word;
}

static bool take_v1_host(struct text *rest, sa_family_t family, union address *out) {
	return read_host(take_word(rest), out) && out->any.sa_family == family;
}

static bool take_v1_port(struct text *rest, union address *address) {
	struct text word = take_word(rest);
	in_port_t port;
	if(!read_port(word, &port) || (word.len > 1 && word.at[0] == '0')) {
		return false;
	}
	set_port(address, port);
	return true;
}

/* The line behind "PROXY ", without its end. */
static bool read_v1_line(struct text line, struct proxy_protocol_header *header) {
	struct text protocol = take_word(&line);
	bool ip6 = protocol.len == 4 && memcmp(protocol.at, "TCP6", 4) == 0;
	if(protocol.len == 7 && memcmp(protocol.at, "UNKNOWN", 7) == 0) {
		return true; /* whatever follows is to be ignored */
	}
	if(!ip6 && (protocol.len != 4 || memcmp(protocol.at, "TCP4", 4) != 0)) {
		return false;
	}
	sa_family_t family = ip6 ? AF_INET6 : AF_INET;
	struct proxy_protocol_header told = {0};
	bool good = take_v1_host(&line, family, &told.source) &&
		take_v1_host(&line, family, &told.destination) && take_v1_port(&line, &told.source);
	/* The last word takes the rest, so a blank behind it would be lost on take_word(). */
	good = good && !memchr(line.at, ' ', line.len) && take_v1_port(&line, &told.destination);
	if(good) {
		unmap(&told.source);
		unmap(&told.destination);
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
	if(!read_v1_line((struct text){data + start, line_len - 1 - start}, header)) {
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
	in_port_t number;
	if(family->family == AF_INET || family->family == AF_INET6) {
		void *to = family->family == AF_INET ? (void *)&out.in.sin_addr
						     : (void *)&out.in6.sin6_addr;
		memcpy(to, address, family->address_len);
		memcpy(&number, port, sizeof(number));
		set_port(&out, number);
		unmap(&out);
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

static bool is_ip(const union address *address) {
	return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static in_port_t port_of(const union address *address) {
	return address->any.sa_family == AF_INET ? address->in.sin_port : address->in6.sin6_port;
}

static size_t format_v1(
	const union address *source, const union address *destination, uint8_t *out) {
	char from[INET6_ADDRSTRLEN];
	char to[INET6_ADDRSTRLEN];
	sa_family_t family = source->any.sa_family;
	inet_ntop(family, address_bytes(source), from, sizeof(from));
	inet_ntop(family, address_bytes(destination), to, sizeof(to));
	int len = snprintf((char *)out, PROXY_PROTOCOL_FORMAT_MAX, "%sTCP%c %s %s %u %u\r\n",
		v1_start, family == AF_INET ? '4' : '6', from, to, ntohs(port_of(source)),
		ntohs(port_of(destination)));
	assert(len > 0 && len < PROXY_PROTOCOL_FORMAT_MAX);
	return (size_t)len;
}

static size_t format_v2(
	const union address *source, const union address *destination, uint8_t *out) {
	bool ip4 = source->any.sa_family == AF_INET;
	const struct v2_family *family = &v2_families[ip4 ? 1 : 2];
	in_port_t ports[2] = {port_of(source), port_of(destination)};
	uint8_t *at = out + V2_FIXED;
	memcpy(out, v2_start, sizeof(v2_start));
	out[12] = V2_PROXY;
	out[13] = ip4 ? 0x11 : 0x21; /* over a stream */
	out[14] = 0;
	out[15] = family->block_len;
	memcpy(at, address_bytes(source), family->address_len);
	memcpy(at + family->address_len, address_bytes(destination), family->address_len);
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
	union address from = copy_address(source);
	union address to = copy_address(destination);
	assert(version != PROXY_PROTOCOL_OFF);
	if(!is_ip(&from)) {
		return format_nobody(version, out);
	}
	if(!is_ip(&to)) {
		to = (union address){.any.sa_family = from.any.sa_family};
	}
	if(from.any.sa_family != to.any.sa_family) {
		map(from.any.sa_family == AF_INET ? &from : &to);
	}
	return version == PROXY_PROTOCOL_V1 ? format_v1(&from, &to, out)
					    : format_v2(&from, &to, out);
}
