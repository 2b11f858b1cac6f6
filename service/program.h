/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program that the daemon is started with and that is the peer of all clients: starting it, and what
 * follows from its exit.
 */
#ifndef WEBSOCKSY_PROGRAM_H
#define WEBSOCKSY_PROGRAM_H
#include "base/process.h"
#include "network/announced.h"
#include "service/program_place.h"

#include <stdbool.h>
#include <stdint.h>

/* What its exit means. */
enum program_mode {
	PROGRAM_EXIT, /* the daemon ends, with its status */
	PROGRAM_IGNORE, /* nothing; it may have put itself into the background */
	PROGRAM_RESPAWN
};

#define PROGRAM_STARTS 3 /* within PROGRAM_PERIOD_MS; further ones are delayed */
#define PROGRAM_PERIOD_MS 10000
#define PROGRAM_DELAY_MS 1000 /* of the first delayed start; then it doubles */
#define PROGRAM_DELAY_MAX_MS 60000

/* It has exited, in mode PROGRAM_EXIT. `status`: what the daemon is to exit with. */
typedef void program_fn(void *ctx, int status);

/* Embedded in its owner; initialised by zero. */
struct program {
	struct process_set *processes;
	struct program_place place;
	enum program_mode mode;
	char *const *argv; /* the caller's */
	char *path;
	struct process *process; /* NULL: it does not run */
	struct ev_timer timer; /* it is to be started again */
	uint64_t started_ms[PROGRAM_STARTS]; /* the last is the first */
	uint64_t delay_ms;
	bool detached; /* it gets none of the standard streams, which the daemon is about to leave */
	bool stopping;
	program_fn *fn;
	void *ctx;
};

/*
 * Starts the program at `path` (copied) with `argv`, which stay the caller's. `listen` says how clients
 * reach it: its addresses go to `announced`. `program->mode`, `detached`, `fn` and
 * `ctx` are set before. 0, or
 * negative errno after a line in the log. program_close() in either case.
 */
int program_open(struct program *program, struct process_set *processes,
	struct announced *announced, const struct program_listen *listen, const char *path,
	char *const *argv);

/* Ends it; it counts in the set of processes until it has exited. No effect on one that does not run. */
void program_stop(struct program *program);

/* Removes what was made for it. */
void program_close(struct program *program);
#endif
