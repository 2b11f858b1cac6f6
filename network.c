/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets.
 *
 * Must not know: WebSocket, HTTP, streams.
 * Invariants: every socket made here is non-blocking and closed on exec; after an error none is
 * left open.
 */
#include "network.h"

#include "base/address.h"
#include "base/passes.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NETWORK_KEEPALIVE_PROBES 3
#define NETWORK_KEEPALIVE_MAX_S 32767 /* the kernel's limit */

int network_socket(int family, int type) {
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

uint32_t network_zone(struct slice zone) {
	char name[IF_NAMESIZE];
	uint64_t number;
	if(text_read_decimal(zone, UINT32_MAX, &number) == 0) {
		return (uint32_t)number;
	}
	return text_copy(zone, name, sizeof(name)) ? 0 : if_nametoindex(name);
}

int network_connect(int fd, const struct sockaddr *address, socklen_t len) {
	if(connect(fd, address, len) == 0) {
		return 0;
	}
	/* An interrupted connect() goes on in the background, too. */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

int network_connect_result(int fd) {
	int error = 0;
	socklen_t len = sizeof(error);
	if(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
		return -errno;
	}
	return -error;
}

void network_tune(int fd) {
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int seconds(uint64_t ms, uint64_t max) {
	uint64_t s = (ms + 999) / 1000;
	return (int)(s > max ? max : s < 1 ? 1 : s);
}

void network_keepalive(int fd, const struct network_keepalive *keepalive) {
	int on = 1;
	int probes = NETWORK_KEEPALIVE_PROBES;
	int idle_s = seconds(keepalive->idle_ms, NETWORK_KEEPALIVE_MAX_S);
	int interval_s =
		seconds(keepalive->lost_ms / NETWORK_KEEPALIVE_PROBES, NETWORK_KEEPALIVE_MAX_S);
	if(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s)) < 0) {
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if(keepalive->unacknowledged_ms > 0) {
		unsigned limit_ms = keepalive->unacknowledged_ms > INT_MAX
			? INT_MAX
			: (unsigned)keepalive->unacknowledged_ms;
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
	}
}

void network_share_port(int fd, bool share) {
	int on = share;
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

/* Does a process listen at this path? A leftover of a process that died refuses. */
static bool unix_alive(const struct sockaddr_un *address, socklen_t len) {
	int fd = network_socket(AF_UNIX, SOCK_STREAM);
	if(fd < 0) {
		return true;
	}
	int result = network_connect(fd, (const struct sockaddr *)address, len);
	close(fd);
	return result != -ECONNREFUSED && result != -ENOENT;
}

/* Removes a stale socket; refuses to remove anything else. */
static int unix_clear(const struct sockaddr_un *address, socklen_t len) {
	struct stat status;
	if(lstat(address->sun_path, &status) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if(!S_ISSOCK(status.st_mode)) {
		return -EEXIST;
	}
	if(unix_alive(address, len)) {
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * Binds with the wanted permissions from the start. Its name is not used again: another user with
 * write access to the directory could have put a link to a file in its place.
 */
static int unix_bind(
	int fd, const struct address_unix *local, const struct socket_address *address) {
	/* The other thread creates no files. */
	mode_t before = local->has_mode ? umask(0777 & ~local->mode) : 0;
	int result = bind(fd, &address->any, address->len) < 0 ? -errno : 0;
	if(local->has_mode) {
		umask(before);
	}
	if(result) {
		return result;
	}
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

static int listen_unix(const char *spec, int *out, const char **why) {
	struct address_unix local;
	struct socket_address address;
	int result = address_parse_unix(spec, &local, why);
	if(result == 0) {
		result = address_of_path(local.path, &address);
	}
	if(result == 0 && local.path.at[0] != '@') {
		result = unix_clear(&address.un, address.len);
	}
	if(result) {
		return result;
	}
	int fd = network_socket(AF_UNIX, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	result = unix_bind(fd, &local, &address);
	if(result) {
		close(fd);
		return result;
	}
	*out = fd;
	return 1;
}

/* The port stays shared. */
static int listen_sharing(const struct sockaddr *address, socklen_t len, bool share) {
	int fd = network_socket(address->sa_family, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	int on = 1;
	int off = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if(share) {
		network_share_port(fd, true);
	}
	/* Accepted sockets inherit it: one system call less for each connection. */
	network_tune(fd);
	if(address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
		bool any = IN6_IS_ADDR_UNSPECIFIED(&in->sin6_addr);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on));
	}
	if(bind(fd, address, len) < 0 || listen(fd, SOMAXCONN) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int listen_address(const struct sockaddr *address, socklen_t len, bool share) {
	int fd = listen_sharing(address, len, share);
	if(fd >= 0 && share) {
		network_share_port(fd, false);
	}
	return fd;
}

int network_listen_beside(int fd) {
	struct socket_address own = {.len = sizeof(own.un)};
	if(getsockname(fd, &own.any, &own.len) < 0) {
		return -errno;
	}
	network_share_port(fd, true);
	return listen_sharing(&own.any, own.len, true);
}

/*
 * Takes the addresses of a list in turn. How many sockets listen, or negative errno and none does.
 */
static int listen_list(
	const struct addrinfo *list, const struct network_listener *where, int *fds, int max) {
	int count = 0;
	int error = -EADDRNOTAVAIL;
	for(const struct addrinfo *at = list; at && count < max; at = at->ai_next) {
		int fd = listen_address(at->ai_addr, at->ai_addrlen, where->share);
		if(fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
			continue; /* a name may have addresses that this machine does not have */
		}
		if(fd < 0) {
			error = fd;
			break;
		}
		fds[count++] = fd;
		error = 0;
	}
	while(error && count > 0) {
		close(fds[--count]);
	}
	return error ? error : count;
}

/* Every address of a name, or the one of a literal. */
static int listen_name(const struct network_listener *where, int *fds, int max, const char **why) {
	char service[8];
	snprintf(service, sizeof(service), "%u", where->port);
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int result = getaddrinfo(where->spec, service, &hints, &list);
	if(result) {
		*why = gai_strerror(result);
		return -EADDRNOTAVAIL;
	}
	result = listen_list(list, where, fds, max);
	freeaddrinfo(list);
	return result;
}

static int listen_everywhere(const struct network_listener *where, int *fds, const char **why) {
	struct network_listener every = *where;
	every.spec = "::";
	int result = listen_name(&every, fds, 1, why);
	if(result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) {
		every.spec = "0.0.0.0";
		*why = NULL;
		result = listen_name(&every, fds, 1, why);
	}
	return result;
}

int network_listen(
	const struct network_listener *where, int *fds, int max, char error[NETWORK_ERROR_MAX]) {
	const char *why = NULL;
	const char *spec = where->spec;
	bool local = spec && address_is_unix(spec);
	assert(max > 0);
	int result = !spec ? listen_everywhere(where, fds, &why)
		: local    ? listen_unix(spec, fds, &why)
			   : listen_name(where, fds, max, &why);
	if(result >= 0) {
		return result;
	}
	if(!why) {
		why = result == -EEXIST ? "a file that is not a socket has this path"
					: strerror(-result);
	}
	if(local) {
		snprintf(error, NETWORK_ERROR_MAX, "cannot listen on %s: %s", spec, why);
	} else {
		snprintf(error, NETWORK_ERROR_MAX, "cannot listen on %s, port %u: %s",
			spec ? spec : "::", where->port, why);
	}
	return result;
}

/* Not inlined: its structure on the stack would slow down the common case. */
static ssize_t __attribute__((noinline))
send_pieces(int fd, const struct iovec *iov, int count, int flags) {
	/* sendmsg() takes the array as it is; it is not written to. */
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
	ssize_t sent = RETRY_INTERRUPTED(sendmsg(fd, &message, MSG_NOSIGNAL | flags));
	return sent < 0 ? -errno : sent;
}

ssize_t network_send(int fd, const struct iovec *iov, int count, int flags) {
	/*
	 * One piece is the common case, and cheaper without a message header to be checked and
	 * copied.
	 */
	if(count != 1) {
		return send_pieces(fd, iov, count, flags);
	}
	ssize_t sent =
		RETRY_INTERRUPTED(send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | flags));
	return sent < 0 ? -errno : sent;
}
