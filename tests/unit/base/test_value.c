/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of options: what is read and written as what, and what is refused.
 */
#include "support.h"

#include "base/value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void check_read(enum value_kind kind, const char *text, int error, uint64_t expected) {
	uint64_t number = 0;

	if(value_read(kind, text, &number) != error || (!error && number != expected)) {
		fail_msg("\"%s\" as kind %d: %ju", text, (int)kind, (uintmax_t)number);
	}
}

static void test_counts(void **state) {
	(void)state;
	check_read(VALUE_COUNT, "0", 0, 0);
	check_read(VALUE_COUNT, "007", 0, 7);
	check_read(VALUE_COUNT, "18446744073709551615", 0, UINT64_MAX);
	check_read(VALUE_COUNT, "18446744073709551616", -ERANGE, 0);
	check_read(VALUE_COUNT, "99999999999999999999999999", -ERANGE, 0);
	static const char *const wrong[] = {
		"", " 1", "1 ", "+1", "-1", "1s", "1k", "0x10", "1.0", "a"};
	for(size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check_read(VALUE_COUNT, wrong[i], -EINVAL, 0);
	}
}

static void test_times(void **state) {
	(void)state;
	check_read(VALUE_TIME, "2", 0, 2000);
	check_read(VALUE_TIME, "2s", 0, 2000);
	check_read(VALUE_TIME, "250ms", 0, 250);
	check_read(VALUE_TIME, "1.5", 0, 1500);
	check_read(VALUE_TIME, "0.125h", 0, 450000);
	check_read(VALUE_TIME, "1.001s", 0, 1001);
	check_read(VALUE_TIME, "3m", 0, 180000);
	static const char *const wrong[] = {"s", ".5", "1.", "1.0001", "0.5ms", "1,5", "1 s", "1S",
		"1d", "1.5.5", "-1s", "1ms2"};
	for(size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check_read(VALUE_TIME, wrong[i], -EINVAL, 0);
	}
	check_read(VALUE_TIME, "18446744073709551615", -ERANGE, 0);
}

static void test_sizes(void **state) {
	(void)state;
	check_read(VALUE_SIZE, "1", 0, 1);
	check_read(VALUE_SIZE, "2k", 0, 2048);
	check_read(VALUE_SIZE, "2K", 0, 2048);
	check_read(VALUE_SIZE, "3m", 0, 3u << 20);
	check_read(VALUE_SIZE, "1G", 0, 1u << 30);
	check_read(VALUE_SIZE, "17179869184G", -ERANGE, 0);
	static const char *const wrong[] = {"K", "1.5K", "1KB", "1T", "1 K"};
	for(size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check_read(VALUE_SIZE, wrong[i], -EINVAL, 0);
	}
}

/* What is written is read as the same number, whatever the unit. */
static void test_back_and_forth(void **state) {
	static const uint64_t around[] = {0, 1, 999, 1000, 1024, 1500, 60000, 90000, 3600000,
		1u << 20, 1u << 30, 5u << 20, UINT32_MAX, UINT64_MAX / 2 + 1, UINT64_MAX};
	(void)state;
	for(int kind = 0; kind < VALUE_KINDS; kind++) {
		for(size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
			for(uint64_t number = around[i] - 1; number != around[i] + 2; number++) {
				char text[VALUE_TEXT];
				value_write((enum value_kind)kind, number, text);
				check_read((enum value_kind)kind, text, 0, number);
			}
		}
	}
}

static void check_written(enum value_kind kind, uint64_t number, const char *expected) {
	char text[VALUE_TEXT];
	value_write(kind, number, text);
	assert_string_equal(text, expected);
}

static void test_written(void **state) {
	(void)state;
	check_written(VALUE_COUNT, 4096, "4096");
	check_written(VALUE_TIME, 0, "0");
	check_written(VALUE_TIME, 30000, "30");
	check_written(VALUE_TIME, 250, "250ms");
	check_written(VALUE_SIZE, 0, "0");
	check_written(VALUE_SIZE, 1000, "1000");
	check_written(VALUE_SIZE, 262144, "256K");
	check_written(VALUE_SIZE, 16777216, "16M");
}

struct check {
	const char *(*check)(const char *);
	const char *text;
	bool right;
};

static const struct check checks[] = {
	{value_check_path, "", true},
	{value_check_path, "/healthz", true},
	{value_check_path, "healthz", false},
	{value_check_path, "/a b", false},
	{value_check_path, "/a?b", false},
	{value_check_path, "/a\x7f", false},
	{value_check_path, "/\xc3\xa4", false},
	{value_check_directory, "/usr/lib", true},
	{value_check_directory, "plugins", false},
	{value_check_directory, "", false},
	{value_check_web, "", true},
	{value_check_web, "/", true},
	{value_check_web, "/dev/null", false},
	{value_check_web, "/does/not/exist", false},
	{value_check_resolver, "", true},
	{value_check_resolver, "192.0.2.1", true},
	{value_check_resolver, "192.0.2.1:53,[2001:db8::1]:5353,2001:db8::2", true},
	{value_check_resolver, "192.0.2.1,", false},
	{value_check_resolver, "192.0.2.1:0", false},
	{value_check_resolver, "192.0.2.1:65536", false},
	{value_check_resolver, "[2001:db8::1", false},
	{value_check_resolver, "[192.0.2.1]:53", false},
	{value_check_resolver, "ns.example.org", false},
	{value_check_listen, "0.0.0.0", true},
	{value_check_listen, "::1", true},
	{value_check_listen, "fe80::1%eth0", true},
	{value_check_listen, "fe80::1%", false},
	{value_check_listen, "my_host.example", true},
	{value_check_listen, "256.0.0.1", false},
	{value_check_listen, "127.0.0.1:80", false},
	{value_check_listen, "a..b", false},
	{value_check_listen, "-a", false},
	{value_check_listen, "", false},
	{value_check_listen, "unix:/run/x", true},
	{value_check_listen, "unix:@x,mode=0660", true},
	{value_check_listen, "unix:@", false},
	{value_check_listen, "unix:x", false},
	{value_check_listen, "unix:/x,mode=0888", false},
	{value_check_listen, "unix:/x,mode=1000", false},
};

static void test_checks(void **state) {
	(void)state;
	for(size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *error = checks[i].check(checks[i].text);
		if(!error != checks[i].right) {
			fail_msg("\"%s\": %s", checks[i].text, error ? error : "is right");
		}
	}
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_back_and_forth),
		cmocka_unit_test(test_written),
		cmocka_unit_test(test_checks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
