/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Name servers with link-local addresses: the network interface through which each of them is
 * reached. The resolver library takes addresses without a zone only.
 */
#ifndef WEBSOCKSY_RESOLVE_ZONES_H
#define WEBSOCKSY_RESOLVE_ZONES_H
#include <ares.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>

#define RESOLVE_ZONES_MAX 8

/* Zeroed: none. */
struct resolve_zones {
	size_t count;
	struct {
		struct in6_addr server;
		char interface[IF_NAMESIZE]; /* name or number */
	} zone[RESOLVE_ZONES_MAX];
};

/*
 * Takes the zones out of a list of name servers, as the option `resolver` has it. 0 and in `*plain`
 * (free()) the list without them; -EINVAL: no such list, or too many zones; -ENOMEM.
 */
int resolve_zones_take(struct resolve_zones *zones, const char *servers, char **plain);

/*
 * The channel's sockets use the zones. The interfaces are looked up for each socket, because they
 * may come and go. `zones` lives as long as the channel.
 */
void resolve_zones_use(const struct resolve_zones *zones, ares_channel channel);
#endif
