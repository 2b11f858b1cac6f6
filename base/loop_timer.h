/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The timers of the event loop; part of base/loop.h.
 */
#ifndef WEBSOCKSY_LOOP_TIMER_H
#define WEBSOCKSY_LOOP_TIMER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct ev_timer;
typedef void ev_timer_fn(struct ev_timer *timer);

/*
 * A one-shot timer, embedded in its owner; loop_timer_open() reserves its place, so that arming
 * cannot fail.
 */
struct ev_timer {
	uint64_t due_ms;
	size_t slot; /* position in the heap; 0: not armed */
	ev_timer_fn *fn; /* NULL: not open */
};

/* All timers of a loop. Initialised by zero. */
struct loop_timers {
	struct ev_timer **heap; /* 1-based */
	size_t armed; /* timers in the heap */
	size_t open; /* timers that have a place reserved in it */
	size_t cap;
	bool running; /* their functions are being called */
};

/* Reserves a place for a timer that will call `fn`. 0 or -ENOMEM; then it is not open. */
int loop_timer_open(struct loop *loop, struct ev_timer *timer, ev_timer_fn *fn);

/* Disarms the timer and gives its place back. No effect on one that is not open. */
void loop_timer_close(struct loop *loop, struct ev_timer *timer);

/*
 * Arms or re-arms an open timer for `due_ms` on the loop's clock. A time that has passed already
 * means this turn, but from a timer's function a millisecond later, because a timer that arms
 * itself again would stop the loop.
 */
void loop_timer_set(struct loop *loop, struct ev_timer *timer, uint64_t due_ms);
void loop_timer_cancel(struct loop *loop, struct ev_timer *timer);

/*
 * For the loop: milliseconds until the first timer is due, LOOP_TIMER_NONE if none is armed.
 * Inline, as each turn asks.
 */
#define LOOP_TIMER_NONE UINT64_MAX
static inline uint64_t loop_timer_left(const struct loop_timers *timers, uint64_t now_ms) {
	if(timers->armed == 0) {
		return LOOP_TIMER_NONE;
	}
	uint64_t due_ms = timers->heap[1]->due_ms;
	return due_ms <= now_ms ? 0 : due_ms - now_ms;
}

/* For the loop: calls the functions of the timers that are due. */
void loop_timer_run(struct loop *loop);

/* For the loop: frees the heap. */
void loop_timer_clear(struct loop *loop);
#endif
