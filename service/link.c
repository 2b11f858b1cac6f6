/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages between the supervisor and a worker.
 *
 * Must not know: what they cause.
 * Invariants: messages arrive whole and in order; a descriptor that none has asked for is closed.
 */
#include "service/link.h"

#include "base/passes.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINK_READS 64 /* messages in one turn */

/* Room for one descriptor. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int link_pair(int fds[2]) {
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
	return socketpair(AF_UNIX, type, 0, fds) < 0 ? -errno : 0;
}

static int descriptor_of(struct msghdr *header) {
	int fd = -1;
	struct cmsghdr *part = CMSG_FIRSTHDR(header);
	if(part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
		part->cmsg_len == CMSG_LEN(sizeof(fd))) {
		memcpy(&fd, CMSG_DATA(part), sizeof(fd));
	}
	return fd;
}

/* 1: a message; 0: the other end is closed; or negative errno. */
static int receive(int from, struct link_message *message, int *fd) {
	union control control;
	struct iovec data = {message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t got = RETRY_INTERRUPTED(recvmsg(from, &header, MSG_CMSG_CLOEXEC));
	if(got < 0) {
		return -errno;
	}
	*fd = descriptor_of(&header);
	return got > 0;
}

static void link_run(struct ev_io *io) {
	struct link *link = container_of(io, struct link, io);
	struct link_message message;
	for(int i = 0; i < LINK_READS && io->fd >= 0; i++) {
		int fd = -1;
		int result = receive(io->fd, &message, &fd);
		if(result == -EAGAIN) {
			loop_used_up(io, LOOP_IN);
			return;
		}
		if(result <= 0) {
			link_close(link);
			link->fn(link, NULL, -1);
			return;
		}
		link->fn(link, &message, fd);
	}
}

int link_open(struct link *link, struct loop *loop, int fd, link_fn *fn) {
	*link = (struct link){.loop = loop, .fn = fn};
	int result = loop_add(loop, &link->io, fd, LOOP_IN, LOOP_IN, link_run);
	if(result) {
		link->io.fd = -1;
		close(fd);
	}
	return result;
}

int link_send(const struct link *link, const struct link_message *message, int fd) {
	union control control = {0};
	struct iovec data = {(void *)(uintptr_t)message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	if(link->io.fd < 0) {
		return -EPIPE;
	}
	if(fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	}
	return RETRY_INTERRUPTED(sendmsg(link->io.fd, &header, MSG_NOSIGNAL)) < 0 ? -errno : 0;
}

void link_close(struct link *link) {
	loop_close_io(link->loop, &link->io);
}
