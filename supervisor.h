/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The supervisor: with the option `workers`, the process that was started. It has the listening
 * sockets, and starts and watches the processes that accept connections from them.
 */
#ifndef WEBSOCKSY_SUPERVISOR_H
#define WEBSOCKSY_SUPERVISOR_H
#include "service/detach.h"
#include "service/notify.h"

/* The circumstances of the start; everything outlives the supervisor. */
struct supervisor_start {
	int argc;
	char **argv;
	struct notify *notify; /* not open yet */
	struct detach *detach;
	void (*started)(void *ctx); /* all workers are ready */
	void *ctx;
};

/*
 * Starts the workers that the configuration asks for, and returns when the last has ended. In each
 * worker, which reads the configuration itself, it does not return. The exit status, or negative
 * errno after a line in the log.
 */
int supervisor_run(const struct supervisor_start *start);
#endif
