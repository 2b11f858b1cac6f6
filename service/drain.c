/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The times at which connections are closed: the time is divided into as many parts as there are
 * connections, and each has a random place in its part.
 *
 * Must not know: connections, the clock (callers pass the time).
 * Invariants: times do not decrease with the number and are below `time_ms`; no interval has more
 * than two closes above its share.
 */
#include "service/drain.h"

#include <assert.h>

/* The finalizer of SplitMix64: the same number for the same seed and close. */
static uint64_t mix(uint64_t seed, uint64_t number) {
	uint64_t value = seed + (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

void drain_begin(
	struct drain *drain, size_t count, uint64_t time_ms, uint64_t seed, uint64_t now_ms) {
	*drain = (struct drain){
		.begun_ms = now_ms, .time_ms = time_ms, .seed = seed, .count = count};
}

/* Times are at most a year and connections at most ten million, so that the product fits. */
uint64_t drain_offset_ms(const struct drain *drain, size_t number) {
	assert(number < drain->count);
	if(drain->time_ms == 0) {
		return 0;
	}
	uint64_t place = mix(drain->seed, number) % drain->time_ms;
	return (number * drain->time_ms + place) / drain->count;
}

bool drain_is_over(const struct drain *drain) {
	return drain->done >= drain->count;
}

uint64_t drain_due_ms(const struct drain *drain) {
	return drain->begun_ms + drain_offset_ms(drain, drain->done);
}

unsigned drain_part(const struct drain *drain, unsigned parts) {
	if(drain_is_over(drain)) {
		return parts;
	}
	uint64_t time_ms = drain->time_ms > 0 ? drain->time_ms : 1;
	return (unsigned)(drain_offset_ms(drain, drain->done) * parts / time_ms);
}
