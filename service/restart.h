/* SPDX-License-Identifier: BSD-2-Clause
 *
 * When a process that has ended is started again.
 */
#ifndef WEBSOCKSY_RESTART_H
#define WEBSOCKSY_RESTART_H
#include <stdint.h>

#define RESTART_STABLE_MS 10000 /* after so much time the next start is not delayed */
#define RESTART_FIRST_MS 100 /* the first delay; then it doubles */
#define RESTART_LAST_MS 10000 /* the longest */

/* Initialised by zero. */
struct restart {
	uint64_t started_ms;
	uint64_t delay_ms;
};

/* The process has been started. */
void restart_begun(struct restart *restart, uint64_t now_ms);

/* It has ended: how long the next start has to wait. */
uint64_t restart_delay(struct restart *restart, uint64_t now_ms);
#endif
