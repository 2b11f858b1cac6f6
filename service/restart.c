/* SPDX-License-Identifier: BSD-2-Clause
 *
 * When a process that has ended is started again: at once if it has run for some time, and later
 * each time if it has not.
 *
 * Must not know: processes, the clock (callers pass the time).
 * Invariants: a delay is at most RESTART_LAST_MS.
 */
#include "service/restart.h"

void restart_begun(struct restart *restart, uint64_t now_ms) {
	restart->started_ms = now_ms;
}

uint64_t restart_delay(struct restart *restart, uint64_t now_ms) {
	uint64_t doubled_ms = restart->delay_ms * 2;
	if(now_ms - restart->started_ms >= RESTART_STABLE_MS) {
		restart->delay_ms = 0;
	} else if(restart->delay_ms == 0) {
		restart->delay_ms = RESTART_FIRST_MS;
	} else {
		restart->delay_ms = doubled_ms < RESTART_LAST_MS ? doubled_ms : RESTART_LAST_MS;
	}
	return restart->delay_ms;
}
