/* SPDX-License-Identifier: BSD-2-Clause
 *
 * login_limits.c with a clock of its own: growth and decay of delays, and known addresses.
 */
#include "support.h"

#include "http/login_limits.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 1000000

static struct login_source source_at(
	const struct login_limits *limits, const char *text, const char *user) {
	union address address;
	struct login_source source;
	struct slice slice = {.at = text, .len = strlen(text)};
	assert_int_equal(address_parse(slice, &address), 0);
	login_limits_identify(limits, &address, user, &source);
	return source;
}

static bool equal(const uint8_t *a, const uint8_t *b) {
	return memcmp(a, b, LOGIN_LIMITS_KEY) == 0;
}

static void test_sources(void **state) {
	(void)state;
	static const struct {
		const char *a;
		const char *b;
		bool same;
	} pairs[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"::1", "0.0.0.0", false},
		{"::c000:201", "192.0.2.1", false},
	};
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	for(size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct login_source a = source_at(limits, pairs[i].a, "alice");
		struct login_source b = source_at(limits, pairs[i].b, "alice");
		assert_int_equal(equal(a.address, b.address), pairs[i].same);
		assert_int_equal(equal(a.pair, b.pair), pairs[i].same);
		assert_true(equal(a.user, b.user));
		b = source_at(limits, pairs[i].a, "bob");
		assert_true(equal(a.address, b.address));
		assert_false(equal(a.pair, b.pair));
		assert_false(equal(a.user, b.user));
	}
	login_limits_close(limits);
}

/* The delay of a name doubles up to its limit, and is its own. */
static void test_delay_grows(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	struct login_source alice = source_at(limits, "192.0.2.1", "alice");
	struct login_source bob = source_at(limits, "192.0.2.1", "bob");
	struct login_source elsewhere = source_at(limits, "192.0.2.2", "alice");
	for(int i = 0; i < LOGIN_LIMITS_FREE_USER; i++) {
		login_limits_failed(limits, &alice, START_MS);
		assert_int_equal(login_limits_delay(limits, &alice, START_MS), 0);
	}
	uint64_t expected_ms = LOGIN_LIMITS_FIRST_MS;
	for(int i = 0; i < 10; i++) {
		login_limits_failed(limits, &alice, START_MS);
		assert_int_equal(login_limits_delay(limits, &alice, START_MS), expected_ms);
		assert_int_equal(
			login_limits_delay(limits, &alice, START_MS + 10), expected_ms - 10);
		assert_int_equal(login_limits_delay(limits, &alice, START_MS + expected_ms), 0);
		assert_int_equal(login_limits_delay(limits, &bob, START_MS), 0);
		assert_int_equal(login_limits_delay(limits, &elsewhere, START_MS), 0);
		expected_ms *= 2;
		expected_ms =
			expected_ms < LOGIN_LIMITS_LAST_MS ? expected_ms : LOGIN_LIMITS_LAST_MS;
	}
	login_limits_close(limits);
}

/* Guesses with changing names delay all names of the address, but not those of others. */
static void test_delay_of_an_address(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	for(int i = 0; i <= LOGIN_LIMITS_FREE_ADDRESS; i++) {
		char name[16];
		sprintf(name, "user%d", i);
		struct login_source source = source_at(limits, "2001:db8::1", name);
		assert_int_equal(login_limits_delay(limits, &source, START_MS), 0);
		login_limits_failed(limits, &source, START_MS);
	}
	struct login_source same = source_at(limits, "2001:db8::2", "alice");
	struct login_source other = source_at(limits, "2001:db8:0:1::1", "alice");
	assert_int_equal(login_limits_delay(limits, &same, START_MS), LOGIN_LIMITS_FIRST_MS);
	assert_int_equal(login_limits_delay(limits, &other, START_MS), 0);
	login_limits_close(limits);
}

static void test_decay(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	struct login_source alice = source_at(limits, "192.0.2.1", "alice");
	for(int i = 0; i < LOGIN_LIMITS_FREE_USER + 2; i++) {
		login_limits_failed(limits, &alice, START_MS);
	}
	uint64_t later_ms = START_MS + 2 * LOGIN_LIMITS_DECAY_MS;
	login_limits_failed(limits, &alice, later_ms);
	assert_int_equal(login_limits_delay(limits, &alice, later_ms), LOGIN_LIMITS_FIRST_MS);
	later_ms += 100 * (uint64_t)LOGIN_LIMITS_DECAY_MS;
	login_limits_failed(limits, &alice, later_ms);
	assert_int_equal(login_limits_delay(limits, &alice, later_ms), 0);
	login_limits_close(limits);
}

/* A success excuses the name at its address, not the address. */
static void test_success(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	struct login_source alice = source_at(limits, "192.0.2.1", "alice");
	struct login_source bob = source_at(limits, "192.0.2.1", "bob");
	for(int i = 0; i <= LOGIN_LIMITS_FREE_ADDRESS; i++) {
		login_limits_failed(limits, &alice, START_MS);
	}
	assert_false(login_limits_known(limits, &alice, START_MS));
	login_limits_succeeded(limits, &alice, START_MS);
	assert_true(login_limits_known(limits, &alice, START_MS));
	assert_false(login_limits_known(limits, &bob, START_MS));
	assert_int_equal(login_limits_delay(limits, &alice, START_MS), 0);
	assert_int_equal(login_limits_delay(limits, &bob, START_MS), LOGIN_LIMITS_FIRST_MS);
	assert_true(login_limits_known(limits, &alice, START_MS + LOGIN_LIMITS_KNOWN_MS - 1));
	assert_false(login_limits_known(limits, &alice, START_MS + LOGIN_LIMITS_KNOWN_MS));
	/* At a known address guesses at the name still have their own delay. */
	for(int i = 0; i <= LOGIN_LIMITS_FREE_USER; i++) {
		login_limits_failed(limits, &alice, START_MS);
	}
	assert_int_equal(login_limits_delay(limits, &alice, START_MS), LOGIN_LIMITS_FIRST_MS);
	login_limits_close(limits);
}

/* Many sources displace old entries, never recent ones of few. */
static void test_table_is_bounded(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_open(&limits), 0);
	uint64_t now_ms = START_MS;
	for(int i = 0; i < 20000; i++) {
		char name[16];
		sprintf(name, "user%d", i);
		struct login_source source = source_at(limits, "192.0.2.1", name);
		login_limits_failed(limits, &source, now_ms++);
	}
	struct login_source last = source_at(limits, "192.0.2.1", "alice");
	assert_int_equal(login_limits_delay(limits, &last, now_ms - 1), LOGIN_LIMITS_LAST_MS);
	login_limits_close(limits);
}

/* Failures count whichever worker has seen them, and a success anywhere ends them. */
static void test_workers(void **state) {
	(void)state;
	struct login_limits *limits;
	assert_int_equal(login_limits_share(&limits, 3), 0);
	struct login_source source = source_at(limits, "192.0.2.1", "alice");
	uint64_t now_ms = START_MS;
	for(unsigned i = 0; i < LOGIN_LIMITS_FREE_USER; i++) {
		login_limits_own(limits, i % 3);
		login_limits_failed(limits, &source, now_ms);
		assert_int_equal(login_limits_delay(limits, &source, now_ms), 0);
	}
	login_limits_own(limits, 0);
	login_limits_failed(limits, &source, now_ms);
	login_limits_own(limits, 1);
	assert_int_equal(login_limits_delay(limits, &source, now_ms), LOGIN_LIMITS_FIRST_MS);
	login_limits_failed(limits, &source, now_ms);
	assert_int_equal(login_limits_delay(limits, &source, now_ms), 2 * LOGIN_LIMITS_FIRST_MS);
	now_ms += 2 * LOGIN_LIMITS_FIRST_MS;
	login_limits_own(limits, 2);
	login_limits_succeeded(limits, &source, now_ms);
	login_limits_own(limits, 0);
	assert_true(login_limits_known(limits, &source, now_ms));
	now_ms++;
	login_limits_failed(limits, &source, now_ms);
	assert_int_equal(login_limits_delay(limits, &source, now_ms), 0);
	login_limits_close(limits);
}

/* The table of a process that was killed stays. */
static void test_killed_worker(void **state) {
	(void)state;
	struct login_limits *limits;
	int status;
	assert_int_equal(login_limits_share(&limits, 2), 0);
	struct login_source source = source_at(limits, "192.0.2.1", "alice");
	pid_t pid = fork();
	if(pid == 0) {
		login_limits_own(limits, 1);
		for(unsigned i = 0; i <= LOGIN_LIMITS_FREE_USER; i++) {
			login_limits_failed(limits, &source, START_MS);
		}
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(login_limits_delay(limits, &source, START_MS), LOGIN_LIMITS_FIRST_MS);
	login_limits_close(limits);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_delay_grows),
		cmocka_unit_test(test_delay_of_an_address),
		cmocka_unit_test(test_decay),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_killed_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
