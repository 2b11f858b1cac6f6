/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IP addresses and ranges, and those that are not on the public Internet (RFC 6890 and the
 * registries of IANA that it describes).
 *
 * Must not know: options, requests.
 * Invariant: an address that contains an IPv4 address is one of IPv4, so that no rule is avoided by
 * another notation.
 */
#include "plugins/backend_url/range.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define IP4_BITS 32u
#define IP6_BITS 128u
#define EMBEDDED_BITS 96u /* in front of an IPv4 address in one of IPv6 */

static const struct range range_embedding[] = {
	{true, EMBEDDED_BITS, {[10] = 0xff, 0xff}}, /* IPv4-mapped */
	{true, EMBEDDED_BITS, {0x00, 0x64, 0xff, 0x9b}}, /* NAT64 */
};

static const struct range range_special[] = {
	{false, 8, {0}}, /* this network */
	{false, 8, {10}}, /* private */
	{false, 10, {100, 64}}, /* shared address space */
	{false, 8, {127}}, /* loopback */
	{false, 32, {168, 63, 129, 16}}, /* services of a cloud */
	{false, 16, {169, 254}}, /* link-local, metadata of clouds */
	{false, 12, {172, 16}}, /* private */
	{false, 24, {192, 0, 0}}, /* protocol assignments, metadata of a cloud */
	{false, 16, {192, 168}}, /* private */
	{false, 15, {198, 18}}, /* benchmarks */
	{false, 4, {224}}, /* multicast */
	{false, 4, {240}}, /* reserved, broadcast */
	{true, 96, {0}}, /* unspecified, loopback, IPv4-compatible */
	{true, 48, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}}, /* NAT64 within a network (RFC 8215) */
	{true, 64, {0x01}}, /* discarded */
	{true, 32, {0x20, 0x01}}, /* Teredo: contains IPv4 addresses */
	{true, 16, {0x20, 0x02}}, /* 6to4: contains an IPv4 address */
	{true, 7, {0xfc}}, /* private */
	{true, 10, {0xfe, 0x80}}, /* link-local */
	{true, 10, {0xfe, 0xc0}}, /* site-local */
	{true, 8, {0xff}}, /* multicast */
};

static unsigned width(const struct range *range) {
	return range->ip6 ? IP6_BITS : IP4_BITS;
}

bool range_contains(const struct range *range, const struct range *address) {
	unsigned bytes = range->bits / 8;
	unsigned rest = range->bits % 8;
	if(range->ip6 != address->ip6 || range->bits > address->bits ||
		memcmp(range->address, address->address, bytes) != 0) {
		return false;
	}
	unsigned differs = rest ? range->address[bytes] ^ address->address[bytes] : 0;
	return differs >> (8 - rest) == 0;
}

bool range_is_special(const struct range *range) {
	for(size_t i = 0; i < sizeof(range_special) / sizeof(range_special[0]); i++) {
		if(range_contains(&range_special[i], range)) {
			return true;
		}
	}
	return false;
}

/* Makes an IPv4 range of one that contains IPv4 addresses. */
static void extract(struct range *range) {
	for(size_t i = 0; i < sizeof(range_embedding) / sizeof(range_embedding[0]); i++) {
		if(range_contains(&range_embedding[i], range)) {
			struct range inner = {.ip6 = false, .bits = range->bits - EMBEDDED_BITS};
			memcpy(inner.address, range->address + EMBEDDED_BITS / 8, IP4_BITS / 8);
			*range = inner;
			return;
		}
	}
}

/* Without brackets. */
static bool read_address(const char *text, struct range *out) {
	*out = (struct range){.ip6 = strchr(text, ':')};
	out->bits = width(out);
	return inet_pton(out->ip6 ? AF_INET6 : AF_INET, text, out->address) == 1;
}

bool range_parse_address(const char *text, struct range *out) {
	char inner[INET6_ADDRSTRLEN];
	size_t len = strlen(text);
	if(text[0] == '[') {
		if(len < 4 || len - 2 >= sizeof(inner) || text[len - 1] != ']' ||
			!memchr(text, ':', len)) {
			return false;
		}
		memcpy(inner, text + 1, len - 2);
		inner[len - 2] = '\0';
		text = inner;
	}
	bool valid = read_address(text, out);
	if(valid) {
		extract(out);
	}
	return valid;
}

/* A number up to 128 without leading zeros. */
static bool read_bits(const char *text, unsigned *bits) {
	size_t len = strlen(text);
	*bits = 0;
	if(len == 0 || len > 3 || (text[0] == '0' && len > 1)) {
		return false;
	}
	for(; *text; text++) {
		if(*text < '0' || *text > '9') {
			return false;
		}
		*bits = *bits * 10 + (unsigned)(*text - '0');
	}
	return true;
}

static bool has_bits_behind(const struct range *range) {
	struct range cleared = *range;
	for(unsigned bit = range->bits; bit < width(range); bit++) {
		cleared.address[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	}
	return memcmp(cleared.address, range->address, RANGE_BYTES) != 0;
}

bool range_parse(const char *text, struct range *out) {
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	if(!slash) {
		return range_parse_address(text, out);
	}
	size_t len = (size_t)(slash - text);
	unsigned bits;
	if(len >= sizeof(address) || !read_bits(slash + 1, &bits)) {
		return false;
	}
	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	if(!read_address(address, out) || bits > width(out)) {
		return false;
	}
	out->bits = bits;
	bool valid = !has_bits_behind(out);
	extract(out);
	return valid;
}
