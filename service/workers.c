/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The worker processes of a supervisor.
 *
 * Must not know: what a worker does; the configuration.
 * Invariants: a worker has at most one process; one that has ended is reaped before anything else
 * happens with its place.
 */
#include "service/workers.h"

#include "base/log.h"
#include "base/passes.h"
#include "base/process.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the end of a process ---- */

/* One that ends by itself has said why. */
static void log_end(const struct worker *worker, pid_t pid, int status, const char *what) {
	char text[PROCESS_STATUS_TEXT];
	bool planned = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || what[0] == '\0');
	process_format_status(status, text);
	log_write(planned ? LOG_INFO : LOG_ERROR, "worker %zu (process %d): %s%s",
		worker->number + 1, (int)pid, text, what);
}

static void start_again(struct worker *worker, pid_t pid, int status) {
	struct loop *loop = worker->set->loop;
	char what[64];
	uint64_t delay_ms = restart_delay(&worker->restart, loop->now_ms);
	snprintf(what, sizeof(what), "; starting another one in %" PRIu64 ".%" PRIu64 " s",
		delay_ms / 1000, delay_ms % 1000 / 100);
	log_end(worker, pid, status, delay_ms > 0 ? what : "; starting another one");
	loop_timer_set(loop, &worker->again, loop->now_ms + delay_ms);
}

static void again_due(struct ev_timer *timer) {
	struct worker *worker = container_of(timer, struct worker, again);
	if(workers_start(worker)) {
		uint64_t delay_ms = restart_delay(&worker->restart, worker->set->loop->now_ms);
		loop_timer_set(worker->set->loop, timer, worker->set->loop->now_ms + delay_ms);
	}
}

/* The pidfd is readable. */
static void worker_exited(struct ev_io *io) {
	struct worker *worker = container_of(io, struct worker, exited);
	struct workers *set = worker->set;
	enum worker_state before = worker->state;
	pid_t pid = worker->pid;
	int status = 0;
	if(RETRY_INTERRUPTED(waitpid(pid, &status, WNOHANG)) == 0) {
		return;
	}
	loop_close_io(set->loop, io);
	link_close(&worker->link);
	worker->pid = 0;
	worker->state = WORKER_NONE;
	if(set->ops->gone(set->ctx, worker, before, status)) {
		start_again(worker, pid, status);
	} else {
		log_end(worker, pid, status, "");
	}
}

static void link_received(struct link *link, const struct link_message *message, int fd) {
	struct worker *worker = container_of(link, struct worker, link);
	if(fd >= 0) {
		close(fd);
	}
	if(!message) {
		return; /* its end is reported by the pidfd */
	}
	if(message->kind == LINK_READY) {
		worker->state = WORKER_READY;
	}
	worker->set->ops->message(worker->set->ctx, worker, message->kind);
}

/* ---- the start ---- */

/* The parent's side. */
static int adopt(struct worker *worker, pid_t pid, int fd) {
	struct loop *loop = worker->set->loop;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int result = pidfd < 0 ? -errno : 0;
	if(result == 0) {
		result = loop_add_level(loop, &worker->exited, pidfd, LOOP_IN, worker_exited);
	}
	if(result) {
		if(pidfd >= 0) {
			close(pidfd);
		}
		close(fd);
		return result;
	}
	result = link_open(&worker->link, loop, fd, link_received);
	if(result) {
		loop_close_io(loop, &worker->exited);
	}
	return result;
}

static void kill_and_wait(pid_t pid) {
	int status;
	kill(pid, SIGKILL);
	(void)!RETRY_INTERRUPTED(waitpid(pid, &status, 0));
}

/* The process number of the child; or negative errno. */
static pid_t fork_worker(struct worker *worker, int *parent_fd) {
	struct workers *set = worker->set;
	int fds[2];
	int result = link_pair(fds);
	if(result) {
		return result;
	}
	fflush(NULL);
	pid_t pid = fork();
	if(pid == 0) {
		close(fds[0]);
		exit(set->ops->run(set->ctx, worker->number, fds[1]));
	}
	result = pid < 0 ? -errno : 0;
	close(fds[1]);
	if(result) {
		close(fds[0]);
		return result;
	}
	*parent_fd = fds[0];
	return pid;
}

int workers_start(struct worker *worker) {
	int fd = -1;
	restart_begun(&worker->restart, worker->set->loop->now_ms);
	pid_t pid = fork_worker(worker, &fd);
	int result = pid < 0 ? pid : adopt(worker, pid, fd);
	if(result) {
		log_write(LOG_ERROR, "workers: cannot start worker %zu: %s", worker->number + 1,
			strerror(-result));
		if(pid > 0) {
			kill_and_wait(pid);
		}
		return result;
	}
	worker->pid = pid;
	worker->state = WORKER_STARTING;
	worker->asked = false;
	return 0;
}

int workers_open(struct workers *workers, struct loop *loop, size_t count,
	const struct workers_ops *ops, void *ctx) {
	*workers = (struct workers){.loop = loop, .ops = ops, .ctx = ctx};
	workers->worker = calloc(count, sizeof(*workers->worker));
	if(!workers->worker) {
		return -ENOMEM;
	}
	workers->count = count;
	int result = 0;
	for(size_t i = 0; i < count; i++) {
		struct worker *worker = &workers->worker[i];
		*worker = (struct worker){.set = workers, .number = i, .exited.fd = -1};
		worker->link.io.fd = -1;
		int failed = loop_timer_open(loop, &worker->again, again_due);
		result = failed ? failed : result;
	}
	return result;
}

/* ---- all of them ---- */

size_t workers_running(const struct workers *workers) {
	size_t count = 0;
	for(size_t i = 0; i < workers->count; i++) {
		count += workers->worker[i].state != WORKER_NONE;
	}
	return count;
}

size_t workers_ready(const struct workers *workers) {
	size_t count = 0;
	for(size_t i = 0; i < workers->count; i++) {
		count += workers->worker[i].state == WORKER_READY;
	}
	return count;
}

void workers_send(struct worker *worker, const struct link_message *message, int fd) {
	int result = worker->state == WORKER_NONE ? 0 : link_send(&worker->link, message, fd);
	if(result && result != -EPIPE) {
		log_write(LOG_ERROR, "worker %zu (process %d) takes no messages: %s",
			worker->number + 1, (int)worker->pid, strerror(-result));
	}
}

void workers_send_all(struct workers *workers, uint32_t kind) {
	const struct link_message message = {.kind = kind};
	for(size_t i = 0; i < workers->count; i++) {
		workers_send(&workers->worker[i], &message, -1);
	}
}

void workers_signal(struct workers *workers, int signal) {
	for(size_t i = 0; i < workers->count; i++) {
		if(workers->worker[i].state != WORKER_NONE) {
			kill(workers->worker[i].pid, signal);
		}
	}
}

void workers_start_none(struct workers *workers) {
	for(size_t i = 0; i < workers->count; i++) {
		loop_timer_cancel(workers->loop, &workers->worker[i].again);
	}
}

void workers_close(struct workers *workers) {
	for(size_t i = 0; i < workers->count; i++) {
		struct worker *worker = &workers->worker[i];
		if(worker->state != WORKER_NONE) {
			kill_and_wait(worker->pid);
			loop_close_io(workers->loop, &worker->exited);
			link_close(&worker->link);
		}
		loop_timer_close(workers->loop, &worker->again);
	}
	free(workers->worker);
	*workers = (struct workers){0};
}
