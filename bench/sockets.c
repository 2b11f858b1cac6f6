/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets for the benchmark programs.
 *
 * Must not know: what travels through them.
 * Invariants: the options are those of the daemon, or the comparison would not be one:
 * non-blocking, TCP_NODELAY, buffer sizes as the kernel chooses them.
 */
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn void sockets_die(const char *what) {
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

struct sockaddr_in sockets_parse(const char *text) {
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	const char *port = colon ? colon + 1 : text;
	char *end;
	unsigned long number = strtoul(port, &end, 10);
	int fits = colon ? snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text) : 0;
	if(*port == '\0' || *end != '\0' || number > UINT16_MAX || fits >= (int)sizeof(host) ||
		(colon && inet_pton(AF_INET, host, &address.sin_addr) != 1)) {
		fprintf(stderr, "%s: not an address like 127.0.0.1:8001\n", text);
		exit(2);
	}
	address.sin_port = htons((uint16_t)number);
	return address;
}

static void set_nodelay(int fd) {
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int sockets_listen(const struct sockaddr_in *address) {
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if(fd < 0) {
		sockets_die("socket");
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted sockets inherit it. */
	set_nodelay(fd);
	if(bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
		listen(fd, SOMAXCONN) < 0) {
		sockets_die("listen");
	}
	return fd;
}

int sockets_accept(int listener) {
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int sockets_connect(const struct sockaddr_in *address) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if(fd < 0) {
		return -errno;
	}
	set_nodelay(fd);
	if(connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
		errno != EINPROGRESS) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int sockets_error(int fd) {
	int error = 0;
	socklen_t len = sizeof(error);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

ssize_t sockets_recv(int fd, void *data, size_t cap) {
	ssize_t got;
	do {
		got = recv(fd, data, cap, 0);
	} while(got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t sockets_send(int fd, const void *data, size_t len) {
	ssize_t sent;
	do {
		sent = send(fd, data, len, MSG_NOSIGNAL);
	} while(sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

void sockets_raise_limit(void) {
	struct rlimit limit;
	if(getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

uint64_t sockets_now_ns(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
