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

/* The waits are short at first and double. */
static void retry_timer(struct connect *connect) {
	uint64_t wait_ms = connect->retry_ms * 2;
	wait_ms = wait_ms > CONNECT_UNIX_RETRY_MAX_MS ? CONNECT_UNIX_RETRY_MAX_MS : wait_ms;
	connect->retry_ms = connect->retry_ms == 0 ? CONNECT_UNIX_RETRY_MS : wait_ms;
	loop_timer_set(connect->owner.loop, &connect->timer,
		connect->owner.loop->now_ms + connect->retry_ms);
}

/*
 * A full queue: TCP would wait in the kernel; for a Unix socket no event tells that there is room.
 */
static void retry_later(struct connect *connect, const struct peer_address *address) {
	connect->local = address;
	connect->again = unix_again;
	retry_timer(connect);
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

/* ---- the program that the daemon has been started with ---- */

static void program_again(struct connect *connect);

static void program_announced(struct announced_waiter *waiter) {
	struct connect *connect = container_of(waiter, struct connect, waiter);
	loop_timer_cancel(connect->owner.loop, &connect->timer);
	connect->retry_ms = 0;
	connect->tried = 0;
	program_again(connect);
}

/*
 * It has not been started yet, binds later, or is being started again: tried until the time is up.
 * A new address ends the wait.
 */
static void program_failed(struct connect *connect) {
	announced_wait(connect->owner.announced, &connect->waiter);
	connect->again = program_again;
	retry_timer(connect);
}

/* One of its addresses in turn. 0 or -EINPROGRESS. */
static int program_attempt(struct connect *connect) {
	const struct announced *announced = connect->owner.announced;
	int result = -EAGAIN;
	if(announced->count > 0) {
		const struct socket_address *address =
			&announced->address[connect->tried++ % announced->count];
		result = connect_attempt(connect, &address->any, address->len);
	}
	if(result && result != -EINPROGRESS) {
		program_failed(connect);
	}
	return result ? -EINPROGRESS : 0;
}

static void program_again(struct connect *connect) {
	if(connect->under_way == 0 && program_attempt(connect) == 0) {
		connect_done(connect, 0);
	}
}

int connect_program(struct connect *connect, const struct peer_address *address, const char **why) {
	(void)address;
	if(!connect->owner.announced) {
		*why = "the daemon has not been started with a program (-- PROGRAM)";
		return -ENOENT;
	}
	connect->waiter.fn = program_announced;
	connect->failed = program_failed;
	return program_attempt(connect);
}
