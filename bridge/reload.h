/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Telling the connections that the configuration has been read again: thousands of certificates to
 * be verified are more than one turn of the loop has room for.
 */
#ifndef WEBSOCKSY_RELOAD_H
#define WEBSOCKSY_RELOAD_H
#include "base/loop.h"

#include <stdbool.h>

struct connection_env;

/* Initialised by zero. */
struct reload {
	struct loop_task task;
	struct connection_env *env;
};

/*
 * Calls `reload` of the phase of each connection that there is now: as many as some milliseconds
 * allow, and the others in the next turns. If that is not over yet, all are told again.
 */
void reload_connections(struct reload *reload, struct connection_env *env);

/* Are there connections that have not been told? */
bool reload_is_running(const struct reload *reload);

/* The others are not told. */
void reload_cancel(struct reload *reload);
#endif
