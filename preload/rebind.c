/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A library that is preloaded into a program (LD_PRELOAD): the TCP port that it binds becomes one of
 * the loopback interface, chosen by the kernel, and the daemon is told which one when the program
 * listens.
 *
 * Must not know: the daemon; it is not linked with it.
 * Invariants: every other call is passed on unchanged; errno is that of the call of the program.
 *
 * WEBSOCKSY_REBIND=PORT:NAME:SECRET: the port to look for, the abstract Unix datagram socket that is
 * told "SECRET 4 PORT" or "SECRET 6 PORT", and the proof that the program tells it. Or, as the library
 * of websockify has it: REBIND_OLD_PORT (REBIND_PORT_OLD) becomes REBIND_NEW_PORT (REBIND_PORT_NEW) of
 * 127.0.0.1.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define PORTS_MAX 32 /* that a process binds; of more, the daemon is not told */

/* An address as bind() takes it. */
union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* What the environment says. */
struct orders {
	unsigned old_port; /* 0: nothing is to be done */
	unsigned new_port; /* 0: the kernel chooses */
	char name[64]; /* whom to tell; empty: nobody */
	char secret[64];
};

/* The ports that have been bound in place of the old one, also by the process that has forked. */
static struct {
	size_t count;
	struct {
		int family;
		in_port_t port;
	} entry[PORTS_MAX];
} bound;

static unsigned port_in(const char *name, const char *other) {
	const char *value = getenv(name);
	value = value ? value : getenv(other);
	unsigned long port = value ? strtoul(value, NULL, 10) : 0;
	return port <= UINT16_MAX ? (unsigned)port : 0;
}

/* The part of `*at` up to a colon or the end; longer ones are cut. */
static void take_part(const char **at, char *out, size_t cap) {
	size_t len = strcspn(*at, ":");
	size_t taken = len < cap ? len : cap - 1;
	memcpy(out, *at, taken);
	out[taken] = '\0';
	*at += len + ((*at)[len] == ':');
}

static void read_orders(struct orders *orders) {
	const char *at = getenv("WEBSOCKSY_REBIND");
	*orders = (struct orders){0};
	if(at) {
		orders->old_port = port_in("WEBSOCKSY_REBIND", "WEBSOCKSY_REBIND");
		at += strcspn(at, ":");
		at += *at == ':';
		take_part(&at, orders->name, sizeof(orders->name));
		take_part(&at, orders->secret, sizeof(orders->secret));
		return;
	}
	*orders = (struct orders){.old_port = port_in("REBIND_OLD_PORT", "REBIND_PORT_OLD"),
		.new_port = port_in("REBIND_NEW_PORT", "REBIND_PORT_NEW")};
	orders->old_port = orders->new_port ? orders->old_port : 0;
}

static int option_of(int fd, int option) {
	int value = 0;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : 0;
}

/* The port of an IP address in host byte order; 0: it is something else. */
static unsigned port_of(const struct sockaddr *address, socklen_t len) {
	union any_address copy = {0};
	if(!address || len < offsetof(struct sockaddr_in, sin_addr)) {
		return 0;
	}
	memcpy(&copy, address, len < sizeof(copy) ? len : sizeof(copy));
	if(copy.any.sa_family == AF_INET && len >= sizeof(copy.in)) {
		return ntohs(copy.in.sin_port);
	}
	/* Old programs leave the scope out. */
	if(copy.any.sa_family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		return ntohs(copy.in6.sin6_port);
	}
	return 0;
}

static int real_bind(int fd, const struct sockaddr *address, socklen_t len) {
	int (*next)(int, const struct sockaddr *, socklen_t);
	*(void **)&next = dlsym(RTLD_NEXT, "bind");
	if(!next) {
		errno = ENOSYS;
		return -1;
	}
	return next(fd, address, len);
}

static int real_listen(int fd, int backlog) {
	int (*next)(int, int);
	*(void **)&next = dlsym(RTLD_NEXT, "listen");
	if(!next) {
		errno = ENOSYS;
		return -1;
	}
	return next(fd, backlog);
}

static int bind_loopback(int fd, int family, in_port_t port) {
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	if(family == AF_INET) {
		return real_bind(fd, (const struct sockaddr *)&in, sizeof(in));
	}
	int result = real_bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	if(result < 0 && errno == EADDRNOTAVAIL) {
		/* A machine without ::1: the IPv4 address as an IPv6 socket has it. */
		in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
		in6.sin6_addr.s6_addr[12] = 127;
		result = real_bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	}
	return result;
}

/* Sockets that share the port of the program also share the one that it has got instead. */
static in_port_t shared_port(int fd, int family) {
	if(!option_of(fd, SO_REUSEPORT)) {
		return 0;
	}
	for(size_t i = 0; i < bound.count; i++) {
		if(bound.entry[i].family == family) {
			return bound.entry[i].port;
		}
	}
	return 0;
}

static in_port_t own_port(int fd, int *family, bool *mapped) {
	union any_address own = {0};
	socklen_t len = sizeof(own);
	if(getsockname(fd, &own.any, &len) < 0) {
		return 0;
	}
	*family = own.any.sa_family;
	*mapped = *family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&own.in6.sin6_addr);
	if(*family != AF_INET && *family != AF_INET6) {
		return 0;
	}
	return *family == AF_INET ? own.in.sin_port : own.in6.sin6_port;
}

static void remember(int fd) {
	int family;
	bool mapped;
	in_port_t port = own_port(fd, &family, &mapped);
	if(port && bound.count < PORTS_MAX) {
		bound.entry[bound.count].family = family;
		bound.entry[bound.count++].port = port;
	}
}

EXPORTED int bind(int fd, const struct sockaddr *address, socklen_t len) {
	struct orders orders;
	unsigned port = port_of(address, len);
	read_orders(&orders);
	if(port == 0 || port != orders.old_port || option_of(fd, SO_TYPE) != SOCK_STREAM) {
		return real_bind(fd, address, len);
	}
	int family = address->sa_family;
	in_port_t wanted =
		orders.new_port ? htons((uint16_t)orders.new_port) : shared_port(fd, family);
	int result = bind_loopback(fd, family, wanted);
	if(result == 0) {
		int saved = errno;
		remember(fd);
		errno = saved;
	}
	return result;
}

static void tell(const struct orders *orders, bool ip4, in_port_t port) {
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char text[96];
	size_t name = strlen(orders->name);
	int len = snprintf(
		text, sizeof(text), "%s %c %u", orders->secret, ip4 ? '4' : '6', ntohs(port));
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if(fd < 0) {
		return;
	}
	memcpy(to.sun_path + 1, orders->name, name);
	sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name));
	close(fd);
}

static bool was_bound(int family, in_port_t port) {
	for(size_t i = 0; i < bound.count; i++) {
		if(bound.entry[i].family == family && bound.entry[i].port == port) {
			return true;
		}
	}
	return false;
}

EXPORTED int listen(int fd, int backlog) {
	int result = real_listen(fd, backlog);
	int saved = errno;
	struct orders orders;
	int family;
	bool mapped;
	in_port_t port = result == 0 && bound.count > 0 ? own_port(fd, &family, &mapped) : 0;
	if(port && was_bound(family, port)) {
		read_orders(&orders);
		if(orders.name[0] != '\0') {
			tell(&orders, family == AF_INET || mapped, port);
		}
	}
	errno = saved;
	return result;
}
