/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The worker processes of a supervisor: started, waited for, and started again.
 */
#ifndef WEBSOCKSY_WORKERS_H
#define WEBSOCKSY_WORKERS_H
#include "base/loop.h"
#include "service/link.h"
#include "service/restart.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct workers;

enum worker_state {
	WORKER_NONE, /* there is no process; perhaps one will be started */
	WORKER_STARTING,
	WORKER_READY
};

struct worker {
	struct workers *set;
	size_t number; /* from 0 on */
	enum worker_state state;
	pid_t pid;
	struct ev_io exited; /* a pidfd */
	struct link link;
	struct restart restart;
	struct ev_timer again;
	bool asked; /* for the caller: an answer is awaited; false again with the next process */
};

struct workers_ops {
	/* In the new process: what it is to exit with. `fd` is its end of the link. */
	int (*run)(void *ctx, size_t number, int fd);
	/* A message of the worker. LINK_READY: its state has changed already. */
	void (*message)(void *ctx, struct worker *worker, uint32_t kind);
	/*
	 * The process has ended, with this status as of waitpid(2), in this state. True: another one is to
	 * take its place.
	 */
	bool (*gone)(void *ctx, struct worker *worker, enum worker_state before, int status);
};

struct workers {
	struct loop *loop;
	const struct workers_ops *ops;
	void *ctx;
	size_t count;
	struct worker *worker;
};

/* No process is started yet. 0 or -ENOMEM; workers_close() in either case. */
int workers_open(struct workers *workers, struct loop *loop, size_t count,
	const struct workers_ops *ops, void *ctx);

/* Starts the process of a worker that has none. 0, or negative errno after a line in the log. */
int workers_start(struct worker *worker);

/* Workers that have a process; of them, those that are ready. */
size_t workers_running(const struct workers *workers);
size_t workers_ready(const struct workers *workers);

/* Sends a message to one that runs, or to all of them. */
void workers_send(struct worker *worker, const struct link_message *message, int fd);
void workers_send_all(struct workers *workers, uint32_t kind);

/* A signal for all that run; those that wait for their start are not started. */
void workers_signal(struct workers *workers, int signal);
void workers_start_none(struct workers *workers);

/* Kills and waits for what is left. */
void workers_close(struct workers *workers);
#endif
