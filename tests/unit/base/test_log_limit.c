/* SPDX-License-Identifier: BSD-2-Clause
 *
 * log_limit.c: limits for each kind and address, numbers of suppressed lines, and a table that is
 * full. The clock is a number.
 */
#include "base/log_limit.h"

#include "log_capture.h"
#include "support.h"

#include <string.h>

static struct capture capture;
static struct log_limit_table table;

static int start(void **state) {
	(void)state;
	table = (struct log_limit_table){0};
	log_set_level(LOG_INFO);
	capture_start(&capture);
	pretend_journal();
	return 0;
}

static int stop(void **state) {
	(void)state;
	capture_stop(&capture);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

static union address make_address(const char *text) {
	union address address;
	if(strcmp(text, "unix") == 0) {
		return (union address){.any = {.sa_family = AF_UNIX}};
	}
	assert_int_equal(address_parse(text_slice(text), &address), 0);
	return address;
}

static bool pass(enum log_kind kind, const char *address, uint64_t now_ms) {
	union address client = make_address(address);
	return log_limit_client(&table, kind, LOG_INFO, &client, now_ms);
}

/* How many of `lines` lines pass. */
static int count_passes(enum log_kind kind, const char *address, int lines, uint64_t now_ms) {
	int passed = 0;
	for(int i = 0; i < lines; i++) {
		passed += pass(kind, address, now_ms);
	}
	return passed;
}

static void test_simple_limit(void **state) {
	struct log_limit limit = {0};
	(void)state;
	for(int at = 0; at < LOG_LIMIT_LINES; at++) {
		assert_true(log_limit_pass(&limit, "things", 5000));
	}
	assert_false(log_limit_pass(&limit, "things", 5000));
	assert_false(log_limit_pass(&limit, "things", 5999));
	assert_string_equal(capture_read(&capture), "");
	assert_true(log_limit_pass(&limit, "things", 6000));
	assert_string_equal(capture_read(&capture), "<5>things: 2 more lines suppressed\n");
	assert_true(log_limit_pass(&limit, "things", 900000));
	assert_string_equal(capture_read(&capture), "");
}

static void test_kinds_do_not_share(void **state) {
	(void)state;
	for(int kind = 0; kind < LOG_KINDS; kind++) {
		int limit = kind == LOG_KIND_PROXY ? LOG_LIMIT_PROXY_LINES : LOG_LIMIT_LINES;
		assert_int_equal(count_passes((enum log_kind)kind, "192.0.2.1", 1000, 5000), limit);
	}
}

static void test_addresses_do_not_share(void **state) {
	(void)state;
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "192.0.2.1", 1000, 5000), LOG_LIMIT_LINES);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "192.0.2.2", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "2001:db8::1", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "2001:db8:0:1::1", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "unix", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "0.0.0.0", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "::", 20, 5000), 20);
}

/* A network of 2^64 addresses has one of these limits. */
static void test_one_network_shares(void **state) {
	(void)state;
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "2001:db8::1", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "2001:db8::ffff:1:2:3", 20, 5000), 0);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "::ffff:192.0.2.1", 20, 5000), 20);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "192.0.2.1", 20, 5000), 0);
}

/* Numbers come with the first line of a later second, whatever that line is about. */
static void test_numbers(void **state) {
	union address client = make_address("192.0.2.1");
	(void)state;
	count_passes(LOG_KIND_AUTHENTICATION, "192.0.2.1", LOG_LIMIT_LINES + 312, 5000);
	count_passes(LOG_KIND_TLS, "2001:db8:1:2:3::4", LOG_LIMIT_LINES + 1, 5000);
	count_passes(LOG_KIND_SESSION, "unix", LOG_LIMIT_LINES + 2, 5999);
	assert_string_equal(capture_read(&capture), "");
	assert_true(log_limit_client(&table, LOG_KIND_REQUEST, LOG_INFO, &client, 6000));
	assert_string_equal(capture_read(&capture),
		"<6>authentication: 312 more lines for 192.0.2.1 suppressed\n"
		"<6>TLS: 1 more line for 2001:db8:1:2::/64 suppressed\n"
		"<6>connections: 2 more lines for unix suppressed\n");
	assert_int_equal(
		count_passes(LOG_KIND_AUTHENTICATION, "192.0.2.1", 100, 6000), LOG_LIMIT_LINES);
	log_limit_report(&table);
	assert_string_equal(capture_read(&capture),
		"<6>authentication: 80 more lines for 192.0.2.1 suppressed\n");
	log_limit_report(&table);
	assert_string_equal(capture_read(&capture), "");
}

/* The number has the level of the most severe line that it stands for. */
static void test_level_of_numbers(void **state) {
	static const enum log_level levels[] = {LOG_INFO, LOG_WARNING, LOG_NOTICE};
	union address client = make_address("192.0.2.1");
	(void)state;
	count_passes(LOG_KIND_PEER, "192.0.2.1", LOG_LIMIT_LINES, 5000);
	for(size_t i = 0; i < 3; i++) {
		assert_false(log_limit_client(&table, LOG_KIND_PEER, levels[i], &client, 5000));
	}
	log_limit_report(&table);
	assert_string_equal(
		capture_read(&capture), "<4>peers: 3 more lines for 192.0.2.1 suppressed\n");
}

/* Health checks of a proxy that sends no PROXY header must not fill the log. */
static void test_longer_period(void **state) {
	const uint64_t period_ms = LOG_LIMIT_PROXY_PERIOD_S * 1000;
	(void)state;
	int passed = 0;
	for(uint64_t now_ms = period_ms; now_ms < 2 * period_ms; now_ms += 2000) {
		passed += pass(LOG_KIND_PROXY, "192.0.2.1", now_ms);
	}
	assert_int_equal(passed, LOG_LIMIT_PROXY_LINES);
	assert_string_equal(capture_read(&capture), "");
	assert_true(pass(LOG_KIND_PROXY, "192.0.2.1", 2 * period_ms));
	assert_string_equal(capture_read(&capture),
		"<6>trusted proxies: 297 more lines for 192.0.2.1 suppressed\n");
}

static void fill(enum log_kind kind, int addresses, uint64_t now_ms) {
	char text[32];
	for(int i = 0; i < addresses; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i / 256, i % 256);
		assert_int_equal(
			count_passes(kind, text, LOG_LIMIT_LINES + 1, now_ms), LOG_LIMIT_LINES);
	}
}

/* More addresses in one second than there are entries share one limit, and are counted. */
static void test_full_table(void **state) {
	(void)state;
	fill(LOG_KIND_REQUEST, LOG_LIMIT_ADDRESSES, 5000);
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "192.0.2.1", 15, 5000), 15);
	assert_int_equal(
		count_passes(LOG_KIND_REQUEST, "192.0.2.2", 15, 5000), LOG_LIMIT_LINES - 15);
	assert_string_equal(capture_read(&capture), "");
	assert_true(pass(LOG_KIND_REQUEST, "192.0.2.3", 6000));
	const char *text = capture_read(&capture);
	assert_non_null(strstr(text, "<6>requests: 1 more line for 10.0.0.0 suppressed\n"));
	assert_non_null(strstr(text, "<6>requests: 1 more line for 10.0.0.127 suppressed\n"));
	assert_non_null(
		strstr(text, "<6>requests: 10 more lines for other addresses suppressed\n"));
	assert_int_equal(count_passes(LOG_KIND_REQUEST, "192.0.2.4", 30, 6000), LOG_LIMIT_LINES);
}

/* An attacker with many addresses suppresses no line about the authentication of others. */
static void test_full_table_of_authentication(void **state) {
	(void)state;
	fill(LOG_KIND_AUTHENTICATION, LOG_LIMIT_ADDRESSES, 5000);
	assert_int_equal(count_passes(LOG_KIND_AUTHENTICATION, "192.0.2.1", 20, 5000), 20);
	assert_string_equal(
		capture_read(&capture), "<6>authentication: 1 more line for 10.0.0.0 suppressed\n");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_simple_limit, start, stop),
		cmocka_unit_test_setup_teardown(test_kinds_do_not_share, start, stop),
		cmocka_unit_test_setup_teardown(test_addresses_do_not_share, start, stop),
		cmocka_unit_test_setup_teardown(test_one_network_shares, start, stop),
		cmocka_unit_test_setup_teardown(test_numbers, start, stop),
		cmocka_unit_test_setup_teardown(test_level_of_numbers, start, stop),
		cmocka_unit_test_setup_teardown(test_longer_period, start, stop),
		cmocka_unit_test_setup_teardown(test_full_table, start, stop),
		cmocka_unit_test_setup_teardown(test_full_table_of_authentication, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
