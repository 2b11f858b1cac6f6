/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signals as events of the loop.
 *
 * Must not know: the meaning of a signal.
 * Invariants: nothing runs in a signal handler; a signal that is delivered several times within a
 * turn is one.
 */
#include "base/loop_signals.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SIGNALS_MAX 16 /* taken in one turn */

static void signals_deliver(struct loop *loop, const struct signalfd_siginfo *info, size_t count) {
	sigset_t seen;
	sigemptyset(&seen);
	for(size_t i = 0; i < count; i++) {
		int number = (int)info[i].ssi_signo;
		if(!sigismember(&seen, number)) {
			sigaddset(&seen, number);
			loop->on_signal(loop, number);
		}
	}
}

/* Only the signals that are pending now: other ios run before those that arrive meanwhile. */
static void signals_run(struct ev_io *io) {
	struct loop *loop = container_of(io, struct loop, signal_io);
	struct signalfd_siginfo info[SIGNALS_MAX];
	ssize_t got = read(io->fd, info, sizeof(info));
	int error = got < 0 ? errno : 0;
	if(error && error != EAGAIN) {
		/* A signal may be pending without a further event: the next turn tries again. */
		if(error != EINTR &&
			log_limit_pass(&loop->unread_signals, "signals", loop->now_ms)) {
			log_write(LOG_ERROR, "cannot read signals: %s", strerror(error));
		}
		return;
	}
	if(got < (ssize_t)sizeof(info)) {
		loop_used_up(io, LOOP_IN);
	}
	signals_deliver(loop, info, error ? 0 : (size_t)got / sizeof(info[0]));
}

int loop_signals(
	struct loop *loop, const sigset_t *set, void (*fn)(struct loop *loop, int signal)) {
	if(sigprocmask(SIG_BLOCK, set, NULL) < 0) {
		return -errno;
	}
	int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	loop->on_signal = fn;
	int result = loop_add(loop, &loop->signal_io, fd, LOOP_IN, LOOP_IN, signals_run);
	if(result) {
		close(fd);
	}
	return result;
}
