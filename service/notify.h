/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The service manager: readiness and watchdog messages (sd_notify(3)) and passed listening sockets
 * (sd_listen_fds(3)), without linking anything for it.
 */
#ifndef WEBSOCKSY_NOTIFY_H
#define WEBSOCKSY_NOTIFY_H
#include "base/loop.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Descriptors are passed from this number on. */
#define NOTIFY_LISTEN_START 3

#define NOTIFY_STATE_MAX 64 /* one message, with its NUL */
#define NOTIFY_QUEUE_MAX 4 /* messages that wait for room in the service manager's socket */

struct notify {
	struct loop *loop;
	struct ev_timer retry;
	struct sockaddr_un to;
	socklen_t to_len; /* 0: no service manager */
	uint64_t watchdog_ms; /* after which it misses a WATCHDOG=1; 0: it does not watch */
	int listen_fds; /* listening sockets that it has passed, from NOTIFY_LISTEN_START on */
	size_t queued;
	char queue[NOTIFY_QUEUE_MAX][NOTIFY_STATE_MAX];
};

/*
 * Takes what the service manager has put into the environment out of it, so that no program that a
 * plugin starts takes it for its own. Passed sockets are made close-on-exec and non-blocking.
 * Before any plugin is loaded.
 */
void notify_init(struct notify *notify);

/* Messages may be sent from here on. 0 or -ENOMEM. notify_close() is due in either case. */
int notify_open(struct notify *notify, struct loop *loop);
void notify_close(struct notify *notify);

/*
 * Sends `state` ("READY=1", lines separated by \n), without blocking. If the service manager's
 * socket is full it is sent later, in order; other failures are logged. Nothing without a service
 * manager.
 */
void notify_send(struct notify *notify, const char *state);

/* RELOADING=1, with the time, as sd_notify(3) wants it. */
void notify_send_reloading(struct notify *notify);

/*
 * The same for a message that is soon followed by another one like it: a full socket does not
 * matter.
 */
void notify_send_once(struct notify *notify, const char *state);
#endif
