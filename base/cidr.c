/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Networks in CIDR notation.
 *
 * Must not know: the consequences of being in a network.
 * Invariants: a network has no bits behind its prefix; IPv4 in its IPv6 form is IPv4, in networks
 * and in the addresses that are compared with them.
 * Implements RFC 4632, section 3.1; RFC 4291, section 2.3.
 */
#include "base/cidr.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96 /* of "::ffff:0:0/96" */

/* Do the first `bits` of the two agree? */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits) {
	unsigned whole = bits / 8;
	unsigned rest = bits % 8;
	if(memcmp(a, b, whole) != 0) {
		return false;
	}
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool has_bits_behind(const uint8_t *address, unsigned bits, unsigned width) {
	for(unsigned i = bits; i < width; i++) {
		if(address[i / 8] & (0x80u >> (i % 8))) {
			return true;
		}
	}
	return false;
}

/* Decimal without leading zeros, which others would read as octal. */
static int parse_bits(struct slice text, unsigned width, unsigned *out) {
	uint64_t bits;
	if((text.len > 1 && text.at[0] == '0') || text_read_decimal(text, width, &bits)) {
		return -EINVAL;
	}
	*out = (unsigned)bits;
	return 0;
}

int cidr_parse(const char *text, struct cidr *out, const char **why) {
	union address address;
	struct slice bits_text = text_slice(text);
	struct slice host = bits_text;
	bool has_bits = text_split(&bits_text, '/', &host);
	*out = (struct cidr){.family = AF_UNIX};
	if(strcmp(text, "unix") == 0) {
		return 0;
	}
	if(address_parse(host, &address)) {
		*why = "is not a network (use 192.0.2.0/24, 2001:db8::/32, an address, or unix)";
		return -EINVAL;
	}
	unsigned width = address.any.sa_family == AF_INET ? 32 : 128;
	unsigned bits = width;
	if(has_bits && parse_bits(bits_text, width, &bits)) {
		*why = "has an invalid prefix length (use 0 to 32 for IPv4, 0 to 128 for IPv6)";
		return -EINVAL;
	}
	if(width == 128 && bits >= MAPPED_BITS && IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr)) {
		address_unmap(&address);
		width = 32;
		bits -= MAPPED_BITS;
	}
	size_t len;
	const uint8_t *bytes = address_bytes(&address, &len);
	out->family = address.any.sa_family;
	out->bits = (uint8_t)bits;
	memcpy(out->address, bytes, len);
	if(has_bits_behind(out->address, bits, width)) {
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

bool cidr_list_contains(struct cidr_list list, const struct sockaddr *from) {
	union address address = address_of(from);
	size_t len;
	const uint8_t *bytes = address_bytes(&address, &len);
	for(size_t i = 0; i < list.count; i++) {
		const struct cidr *network = &list.network[i];
		/* All Unix sockets: their prefix is empty. */
		if(network->family == address.any.sa_family &&
			same_prefix(bytes, network->address, network->bits)) {
			return true;
		}
	}
	return false;
}
