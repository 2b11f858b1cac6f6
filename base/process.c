/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Child processes as objects of the loop.
 *
 * Must not know: what programs are for.
 * Invariants: a process is reaped as soon as it has exited; signals go to its process group, never
 * to a number that may belong to another one: while the process is not reaped the number is its
 * own, and afterwards the group keeps it as long as it has members.
 */
#include "base/process.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between two looks at a group whose leader has exited. */
#define PROCESS_CHECK_MS 20
#define PROCESS_LEFT_CHECK_MS 1000 /* the same if it is not to be ended */

struct process {
	struct ev_io io; /* a pidfd, readable when the process has exited; -1: it is reaped */
	struct ev_timer timer; /* the next signal is due */
	struct list link;
	struct process_set *set;
	struct deferred_free dead;
	pid_t pid; /* also the number of its session and group */
	process_fn *fn;
	void *ctx;
	uint64_t due_ms; /* of the next signal */
	int next; /* signal; 0: none is due */
	bool ending; /* process_end() was called */
	bool left; /* process_leave() was called */
	bool empty; /* the group had no members: its number may be that of another one since */
	bool counted;
};

/* ---- the end ---- */

static void process_free(struct deferred_free *dead) {
	free(container_of(dead, struct process, dead));
}

static void stop_counting(struct process *process) {
	struct process_set *set = process->set;
	if(!process->counted) {
		return;
	}
	process->counted = false;
	if(--set->count == 0 && set->idle) {
		set->idle(set);
	}
}

static void process_forget(struct process *process) {
	struct loop *loop = process->set->loop;
	list_remove(&process->link);
	loop_timer_close(loop, &process->timer);
	if(process->io.fd >= 0) {
		loop_close_io(loop, &process->io);
	}
	process->dead.free = process_free;
	loop_defer_free(loop, &process->dead);
	stop_counting(process);
}

static bool is_reaped(const struct process *process) {
	return process->io.fd < 0;
}

/*
 * Nothing is given a number that is that of a group. If there is a process with the number of one
 * that has been reaped, its group was empty before, and a group of that number is another one.
 */
static bool number_is_in_use_again(const struct process *process) {
	return kill(process->pid, 0) == 0 || errno == EPERM;
}

/* Has the process exited without leaving others behind, or have those ended since? */
static bool group_is_empty(struct process *process) {
	if(!process->empty && is_reaped(process)) {
		process->empty = (kill(-process->pid, 0) < 0 && errno == ESRCH) ||
			number_is_in_use_again(process);
	}
	return process->empty;
}

/* A process of another user, or one that waits for a disk, may survive SIGKILL. */
static void give_up(struct process *process) {
	log_write(LOG_WARNING, "process group %d cannot be ended", (int)process->pid);
	if(is_reaped(process)) {
		process_forget(process);
	} else {
		stop_counting(process);
	}
}

/* The exit of the process is an event, that of others in its group is not. */
static void wait_for_group(struct process *process) {
	struct loop *loop = process->set->loop;
	uint64_t check_ms = loop->now_ms + PROCESS_CHECK_MS;
	bool sooner = is_reaped(process) && check_ms < process->due_ms;
	loop_timer_set(loop, &process->timer, sooner ? check_ms : process->due_ms);
}

static void send_next(struct process *process) {
	kill(-process->pid, process->next);
	process->next = process->next == SIGHUP ? SIGTERM : process->next == SIGTERM ? SIGKILL : 0;
	process->due_ms = process->set->loop->now_ms + process->set->patience_ms;
}

static void process_due(struct ev_timer *timer) {
	struct process *process = container_of(timer, struct process, timer);
	struct loop *loop = process->set->loop;
	bool due = loop->now_ms >= process->due_ms;
	if(group_is_empty(process)) {
		process_forget(process);
	} else if(process->left) {
		loop_timer_set(loop, timer, loop->now_ms + PROCESS_LEFT_CHECK_MS);
	} else if(due && !process->next) {
		give_up(process);
	} else {
		if(due) {
			send_next(process);
		}
		wait_for_group(process);
	}
}

void process_end(struct process *process, int first, bool at_once) {
	process->fn = NULL;
	process->ending = true;
	process->next = first;
	process->due_ms = process->set->loop->now_ms + process->set->patience_ms;
	if(group_is_empty(process)) {
		process_forget(process);
		return;
	}
	if(at_once) {
		send_next(process);
	}
	wait_for_group(process);
}

void process_leave(struct process *process) {
	process->fn = NULL;
	if(group_is_empty(process)) {
		process_forget(process);
		return;
	}
	process->left = true;
	stop_counting(process);
	loop_timer_set(process->set->loop, &process->timer,
		process->set->loop->now_ms + PROCESS_LEFT_CHECK_MS);
}

void process_set_end_left(struct process_set *set) {
	for(struct list *at = set->list.next; at != &set->list;) {
		struct process *process = container_of(at, struct process, link);
		at = at->next;
		if(process->left) {
			process->left = false;
			process->counted = true;
			set->count++;
			process_end(process, SIGTERM, true);
		}
	}
}

static void log_exit(const struct process *process, int status) {
	char text[PROCESS_STATUS_TEXT];
	process_format_status(status, text);
	log_write(LOG_DEBUG, "process %d: %s", (int)process->pid, text);
}

/* The pidfd is readable. */
static void process_exited(struct ev_io *io) {
	struct process *process = container_of(io, struct process, io);
	int status = 0;
	pid_t got = waitpid(process->pid, &status, WNOHANG);
	if(got == 0) {
		loop_used_up(io, LOOP_IN);
		return;
	}
	loop_close_io(process->set->loop, io);
	log_exit(process, status);
	/* Asked now in any case: its owner may keep it for long. */
	bool empty = group_is_empty(process);
	if(process->ending && empty) {
		process_forget(process);
	} else if(process->ending) {
		wait_for_group(process);
	} else if(process->fn) {
		process->fn(process->ctx, status);
	}
}

/* ---- the beginning ---- */

static int adopt(struct process *process, int pidfd) {
	struct process_set *set = process->set;
	int result = loop_timer_open(set->loop, &process->timer, process_due);
	if(result == 0) {
		result = loop_add(set->loop, &process->io, pidfd, 0, LOOP_IN, process_exited);
	}
	if(result) {
		loop_timer_close(set->loop, &process->timer);
		kill(-process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		close(pidfd);
		return result;
	}
	list_append(&set->list, &process->link);
	process->counted = true;
	set->count++;
	return 0;
}

int process_start(struct process_set *set, const struct spawn *spawn, struct process **out) {
	struct process *process = calloc(1, sizeof(*process));
	int pidfd;
	if(!process) {
		return -ENOMEM;
	}
	process->set = set;
	struct spawn own = *spawn;
	own.reserved = set->reserved[0] >= 0 && set->reserved[1] >= 0 ? set->reserved : NULL;
	int result = spawn_start(&own, &process->pid, &pidfd);
	if(result == 0) {
		result = adopt(process, pidfd);
	}
	if(result) {
		free(process);
		return result;
	}
	*out = process;
	return 0;
}

void process_watch(struct process *process, process_fn *fn, void *ctx) {
	process->fn = fn;
	process->ctx = ctx;
}

pid_t process_pid(const struct process *process) {
	return process->pid;
}

void process_format_status(int status, char out[PROCESS_STATUS_TEXT]) {
	if(WIFSIGNALED(status)) {
		int number = WTERMSIG(status);
		snprintf(out, PROCESS_STATUS_TEXT, "killed by signal %d (%s)", number,
			strsignal(number));
	} else {
		snprintf(out, PROCESS_STATUS_TEXT, "exit status %d", WEXITSTATUS(status));
	}
}

/* ---- all of them ---- */

void process_set_init(struct process_set *set, struct loop *loop) {
	*set = (struct process_set){.loop = loop, .reserved = {-1, -1}};
	list_init(&set->list);
	/* A parent may have left it ignored, and then there would be nothing to wait for. */
	signal(SIGCHLD, SIG_DFL);
}

void process_set_reserve(struct process_set *set) {
	if(set->reserved[0] < 0) {
		set->reserved[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
		set->reserved[1] = fcntl(set->reserved[0], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	}
}

void process_set_kill(struct process_set *set) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		struct process *process = container_of(at, struct process, link);
		if(!group_is_empty(process)) {
			kill(-process->pid, SIGKILL);
		}
	}
}

void process_set_close(struct process_set *set) {
	set->idle = NULL;
	for(int i = 0; i < 2; i++) {
		if(set->reserved[i] >= 0) {
			close(set->reserved[i]);
		}
	}
	process_set_kill(set);
	while(!list_is_empty(&set->list)) {
		process_forget(container_of(set->list.next, struct process, link));
	}
}
