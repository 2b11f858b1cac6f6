/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The planned end of the daemon: after one WebSocket connection (run-once), some time after the
 * start (exit-after), or without WebSocket connections (exit-idle).
 */
#ifndef WEBSOCKSY_LIFETIME_H
#define WEBSOCKSY_LIFETIME_H
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lifetime;
struct shared;

/* The daemon is to stop listening, or to stop; `option` is the reason. Never called twice. */
typedef void lifetime_fn(struct lifetime *lifetime, const char *option);

/* Values of the options; 0, false: no limit. */
struct lifetime_limits {
	uint64_t after_ms;
	uint64_t idle_ms;
	bool once;
};

struct lifetime {
	struct loop *loop;
	struct lifetime_limits limits;
	lifetime_fn *stop_listening;
	lifetime_fn *stop;
	size_t open; /* WebSocket connections */
	struct shared *shared; /* and those of other workers; NULL: there are none */
	size_t worker;
	bool served; /* there has been one */
	bool closed; /* `stop_listening` has been called */
	bool over; /* `stop` has been called, or is not to be */
	uint64_t begun_ms;
	uint64_t idle_ms; /* since then there has been no WebSocket connection */
	struct ev_timer after;
	struct ev_timer idle;
	struct loop_task once;
};

/* Begins without limits. 0 or -ENOMEM; lifetime_close() in either case. */
int lifetime_open(struct lifetime *lifetime, struct loop *loop, lifetime_fn *stop_listening,
	lifetime_fn *stop);
void lifetime_close(struct lifetime *lifetime);

/* Sets the limits, at the start and at a reload. exit-after counts from lifetime_open() on. */
void lifetime_set(struct lifetime *lifetime, const struct lifetime_limits *limits);

/* The daemon stops, for whatever reason. */
void lifetime_end(struct lifetime *lifetime);

/* Is there no WebSocket connection to be had any more (run-once)? */
bool lifetime_is_taken(const struct lifetime *lifetime);

/* A WebSocket connection has been opened; it has ended. */
void lifetime_enter(struct lifetime *lifetime);
void lifetime_leave(struct lifetime *lifetime);
#endif
