/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The monotonic clock, which no change of the system's time moves.
 */
#ifndef WEBSOCKSY_CLOCK_H
#define WEBSOCKSY_CLOCK_H
#include <stdint.h>

/* Milliseconds, and microseconds, since some moment in the past. */
uint64_t clock_ms(void);
uint64_t clock_us(void);
#endif
