/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The times at which connections are closed so that their clients, which connect to another daemon
 * at once, arrive there at an even rate.
 */
#ifndef WEBSOCKSY_DRAIN_H
#define WEBSOCKSY_DRAIN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct drain {
	uint64_t begun_ms;
	uint64_t time_ms;
	uint64_t seed;
	size_t count; /* closes */
	size_t done;
};

/*
 * `count` closes within `time_ms` from `now_ms` on, each at a random place of its own part of the
 * time. Two daemons with different seeds do not close in step.
 */
void drain_begin(
	struct drain *drain, size_t count, uint64_t time_ms, uint64_t seed, uint64_t now_ms);

/* When the close with this number, from 0 on, is due, in milliseconds from the beginning. */
uint64_t drain_offset_ms(const struct drain *drain, size_t number);

/* Are all done? */
bool drain_is_over(const struct drain *drain);

/* When the next one is due, on the clock of drain_begin(); there is one. */
uint64_t drain_due_ms(const struct drain *drain);

/* In which of `parts` equal parts of the time the next one is due, from 0 on; `parts`: all are done. */
unsigned drain_part(const struct drain *drain, unsigned parts);
#endif
