/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Numbers with units: which texts are read and written as which number, and which are refused.
 */
#include "support.h"

#include "base/number.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void check_read(enum number_kind kind, const char *text, int error, uint64_t expected) {
	uint64_t number = 0;

	if(number_parse(kind, text, &number) != error || (!error && number != expected)) {
		fail_msg("\"%s\" as kind %d: %ju", text, (int)kind, (uintmax_t)number);
	}
}

static void test_counts(void **state) {
	(void)state;
	check_read(NUMBER_COUNT, "0", 0, 0);
	check_read(NUMBER_COUNT, "007", 0, 7);
	check_read(NUMBER_COUNT, "18446744073709551615", 0, UINT64_MAX);
	check_read(NUMBER_COUNT, "18446744073709551616", -ERANGE, 0);
	check_read(NUMBER_COUNT, "99999999999999999999999999", -ERANGE, 0);
	static const char *const wrong[] = {
		"", " 1", "1 ", "+1", "-1", "1s", "1k", "0x10", "1.0", "a"};
	for(size_t i = 0; i < COUNT(wrong); i++) {
		check_read(NUMBER_COUNT, wrong[i], -EINVAL, 0);
	}
}

static void test_times(void **state) {
	(void)state;
	check_read(NUMBER_TIME, "2", 0, 2000);
	check_read(NUMBER_TIME, "2s", 0, 2000);
	check_read(NUMBER_TIME, "250ms", 0, 250);
	check_read(NUMBER_TIME, "1.5", 0, 1500);
	check_read(NUMBER_TIME, "0.125h", 0, 450000);
	check_read(NUMBER_TIME, "1.001s", 0, 1001);
	check_read(NUMBER_TIME, "3m", 0, 180000);
	static const char *const wrong[] = {"s", ".5", "1.", "1.0001", "0.5ms", "1,5", "1 s", "1S",
		"1d", "1.5.5", "-1s", "1ms2"};
	for(size_t i = 0; i < COUNT(wrong); i++) {
		check_read(NUMBER_TIME, wrong[i], -EINVAL, 0);
	}
	check_read(NUMBER_TIME, "18446744073709551615", -ERANGE, 0);
}

static void test_sizes(void **state) {
	(void)state;
	check_read(NUMBER_SIZE, "1", 0, 1);
	check_read(NUMBER_SIZE, "2k", 0, 2048);
	check_read(NUMBER_SIZE, "2K", 0, 2048);
	check_read(NUMBER_SIZE, "3m", 0, 3u << 20);
	check_read(NUMBER_SIZE, "1G", 0, 1u << 30);
	check_read(NUMBER_SIZE, "17179869184G", -ERANGE, 0);
	static const char *const wrong[] = {"K", "1.5K", "1KB", "1T", "1 K"};
	for(size_t i = 0; i < COUNT(wrong); i++) {
		check_read(NUMBER_SIZE, wrong[i], -EINVAL, 0);
	}
}

/* What is written is read as the same number, whatever the unit. */
static void test_back_and_forth(void **state) {
	static const uint64_t around[] = {0, 1, 999, 1000, 1024, 1500, 60000, 90000, 3600000,
		1u << 20, 1u << 30, 5u << 20, UINT32_MAX, UINT64_MAX / 2 + 1, UINT64_MAX};
	(void)state;
	for(int kind = 0; kind < NUMBER_KINDS; kind++) {
		for(size_t i = 0; i < COUNT(around); i++) {
			for(uint64_t number = around[i] - 1; number != around[i] + 2; number++) {
				char text[NUMBER_TEXT];
				number_format((enum number_kind)kind, number, text);
				check_read((enum number_kind)kind, text, 0, number);
			}
		}
	}
}

static void check_written(enum number_kind kind, uint64_t number, const char *expected) {
	char text[NUMBER_TEXT];
	number_format(kind, number, text);
	assert_string_equal(text, expected);
}

static void test_written(void **state) {
	(void)state;
	check_written(NUMBER_COUNT, 4096, "4096");
	check_written(NUMBER_TIME, 0, "0");
	check_written(NUMBER_TIME, 30000, "30");
	check_written(NUMBER_TIME, 250, "250ms");
	check_written(NUMBER_SIZE, 0, "0");
	check_written(NUMBER_SIZE, 1000, "1000");
	check_written(NUMBER_SIZE, 262144, "256K");
	check_written(NUMBER_SIZE, 16777216, "16M");
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_back_and_forth),
		cmocka_unit_test(test_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
