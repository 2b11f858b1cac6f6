/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets.
 *
 * Must not know: WebSocket, HTTP, streams.
 * Invariants: every socket made here is non-blocking and closed on exec; after an error none is left open.
 */
#include "network.h"

#include "base/passes.h"

#include <assert.h>
#include <errno.h>
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

int network_socket(int family, int type) {
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
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

/* Is a listening socket at this path alive? A leftover of a process that died is not. */
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

struct unix_spec {
	struct sockaddr_un address;
	socklen_t len;
	mode_t mode;
	bool has_mode;
};

static int unix_parse(const char *spec, struct unix_spec *out) {
	*out = (struct unix_spec){.address.sun_family = AF_UNIX};
	const char *end = strstr(spec, ",mode=");
	size_t len = end ? (size_t)(end - spec) : strlen(spec);
	if(len == 0 || len >= sizeof(out->address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(out->address.sun_path, spec, len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if(spec[0] == '@') {
		out->address.sun_path[0] = '\0';
	} else {
		out->len++;
	}
	if(end) {
		char *rest;
		unsigned long mode = strtoul(end + strlen(",mode="), &rest, 8);
		if(*rest != '\0' || rest == end + strlen(",mode=") || mode > 0777) {
			return -EINVAL;
		}
		out->mode = (mode_t)mode;
		out->has_mode = true;
	}
	return 0;
}

/* Binds with the wanted permissions from the start: the socket is never open wider for a moment. */
static int unix_bind(int fd, const struct unix_spec *spec) {
	bool path = spec->address.sun_path[0] != '\0';
	if(path && spec->has_mode && fchmod(fd, spec->mode) < 0) {
		return -errno;
	}
	if(bind(fd, (const struct sockaddr *)&spec->address, spec->len) < 0) {
		return -errno;
	}
	/* bind() took the umask off. */
	if(path && spec->has_mode && chmod(spec->address.sun_path, spec->mode) < 0) {
		return -errno;
	}
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

static int listen_unix(const char *path, int *out) {
	struct unix_spec spec;
	int result = unix_parse(path, &spec);
	if(result == 0 && path[0] != '@') {
		result = unix_clear(&spec.address, spec.len);
	}
	if(result) {
		return result;
	}
	int fd = network_socket(AF_UNIX, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	result = unix_bind(fd, &spec);
	if(result) {
		close(fd);
		return result;
	}
	*out = fd;
	return 0;
}

static int listen_address(const struct sockaddr *address, socklen_t len) {
	int fd = network_socket(address->sa_family, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	int on = 1;
	int off = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
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

/* Every address that a name has, or the one of a literal. */
static int listen_name(const char *host, uint16_t port, int *fds, int max, const char **why) {
	char service[8];
	snprintf(service, sizeof(service), "%u", port);
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int result = getaddrinfo(host, service, &hints, &list);
	if(result) {
		*why = gai_strerror(result);
		return -EADDRNOTAVAIL;
	}
	int count = 0;
	int error = -EADDRNOTAVAIL;
	for(struct addrinfo *at = list; at && count < max; at = at->ai_next) {
		int fd = listen_address(at->ai_addr, at->ai_addrlen);
		if(fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
			continue; /* a name may have addresses that this machine has not */
		}
		if(fd < 0) {
			error = fd;
			break;
		}
		fds[count++] = fd;
		error = 0;
	}
	freeaddrinfo(list);
	if(error) {
		while(count > 0) {
			close(fds[--count]);
		}
		*why = strerror(-error);
		return error;
	}
	return count;
}

static int listen_everywhere(uint16_t port, int *fds, const char **why) {
	int result = listen_name("::", port, fds, 1, why);
	if(result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) {
		result = listen_name("0.0.0.0", port, fds, 1, why);
	}
	return result;
}

int network_listen(
	const char *spec, uint16_t port, int *fds, int max, char *error, size_t error_cap) {
	const char *why = NULL;
	bool local = spec && strncmp(spec, "unix:", 5) == 0;
	int result;
	assert(max > 0);
	if(!spec) {
		result = listen_everywhere(port, fds, &why);
	} else if(local) {
		result = listen_unix(spec + 5, fds);
		result = result ? result : 1;
	} else {
		char host[256];
		size_t len = strlen(spec);
		bool brackets = len > 2 && spec[0] == '[' && spec[len - 1] == ']';
		snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len),
			spec + brackets);
		result = listen_name(host, port, fds, max, &why);
	}
	if(result < 0) {
		const char *text = result == -EEXIST ? "something that is no socket is in the way"
						     : strerror(-result);
		if(local) {
			snprintf(error, error_cap, "cannot listen on %s: %s", spec, text);
		} else {
			snprintf(error, error_cap, "cannot listen on %s, port %u: %s",
				spec ? spec : "::", port, why ? why : text);
		}
	}
	return result;
}

ssize_t network_send(int fd, const struct iovec *iov, int count, int flags) {
	/* sendmsg() takes the array as it is; it is not written to. */
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
	/* One piece is the common case, and cheaper without a message header to be checked and copied. */
	ssize_t sent = RETRY_INTERRUPTED(count == 1
			? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | flags)
			: sendmsg(fd, &message, MSG_NOSIGNAL | flags));
	return sent < 0 ? -errno : sent;
}
