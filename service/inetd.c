/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets as standard input.
 *
 * Must not know: what the socket is for.
 */
#include "service/inetd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same_socket(int fd) {
	struct stat input, other;
	return fstat(STDIN_FILENO, &input) == 0 && fstat(fd, &other) == 0 &&
		S_ISSOCK(input.st_mode) && input.st_dev == other.st_dev &&
		input.st_ino == other.st_ino;
}

static int replace_by_null(int fd) {
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if(null_fd < 0) {
		return -errno;
	}
	int result = dup2(null_fd, fd) < 0 ? -errno : 0;
	close(null_fd);
	return result;
}

bool inetd_protect_streams(void) {
	bool error = is_same_socket(STDERR_FILENO);
	if(is_same_socket(STDOUT_FILENO)) {
		replace_by_null(STDOUT_FILENO);
	}
	return error && replace_by_null(STDERR_FILENO) == 0;
}

static int int_option(int fd, int option) {
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* A connection that has been reset meanwhile has no peer, but is one. */
static bool is_connected(int fd) {
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	return getpeername(fd, (struct sockaddr *)&address, &len) == 0 ||
		int_option(fd, SO_ERROR) > 0;
}

static int set_flags(int fd) {
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int inetd_take(int from, struct inetd_socket *out) {
	bool listens = int_option(from, SO_ACCEPTCONN) == 1;
	if(int_option(from, SO_TYPE) != SOCK_STREAM || (!listens && !is_connected(from))) {
		return -ENOTSOCK;
	}
	int fd = fcntl(from, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if(fd < 0) {
		return -errno;
	}
	int result = set_flags(fd);
	if(result == 0 && from > STDERR_FILENO) {
		close(from);
	} else if(result == 0) {
		result = replace_by_null(from);
	}
	if(result) {
		close(fd);
		return result;
	}
	*out = (struct inetd_socket){.fd = fd, .listens = listens};
	return 0;
}
