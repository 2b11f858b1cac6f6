/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bridge: listening sockets, accepting, taking a new
 * configuration, and stopping.
 */
#ifndef WEBSOCKSY_BRIDGE_H
#define WEBSOCKSY_BRIDGE_H
#include "base/loop.h"
#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct announced;
struct bridge;
struct listener_share;
struct login_limits;
struct shared;

/* What one of several workers has from the supervisor; it outlives the bridge. */
struct bridge_worker {
	struct shared *shared;
	size_t number;
	struct login_limits *logins;
	uint64_t begun_ms; /* when the supervisor has been started */
	const struct listener_share *share; /* the listening sockets */
	size_t shares;
	/* Tells it LINK_ENDING, LINK_ENDING_NOW or LINK_LEAVING, see service/link.h. */
	void (*tell)(void *ctx, uint32_t kind);
	void *ctx;
};

/* The circumstances of the start. */
struct bridge_start {
	int first_fd; /* of the listening sockets that were passed */
	int passed; /* how many; they are used instead of `port` and `listen` */
	int client_fd; /* an accepted connection to serve instead of listening; 0: none */
	const struct bridge_worker *worker; /* NULL: there is only this process */
	size_t fd_limit; /* descriptors of the process: the limit if max-clients is not set */
	/* Called when the sockets are bound, before threads are started. 0; 1: paths in `config` or
	 * the rights of the process have changed; or negative errno after a line in the log. */
	int (*bound)(void *ctx, struct config *config);
	void *ctx;
};

/*
 * Opens a bridge with the objects of `config`; its contents move to the bridge on success. 0, or
 * negative errno after a line in the log that says what is wrong.
 */
int bridge_open(struct bridge **out, struct loop *loop, struct config *config,
	const struct bridge_start *start);

/* The configuration of the bridge; its own, valid until the next reload. */
const struct config *bridge_config(const struct bridge *bridge);

/*
 * Takes a new configuration: its contents move to the bridge. Running connections stay as they are,
 * with the new timeouts. On failure (a line in the log says why) nothing changes and `config` stays
 * the caller's.
 */
int bridge_reload(struct bridge *bridge, struct config *config);

/* For a worker: listeners_follow(). */
int bridge_follow(struct bridge *bridge, const struct listener_share *shares, size_t count);

/* The addresses of the program, which the supervisor has started. */
struct announced *bridge_announced(struct bridge *bridge);

/* Stops listening; the loop is stopped when the last connection has ended. */
void bridge_end(struct bridge *bridge);

/*
 * Starts the program of the command line, if there is one, after the privileges have been dropped. 0, or
 * negative errno after a line in the log.
 */
int bridge_start_program(struct bridge *bridge);

/* What the daemon is to exit with, because its program has exited; otherwise 0. */
int bridge_exit_status(const struct bridge *bridge);

/* Has it been told to drain or to stop? */
bool bridge_is_stopping(const struct bridge *bridge);

/*
 * As the options drain-delay and drain-time say, stops listening and asks every connection to end;
 * when all have gone, or after `grace`, the loop is stopped. No effect if it stops already.
 */
void bridge_drain(struct bridge *bridge);

/* The same without delay, also for one that is being drained. */
void bridge_stop(struct bridge *bridge);

/* Drops all connections; the loop is stopped. */
void bridge_drop(struct bridge *bridge);

/* Drops all connections and frees everything. NULL: nothing. */
void bridge_close(struct bridge *bridge);
#endif
