/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The zones of name servers.
 *
 * Must not know: questions, answers.
 * Invariants: the sockets are as the rest of the network layer makes them; without zones the library
 * makes its own.
 */
#include "network/resolve_zones.h"

#include "base/address.h"
#include "network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- the list of name servers ---- */

static int add_zone(struct resolve_zones *zones, struct slice server) {
	union address address;
	struct slice zone;
	if(address_parse_server(server, &address, &zone)) {
		return -EINVAL;
	}
	if(zone.len == 0) {
		return 0;
	}
	if(zones->count == RESOLVE_ZONES_MAX ||
		text_copy(zone, zones->zone[zones->count].interface, IF_NAMESIZE)) {
		return -EINVAL;
	}
	zones->zone[zones->count++].server = address.in6.sin6_addr;
	return 0;
}

static char *without_zones(const char *servers) {
	char *plain = malloc(strlen(servers) + 1);
	char *out = plain;
	while(plain && *servers) {
		servers += *servers == '%' ? strcspn(servers, "],") : 0;
		if(*servers) {
			*out++ = *servers++;
		}
	}
	if(plain) {
		*out = '\0';
	}
	return plain;
}

int resolve_zones_take(struct resolve_zones *zones, const char *servers, char **plain) {
	struct slice rest = text_slice(servers);
	struct slice server;
	bool more = true;
	*zones = (struct resolve_zones){0};
	while(more) {
		more = text_split(&rest, ',', &server);
		if(add_zone(zones, more ? server : rest)) {
			return -EINVAL;
		}
	}
	*plain = without_zones(servers);
	return *plain ? 0 : -ENOMEM;
}

/* ---- sockets ---- */

static ares_socket_t open_socket(int family, int type, int protocol, void *ctx) {
	(void)protocol;
	(void)ctx;
	int fd = network_socket(family, type);
	if(fd < 0) {
		errno = -fd;
		return ARES_SOCKET_BAD;
	}
	return fd;
}

static int close_socket(ares_socket_t fd, void *ctx) {
	(void)ctx;
	return close(fd);
}

/* 0: the server has none, or there is no such interface now, and connecting fails. */
static uint32_t find_scope(const struct resolve_zones *zones, const struct in6_addr *server) {
	for(size_t i = 0; i < zones->count; i++) {
		if(memcmp(&zones->zone[i].server, server, sizeof(*server)) == 0) {
			return network_zone(text_slice(zones->zone[i].interface));
		}
	}
	return 0;
}

static int connect_socket(
	ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len, void *ctx) {
	struct socket_address to = {.len = len};
	memcpy(&to.un, address, len);
	if(address->sa_family == AF_INET6) {
		to.ip.in6.sin6_scope_id = find_scope(ctx, &to.ip.in6.sin6_addr);
	}
	int result = network_connect(fd, &to.any, to.len);
	errno = -result;
	return result ? -1 : 0;
}

static ares_ssize_t receive(ares_socket_t fd, void *data, size_t cap, int flags,
	struct sockaddr *from, ares_socklen_t *len, void *ctx) {
	(void)ctx;
	return recvfrom(fd, data, cap, flags, from, len);
}

static ares_ssize_t send_pieces(ares_socket_t fd, const struct iovec *iov, int count, void *ctx) {
	(void)ctx;
	ssize_t sent = network_send(fd, iov, count, 0);
	errno = sent < 0 ? (int)-sent : 0;
	return sent < 0 ? -1 : sent;
}

static const struct ares_socket_functions functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_pieces,
};

void resolve_zones_use(const struct resolve_zones *zones, ares_channel channel) {
	if(zones->count > 0) {
		/* It is only read. */
		ares_set_socket_functions(channel, &functions, (void *)(uintptr_t)zones);
	}
}
