/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses in the cases of tests: from text, and back.
 */
#ifndef WEBSOCKSY_TESTS_ADDRESSES_H
#define WEBSOCKSY_TESTS_ADDRESSES_H
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The longest form of an IPv6 address. */
#define LONG_6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

/* "192.0.2.1 80", "2001:db8::1 80", "unix", "none" */
#define SHOWN 80

static inline void address_show(const union address *address, char out[SHOWN]) {
	char host[ADDRESS_HOST_TEXT];
	address_format_host(&address->any, host);
	if(address->any.sa_family == AF_UNSPEC) {
		strcpy(out, "none");
	} else if(address->any.sa_family == AF_UNIX) {
		strcpy(out, host);
	} else {
		/* The port is at the same place in both. */
		snprintf(out, SHOWN, "%s %u", host, ntohs(address->in.sin_port));
	}
}

static inline union address make_address(const char *text, uint16_t port) {
	union address address = {0};
	if(inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
	} else if(inet_pton(AF_INET6, text, &address.in6.sin6_addr) == 1) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
	} else {
		address.any.sa_family = strcmp(text, "unix") == 0 ? AF_UNIX : AF_UNSPEC;
	}
	return address;
}
#endif
