/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The times at which a process is started again.
 */
#include "support.h"

#include "service/restart.h"

static uint64_t end_after(struct restart *restart, uint64_t *now_ms, uint64_t lived_ms) {
	restart_begun(restart, *now_ms);
	*now_ms += lived_ms;
	uint64_t delay_ms = restart_delay(restart, *now_ms);
	*now_ms += delay_ms;
	return delay_ms;
}

static void test_stable(void **state) {
	struct restart restart = {0};
	uint64_t now_ms = 5;
	(void)state;
	for(int i = 0; i < 3; i++) {
		assert_int_equal(end_after(&restart, &now_ms, RESTART_STABLE_MS), 0);
	}
}

static void test_fast(void **state) {
	struct restart restart = {0};
	uint64_t now_ms = 5;
	uint64_t sum_ms = 0;
	(void)state;
	assert_int_equal(end_after(&restart, &now_ms, 0), RESTART_FIRST_MS);
	assert_int_equal(end_after(&restart, &now_ms, 1), 2 * RESTART_FIRST_MS);
	assert_int_equal(end_after(&restart, &now_ms, RESTART_STABLE_MS - 1), 4 * RESTART_FIRST_MS);
	for(int i = 0; i < 20; i++) {
		sum_ms += end_after(&restart, &now_ms, 0);
	}
	assert_in_range(sum_ms, 10 * RESTART_LAST_MS, 20 * RESTART_LAST_MS);
	assert_int_equal(end_after(&restart, &now_ms, 0), RESTART_LAST_MS);
}

static void test_recovers(void **state) {
	struct restart restart = {0};
	uint64_t now_ms = 5;
	(void)state;
	end_after(&restart, &now_ms, 0);
	end_after(&restart, &now_ms, 0);
	assert_int_equal(end_after(&restart, &now_ms, RESTART_STABLE_MS), 0);
	assert_int_equal(end_after(&restart, &now_ms, 0), RESTART_FIRST_MS);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_recovers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
