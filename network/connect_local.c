/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting to peers on this machine: Unix sockets, fifos, programs.
 *
 * Must not know: WebSocket, connections.
 */
#include "base/address.h"
#include "network/connect_internal.h"
#include "network/exec.h"
#include "network/fifo.h"
#include "network/peer.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* When the queue of a Unix socket is full: the first wait, which doubles up to the last. */
#define CONNECT_UNIX_RETRY_MS 20
#define CONNECT_UNIX_RETRY_MAX_MS 640

static void unix_again(struct connect *connect);

/*
 * A full queue: TCP would wait in the kernel; for a Unix socket no event tells that there is room.
 */
static void retry_later(struct connect *connect, const struct peer_address *address) {
	uint64_t wait_ms = connect->retry_ms * 2;
	wait_ms = wait_ms > CONNECT_UNIX_RETRY_MAX_MS ? CONNECT_UNIX_RETRY_MAX_MS : wait_ms;
	connect->retry_ms = connect->retry_ms == 0 ? CONNECT_UNIX_RETRY_MS : wait_ms;
	connect->local = address;
	connect->again = unix_again;
	loop_timer_set(connect->owner.loop, &connect->timer,
		connect->owner.loop->now_ms + connect->retry_ms);
}

int connect_unix(struct connect *connect, const struct peer_address *address, const char **why) {
	struct socket_address to;
	(void)why;
	int result = address_of_path(text_slice(address->host), &to);
	if(result == 0) {
		result = connect_attempt(connect, &to.any, to.len);
	}
	if(result == -EAGAIN) {
		retry_later(connect, address);
		return -EINPROGRESS;
	}
	if(result == 0 && connect->kind->socket_type == SOCK_DGRAM) {
		/*
		 * A local address, chosen by the kernel, so that the service can answer (unix(7)).
		 */
		struct sockaddr_un local = {.sun_family = AF_UNIX};
		if(bind(connect->fd, (const struct sockaddr *)&local, sizeof(sa_family_t)) < 0) {
			return -errno;
		}
	}
	return result;
}

static void unix_again(struct connect *connect) {
	const char *why = NULL;
	int result = connect_unix(connect, connect->local, &why);
	if(result != -EINPROGRESS) {
		if(result) {
			connect_note(connect, result, NULL);
		}
		connect_done(connect, result);
	}
}

int connect_fifo(struct connect *connect, const struct peer_address *address, const char **why) {
	int fd = fifo_open(address->host, connect->kind->access, why);
	if(fd < 0) {
		return fd;
	}
	connect->fd = fd;
	return 0;
}

int connect_exec(struct connect *connect, const struct peer_address *address, const char **why) {
	int fd = exec_open(&connect->exec, address, &connect->owner.exec, why);
	if(fd < 0) {
		return fd;
	}
	connect->fd = fd;
	return 0;
}
