/* SPDX-License-Identifier: BSD-2-Clause
 *
 * date.c: formatting, parsing of the three forms, and both ways.
 */
#include "support.h"

#include "http/date.h"

#include <errno.h>

static void test_dates(void **state) {
	static const struct {
		int64_t seconds;
		const char *date;
	} cases[] = {
		{784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
		{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
		{-1, "Thu, 01 Jan 1970 00:00:00 GMT"},
		{951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
		{INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
	};
	char date[DATE_CAP];
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		date_format(date, cases[i].seconds);
		assert_string_equal(date, cases[i].date);
	}
}

static void test_read_dates(void **state) {
	static const struct {
		const char *text;
		int64_t seconds; /* -1: refused */
	} dates[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
		{"Sun Nov  6 08:49:37 1994", 784111777},
		{"Sun Nov 16 08:49:37 1994", 784111777 + 864000},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
		{"Monday, 01-Jan-50 00:00:00 GMT", 2524608000},
		{"Monday, 01-Jan-99 00:00:00 GMT", 915148800},
		{"Sun, 06 Nov 1994 08:49:37", -1},
		{"Sun, 06 Nov 1994 08:49:37 GMT+1", -1},
		{"Sun, 06 Nov 1994 08:49 GMT", -1},
		{"Sun, 06 nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 anF 1994 08:49:37 GMT", -1},
		{"Sun, 32 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 00 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 24:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 08:60:37 GMT", -1},
		{"Sun, 06 Nov 1994 08:49:-7 GMT", -1},
		{"Sun, 06 Nov 1894 08:49:37 GMT", -1},
		{"784111777", -1},
		{"", -1},
		{"Sun, 06 Nov 1994 08:49:37 GMT                                        ", -1},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(dates); i++) {
		struct guard guard = guard_new(dates[i].text, strlen(dates[i].text));
		struct slice text = {.at = (const char *)guard.data, .len = strlen(dates[i].text)};
		int64_t seconds = -1;
		int result = date_parse(text, 1700000000, &seconds);
		assert_int_equal(result, dates[i].seconds < 0 ? -EINVAL : 0);
		assert_int_equal(result ? -1 : seconds, dates[i].seconds);
		guard_free(&guard);
	}
}

/* What is formatted reads back, through leap years and the turns of centuries. */
static void test_dates_both_ways(void **state) {
	(void)state;
	for(int64_t when = 0; when < 4102444800; when += 86400 * 13 + 12345) {
		char text[DATE_CAP];
		int64_t seconds;
		date_format(text, when);
		struct slice slice = {.at = text, .len = strlen(text)};
		assert_int_equal(date_parse(slice, when, &seconds), 0);
		assert_int_equal(seconds, when);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_read_dates),
		cmocka_unit_test(test_dates_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
