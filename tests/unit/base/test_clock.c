/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The monotonic clock: its units, and that it does not run backwards.
 */
#include "support.h"

#include "base/clock.h"

#include <time.h>

static void test_order(void **state) {
	(void)state;
	uint64_t first = clock_us();
	uint64_t ms = clock_ms();
	uint64_t last = clock_us();
	assert_true(first <= last);
	assert_true(first / 1000 <= ms && ms <= last / 1000);
}

static void test_unit(void **state) {
	(void)state;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t ms = clock_ms();
	assert_true(ms >= (uint64_t)now.tv_sec * 1000);
	assert_true(ms <= (uint64_t)now.tv_sec * 1000 + 600000);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
