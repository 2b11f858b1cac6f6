/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The times at which connections are closed.
 */
#include "support.h"

#include "service/drain.h"

static const uint64_t seeds[] = {0, 1, 42, UINT64_MAX};

/* As the connections are closed one after another, each at its time. */
static void check_order(size_t count, uint64_t time_ms, uint64_t seed) {
	struct drain drain;
	uint64_t before_ms = 7;
	drain_begin(&drain, count, time_ms, seed, 7);
	for(; drain.done < count; drain.done++) {
		assert_false(drain_is_over(&drain));
		assert_true(drain_due_ms(&drain) >= before_ms);
		before_ms = drain_due_ms(&drain);
		assert_true(before_ms == 7 || before_ms < 7 + time_ms);
		assert_true(drain_part(&drain, 10) < 10);
	}
	assert_true(drain_is_over(&drain));
	assert_int_equal(drain_part(&drain, 10), 10);
}

static void test_order(void **state) {
	static const size_t counts[] = {0, 1, 2, 9, 10, 11, 1000, 4999};
	static const uint64_t times_ms[] = {0, 1, 2, 999, 60000, UINT64_C(31536000000)};
	(void)state;
	for(size_t i = 0; i < COUNT(counts); i++) {
		for(size_t j = 0; j < COUNT(times_ms); j++) {
			check_order(counts[i], times_ms[j], seeds[(i + j) % COUNT(seeds)]);
		}
	}
}

/* No interval has more than 1.5 times the mean, and none has a gap. */
static void check_rate(const struct drain *drain, size_t intervals) {
	size_t closes[64] = {0};
	assert_true(intervals <= COUNT(closes));
	for(size_t i = 0; i < drain->count; i++) {
		uint64_t at_ms = drain_offset_ms(drain, i);
		closes[at_ms * intervals / drain->time_ms]++;
	}
	for(size_t i = 0; i < intervals; i++) {
		assert_true(2 * closes[i] * intervals <= 3 * drain->count);
		assert_true(2 * closes[i] * intervals >= drain->count);
	}
}

static void test_rate_is_flat(void **state) {
	static const size_t counts[] = {500, 5000, 100000};
	(void)state;
	for(size_t i = 0; i < COUNT(counts); i++) {
		for(size_t j = 0; j < COUNT(seeds); j++) {
			struct drain drain;
			drain_begin(&drain, counts[i], 10000, seeds[j], 0);
			check_rate(&drain, 10);
			check_rate(&drain, 50);
		}
	}
}

/* The largest values that options and tables allow. */
static void test_limits(void **state) {
	struct drain drain;
	(void)state;
	drain_begin(&drain, 10000000, UINT64_C(31536000000), 1, 0);
	assert_true(drain_offset_ms(&drain, 0) < 3154);
	assert_in_range(
		drain_offset_ms(&drain, 9999999), UINT64_C(31535996000), UINT64_C(31535999999));
}

/* Daemons that are stopped together do not close in step. */
static void test_jitter(void **state) {
	struct drain one;
	struct drain other;
	size_t equal = 0;
	(void)state;
	drain_begin(&one, 100, 100000, 1, 0);
	drain_begin(&other, 100, 100000, 2, 0);
	for(size_t i = 0; i < one.count; i++) {
		equal += drain_offset_ms(&one, i) == drain_offset_ms(&other, i);
	}
	assert_true(equal < 10);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_rate_is_flat),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_jitter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
