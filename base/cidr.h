/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Networks in CIDR notation, and lists of them.
 */
#ifndef WEBSOCKSY_CIDR_H
#define WEBSOCKSY_CIDR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A network; IPv4 in its IPv6 form is kept as IPv4. */
struct cidr {
	sa_family_t family; /* AF_INET, AF_INET6, or AF_UNIX for all Unix sockets */
	uint8_t bits; /* length of the prefix */
	uint8_t address[16]; /* 0 behind the prefix; IPv4: the first four */
};

/* The owner of the list frees it. */
struct cidr_list {
	struct cidr *network;
	size_t count;
};

/*
 * Reads "192.0.2.0/24", "2001:db8::/32", an address, or "unix". 0; -EINVAL with `*why`: static text
 * that continues a sentence which begins with the quoted text.
 */
int cidr_parse(const char *text, struct cidr *out, const char **why);

#define CIDR_TEXT 64

/* Formats it as cidr_parse() reads it. */
void cidr_format(const struct cidr *network, char out[CIDR_TEXT]);

/* Is the address in one of the networks? */
bool cidr_list_contains(struct cidr_list list, const struct sockaddr *address);
#endif
