/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A clock that goes on when the test says so, and a loop that runs turn by turn with it. The program
 * is linked with --wrap=clock_gettime (see the Makefile).
 */
#ifndef WEBSOCKSY_TESTS_OWN_CLOCK_H
#define WEBSOCKSY_TESTS_OWN_CLOCK_H
#include "base/loop.h"
#include "support.h"

#include <time.h>

/* What the clock shows; zero: the time. */
static struct timespec own_clock;

struct own_clock_turn {
	struct deferred_free end;
	struct loop *loop;
};

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
	if(own_clock.tv_sec == 0) {
		return __real_clock_gettime(clock, now);
	}
	*now = own_clock;
	return 0;
}

static inline void own_clock_end_turn(struct deferred_free *end) {
	container_of(end, struct own_clock_turn, end)->loop->stop = true;
}

/* Does not wait: what is freed at the end of the turn keeps the loop from it. */
static inline void run_turn(struct loop *loop) {
	static struct own_clock_turn turn;
	turn = (struct own_clock_turn){.end = {.free = own_clock_end_turn}, .loop = loop};
	loop_defer_free(loop, &turn.end);
	loop->stop = false;
	assert_int_equal(loop_run(loop), 0);
}

static inline void stop_clock(struct loop *loop) {
	struct timespec now;
	__real_clock_gettime(CLOCK_MONOTONIC, &now);
	own_clock = now;
	run_turn(loop);
}

static inline void start_clock(void) {
	own_clock = (struct timespec){0};
}

/* Time passes, and what is due then happens. */
static inline void pass(struct loop *loop, long time_ms) {
	own_clock.tv_nsec += time_ms % 1000 * 1000000;
	own_clock.tv_sec += time_ms / 1000 + own_clock.tv_nsec / 1000000000;
	own_clock.tv_nsec %= 1000000000;
	run_turn(loop);
}
#endif
