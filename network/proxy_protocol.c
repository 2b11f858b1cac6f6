/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parsing and formatting of PROXY protocol headers, versions 1 and 2.
 *
 * Must not know: sockets, connections, which proxies are trusted.
 * Invariants: the result does not depend on how a header was split into reads; IPv4 in its IPv6
 * form is IPv4.
 * Implements sections 2.1 and 2.2 of proxy-protocol.txt, which comes with HAProxy. The checksum
 * that version 2 may carry (PP2_TYPE_CRC32C) is skipped like all extensions.
 */
#include "network/proxy_protocol.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- parsing ---- */

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

/* The line behind "PROXY ", without CRLF. */
static bool read_v1_line(struct slice line, struct proxy_protocol_header *header) {
	struct slice protocol = text_take(&line, ' ');
	bool ip6 = text_is(protocol, "TCP6");
	if(text_is(protocol, "UNKNOWN")) {
		return true; /* the rest of the line has to be ignored */
	}
	if(!ip6 && !text_is(protocol, "TCP4")) {
		return false;
	}
	sa_family_t family = ip6 ? AF_INET6 : AF_INET;
	struct proxy_protocol_header parsed = {0};
	bool good = take_v1_host(&line, family, &parsed.source) &&
		take_v1_host(&line, family, &parsed.destination) &&
		take_v1_port(&line, &parsed.source);
	/* text_take() would ignore a space at the end of the line. */
	good = good && text_find(line, ' ') == line.len && take_v1_port(&line, &parsed.destination);
	if(good) {
		address_unmap(&parsed.source);
		address_unmap(&parsed.destination);
		*header = parsed;
	}
	return good;
}

static enum proxy_protocol_result parse_v1(const char *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why) {
	size_t start = sizeof(v1_start) - 1;
	size_t looked = len < V1_MAX ? len : V1_MAX;
	const char *end = memchr(data, '\n', looked);
	const char *wrong = "malformed line of version 1";
	if(!end) {
		const char *cr = memchr(data, '\r', looked);
		if(cr && cr != data + looked - 1) {
			return bad(why, wrong);
		}
		return looked < V1_MAX ? PROXY_PROTOCOL_MORE
				       : bad(why, "line of version 1 is too long");
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

/* Address families by the upper four bits of the byte behind the command. */
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

/* The extensions have to fill the rest exactly; their content is ignored. */
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

/* Checks the fixed part of a header of version 2. NULL, or the error. */
static const char *check_v2(const uint8_t *data, size_t block) {
	unsigned family = data[13] >> 4;
	if(data[12] != V2_LOCAL && data[12] != V2_PROXY) {
		return "unknown version or command in version 2";
	}
	if(block > PROXY_PROTOCOL_HEADER_MAX - V2_FIXED) {
		return "version 2 is too long";
	}
	if(data[12] == V2_LOCAL) {
		return NULL; /* section 2.2: the family has to be ignored */
	}
	if(family >= V2_FAMILIES || (data[13] & 15) >= V2_PROTOCOLS) {
		return "unknown address family or protocol in version 2";
	}
	if(block < v2_families[family].block_len) {
		return "version 2 is too short for its addresses";
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
		return PROXY_PROTOCOL_DONE; /* its family has to be ignored */
	}
	const struct v2_family *family = &v2_families[data[13] >> 4];
	if(family->family == AF_UNSPEC) {
		return PROXY_PROTOCOL_DONE;
	}
	const uint8_t *source = data + V2_FIXED;
	const uint8_t *ports = source + 2 * family->address_len;
	if(!tlvs_fit(source + family->block_len, block - family->block_len)) {
		return bad(why, "malformed extensions in version 2");
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
	return bad(why, "missing signature");
}

/* ---- formatting ---- */

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

static size_t format_unknown(enum proxy_protocol_version version, uint8_t *out) {
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
		return format_unknown(version, out);
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
