/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of all connections: at once, or as the options drain-delay and drain-time say.
 */
#ifndef WEBSOCKSY_STOPPING_H
#define WEBSOCKSY_STOPPING_H
#include "base/loop_timer.h"
#include "service/drain.h"

#include <stdint.h>

struct connection_env;
struct reload;
struct stopping;

/* No connection is to be accepted any more. May be called again. */
typedef void stopping_fn(struct stopping *stopping);

enum stopping_state {
	STOPPING_NOT,
	STOPPING_DELAY, /* connections are still accepted, and health is answered with 503 */
	STOPPING_CLOSES, /* they are closed one after another */
	STOPPING_GRACE /* all have been asked to end */
};

struct stopping {
	struct connection_env *env;
	const struct reload *reload;
	stopping_fn *end_listening;
	struct ev_timer timer;
	enum stopping_state state;
	struct drain drain;
};

/* `env` and `reload` outlive it. 0 or -ENOMEM; stopping_close() in either case. */
int stopping_open(struct stopping *stopping, struct connection_env *env,
	const struct reload *reload, stopping_fn *end_listening);

/*
 * Begins with drain-delay, in which connections are still accepted, goes on with drain-time, in which
 * those that there are are closed, idle ones first, and ends with grace. No effect if it has begun.
 */
void stopping_drain(struct stopping *stopping);

/* Asks all connections to end, whatever has been begun; they have grace. */
void stopping_at_once(struct stopping *stopping);

/* Drops what is left. */
void stopping_drop(struct stopping *stopping);

void stopping_close(struct stopping *stopping);
#endif
