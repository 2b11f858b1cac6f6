/* SPDX-License-Identifier: BSD-2-Clause
 *
 * response.c: status phrases, and error responses in buffers of every size.
 */
#include "support.h"

#include "http/date.h"
#include "http/response.h"

#include <errno.h>

static void test_status_texts(void **state) {
	static const unsigned used[] = {
		101, 200, 301, 400, 403, 404, 405, 408, 414, 426, 431, 500, 502, 503, 504, 505};
	(void)state;
	for(size_t i = 0; i < COUNT(used); i++) {
		assert_string_not_equal(response_status_text(used[i]), "Unknown");
	}
	assert_string_equal(response_status_text(426), "Upgrade Required");
	assert_string_equal(response_status_text(200), "OK");
	assert_string_equal(response_status_text(299), "Unknown");
	assert_string_equal(response_status_text(0), "Unknown");
}

/* Behind the Date field, whose value depends on the day. */
static const char *after_date(const char *response) {
	const char *date = strstr(response, "\r\nDate: ");
	assert_non_null(date);
	const char *end = strstr(date + 2, "\r\n");
	assert_non_null(end);
	assert_int_equal(end - date, 2 + 6 + DATE_CAP - 1);
	return end + 2;
}

static void test_errors(void **state) {
	char out[512];
	(void)state;
	int len = response_format_error(out, sizeof(out), 404, "no peer", NULL, false);
	assert_int_equal(len, strlen(out));
	assert_memory_equal(out, "HTTP/1.1 404 Not Found\r\nDate: ", 30);
	assert_string_equal(after_date(out),
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 8\r\n"
		"Connection: close\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Cache-Control: no-store\r\n"
		"\r\n"
		"no peer\n");
	int head = response_format_error(out, sizeof(out), 404, "no peer", NULL, true);
	assert_int_equal(head, len - 8);
	assert_non_null(strstr(out, "Content-Length: 8\r\n"));
	assert_string_equal(out + head - 4, "\r\n\r\n");
	len = response_format_error(out, sizeof(out), 299, "", "Allow: GET\r\n", false);
	assert_int_equal(len, strlen(out));
	assert_memory_equal(out, "HTTP/1.1 299 Unknown\r\n", 22);
	assert_non_null(strstr(out, "\r\nAllow: GET\r\n\r\n\n"));
}

static void test_error_room(void **state) {
	char text[512];
	int len =
		response_format_error(text, sizeof(text), 426, "m", RESPONSE_UPGRADE_FIELDS, false);
	(void)state;
	assert_true(len > 0);
	for(size_t cap = 0; cap < (size_t)len + 3; cap++) {
		struct guard guard = guard_new(NULL, cap);
		int result = response_format_error(
			(char *)guard.data, cap, 426, "m", RESPONSE_UPGRADE_FIELDS, false);
		assert_int_equal(result, cap > (size_t)len ? len : -ENOSPC);
		guard_free(&guard);
	}
}

static void test_keep_alive(void **state) {
	(void)state;
	char out[512];
	assert_true(
		response_format_error(out, sizeof(out), 404, "m", NULL, RESPONSE_PERSISTENT) > 0);
	assert_non_null(strstr(out, "\r\nConnection: keep-alive\r\n"));
	assert_null(strstr(out, "close"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_texts),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_error_room),
		cmocka_unit_test(test_keep_alive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
