/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IP addresses and ranges of the backend `url`.
 */
#ifndef WEBSOCKSY_PLUGIN_URL_RANGE_H
#define WEBSOCKSY_PLUGIN_URL_RANGE_H
#include <stdbool.h>
#include <stdint.h>

#define RANGE_BYTES 16

/* A range; an address is one with all bits. IPv4 has 32 bits, at the front. */
struct range {
	bool ip6;
	unsigned bits; /* of the prefix */
	uint8_t address[RANGE_BYTES];
};

/*
 * Reads an address, with brackets or without. IPv4 in its usual form only. The IPv4-mapped form and
 * that of NAT64 (64:ff9b::/96, RFC 6052) are the IPv4 address that they contain.
 */
bool range_parse_address(const char *text, struct range *out);

/*
 * Reads an address or ADDRESS/BITS. Bits behind the prefix are an error. A range of IPv4-mapped or
 * NAT64 addresses is one of IPv4 addresses.
 */
bool range_parse(const char *text, struct range *out);

bool range_contains(const struct range *range, const struct range *address);

/*
 * Is the whole range one of a host, a local or a special network: loopback, private, link-local, shared
 * (RFC 6598), services of clouds, multicast, unspecified, reserved, and tunnels?
 */
bool range_is_special(const struct range *range);
#endif
