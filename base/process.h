/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Child processes of the daemon as objects of the loop: started, waited for, and ended.
 */
#ifndef WEBSOCKSY_PROCESS_H
#define WEBSOCKSY_PROCESS_H
#include "base/list.h"
#include "base/loop.h"
#include "base/spawn.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process;
struct process_set;

/* `status` as of waitpid(2). Called once, when the program has exited. May call process_end(). */
typedef void process_fn(void *ctx, int status);

/* All processes that are left, those that nothing else knows any more included. */
struct process_set {
	struct loop *loop;
	struct list list;
	size_t count; /* that are waited for at shutdown */
	int reserved[2]; /* see struct spawn; -1: none */
	uint64_t patience_ms; /* between two signals */
	void (*idle)(struct process_set *set); /* `count` is 0 again; NULL: nothing */
};

/* Makes an empty set. Children are not reaped by the kernel from here on. */
void process_set_init(struct process_set *set, struct loop *loop);

/*
 * Programs are to be started: takes two descriptors. Early, while numbers are low. Without them a
 * start takes longer the more descriptors there are. No effect if it has been called before.
 */
void process_set_reserve(struct process_set *set);

/* Kills the process groups of all at once. They are reaped by the loop. */
void process_set_kill(struct process_set *set);

/* Kills all and forgets them; for the end of the daemon. */
void process_set_close(struct process_set *set);

/*
 * Starts a program (see spawn_start()). `fn`(`ctx`) is told of its exit; never from within. 0 and
 * `*out`, which is valid until process_end(); or negative errno.
 */
int process_start(struct process_set *set, const struct spawn *spawn, struct process **out);

/* Whom to tell of the exit. */
void process_watch(struct process *process, process_fn *fn, void *ctx);

pid_t process_pid(const struct process *process);

/*
 * The owner has no use for it any more: what is left of its process group gets `first` (SIGHUP or
 * SIGTERM), then SIGTERM and SIGKILL, `patience_ms` apart. `at_once`: it does not have so much time
 * before the first one, too. The set waits for it.
 */
void process_end(struct process *process, int first, bool at_once);

/*
 * The process has exited and its owner has no use for it any more, but what it has left of its group goes
 * on, until process_set_end_left().
 */
void process_leave(struct process *process);
void process_set_end_left(struct process_set *set);

/* Formats a status of waitpid(2): "exit status 1", "killed by signal 9 (Killed)". */
#define PROCESS_STATUS_TEXT 64
void process_format_status(int status, char out[PROCESS_STATUS_TEXT]);
#endif
