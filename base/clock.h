/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The monotonic clock, which changes of the system's time do not affect. Inline, as each turn of
 * the event loop reads it.
 */
#ifndef WEBSOCKSY_CLOCK_H
#define WEBSOCKSY_CLOCK_H
#include <stdint.h>
#include <time.h>

/* Milliseconds since some moment in the past. */
static inline uint64_t clock_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* The same in microseconds. */
static inline uint64_t clock_us(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
#endif
