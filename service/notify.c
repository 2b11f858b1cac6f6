/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocol of the service manager: environment variables and a datagram each.
 *
 * Must not know: the use of the sockets.
 * Invariants: messages are sent in order; the retry timer is armed exactly while some are queued.
 */
#include "service/notify.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTIFY_RETRY_MS 100

/* ---- environment ---- */

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

static void take_socket(struct notify *notify) {
	const char *path = getenv("NOTIFY_SOCKET");
	if(!path || path[0] == '\0') {
		return;
	}
	size_t len = strlen(path);
	if((path[0] != '/' && path[0] != '@') || len >= sizeof(notify->to.sun_path)) {
		log_write(LOG_WARNING,
			"NOTIFY_SOCKET: \"%s\" is not an absolute path or an abstract name", path);
		return;
	}
	notify->to.sun_family = AF_UNIX;
	memcpy(notify->to.sun_path, path, len);
	if(path[0] == '@') {
		notify->to.sun_path[0] = '\0';
	}
	notify->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static uint64_t take_watchdog(void) {
	unsigned long long pid = env_number("WATCHDOG_PID");
	if(pid != 0 && pid != (unsigned long long)getpid()) {
		return 0;
	}
	return env_number("WATCHDOG_USEC") / 1000;
}

static int take_listen_fds(void) {
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

void notify_init(struct notify *notify) {
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
		"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};
	*notify = (struct notify){0};
	take_socket(notify);
	notify->watchdog_ms = take_watchdog();
	notify->listen_fds = take_listen_fds();
	for(size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		unsetenv(names[i]);
	}
}

/* ---- messages ---- */

/* 0 or negative errno. */
static int send_now(const struct notify *notify, const char *state) {
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if(fd < 0) {
		return -errno;
	}
	ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->to, notify->to_len);
	int result = sent < 0 ? -errno : 0;
	close(fd);
	return result;
}

/* False: the socket is full. */
static bool send_or_warn(const struct notify *notify, const char *state) {
	int result = send_now(notify, state);
	if(result == -EAGAIN) {
		return false;
	}
	if(result) {
		log_write(LOG_WARNING, "cannot tell the service manager \"%.*s\": %s",
			(int)strcspn(state, "\n"), state, strerror(-result));
	}
	return true;
}

static void drop_first(struct notify *notify) {
	notify->queued--;
	memmove(notify->queue[0], notify->queue[1], notify->queued * NOTIFY_STATE_MAX);
}

static void arm(struct notify *notify) {
	loop_timer_set(notify->loop, &notify->retry, notify->loop->now_ms + NOTIFY_RETRY_MS);
}

static void retry_due(struct ev_timer *timer) {
	struct notify *notify = container_of(timer, struct notify, retry);
	while(notify->queued > 0 && send_or_warn(notify, notify->queue[0])) {
		drop_first(notify);
	}
	if(notify->queued > 0) {
		arm(notify);
	}
}

int notify_open(struct notify *notify, struct loop *loop) {
	notify->loop = loop;
	return loop_timer_open(loop, &notify->retry, retry_due);
}

void notify_close(struct notify *notify) {
	if(notify->loop) {
		loop_timer_close(notify->loop, &notify->retry);
		notify->loop = NULL;
	}
}

void notify_send(struct notify *notify, const char *state) {
	assert(notify->loop && strlen(state) < NOTIFY_STATE_MAX);
	if(notify->to_len == 0 || (notify->queued == 0 && send_or_warn(notify, state))) {
		return;
	}
	if(notify->queued == NOTIFY_QUEUE_MAX) {
		drop_first(notify); /* an old state says nothing any more */
	}
	snprintf(notify->queue[notify->queued++], NOTIFY_STATE_MAX, "%s", state);
	arm(notify);
}

void notify_send_reloading(struct notify *notify) {
	char state[NOTIFY_STATE_MAX];
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_us());
	notify_send(notify, state);
}

void notify_send_once(struct notify *notify, const char *state) {
	if(notify->to_len > 0 && notify->queued == 0) {
		send_or_warn(notify, state);
	}
}
