/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocol of the service manager: two environment variables and a datagram each.
 *
 * Must not know: what the sockets are for.
 */
#include "service/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A decimal number and nothing else; 0 if it is none. */
static unsigned long long env_number(const char *name) {
	const char *text = getenv(name);
	if(!text || text[0] < '0' || text[0] > '9') {
		return 0;
	}
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	return errno || *end != '\0' ? 0 : value;
}

int notify_send(const char *state) {
	const char *path = getenv("NOTIFY_SOCKET");
	if(!path || path[0] == '\0') {
		return 0;
	}
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	if((path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path)) {
		return -EINVAL;
	}
	memcpy(to.sun_path, path, len);
	if(path[0] == '@') {
		to.sun_path[0] = '\0';
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if(fd < 0) {
		return -errno;
	}
	socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	ssize_t sent =
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
	int result = sent < 0 ? -errno : 0;
	close(fd);
	return result;
}

uint64_t notify_watchdog_ms(void) {
	unsigned long long pid = env_number("WATCHDOG_PID");
	if(pid != 0 && pid != (unsigned long long)getpid()) {
		return 0;
	}
	return env_number("WATCHDOG_USEC") / 1000;
}

int notify_listen_fds(void) {
	unsigned long long count = env_number("LISTEN_FDS");
	if(env_number("LISTEN_PID") != (unsigned long long)getpid() ||
		count > INT_MAX - NOTIFY_LISTEN_START) {
		return 0;
	}
	for(int fd = NOTIFY_LISTEN_START; fd < NOTIFY_LISTEN_START + (int)count; fd++) {
		int flags = fcntl(fd, F_GETFL);
		if(flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
			fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
			return fd - NOTIFY_LISTEN_START;
		}
	}
	return (int)count;
}
