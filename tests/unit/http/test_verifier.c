/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verifier.c: hashes of each kind on the thread, its queue, and the lifetime of cached results.
 */
#include "hashes.h"
#include "support.h"

#include "http/login_cache.h"
#include "http/login_limits.h"
#include "http/login_queue.h"
#include "http/verifier.h"

#include <errno.h>

struct bench {
	struct loop loop;
	struct verifier *auth;
	struct passwords *users;
	struct verifier_job *job;
	struct ev_timer watchdog;
	int calls;
	unsigned net; /* of the address that ask() uses */
	enum verifier_result result;
};

static void answered(void *ctx, enum verifier_result result) {
	struct bench *bench = ctx;
	bench->calls++;
	bench->result = result;
	bench->loop.stop = true;
}

static void too_late(struct ev_timer *timer) {
	(void)timer;
	fail_msg("no answer from the thread");
}

static void bench_open(struct bench *bench, const char *text) {
	*bench = (struct bench){0};
	assert_int_equal(loop_open(&bench->loop), 0);
	assert_int_equal(loop_timer_open(&bench->loop, &bench->watchdog, too_late), 0);
	assert_int_equal(verifier_open(&bench->auth, &bench->loop, NULL), 0);
	assert_null(verifier_get_passwords(bench->auth));
	bench->users = parse_users(text);
	verifier_set_passwords(bench->auth, bench->users);
}

static void bench_close(struct bench *bench) {
	verifier_close(bench->auth);
	loop_timer_close(&bench->loop, &bench->watchdog);
	loop_close(&bench->loop);
	passwords_free(bench->users);
}

/* From the address 192.0.`net`.1, with a function of its own. */
static int ask_from(struct bench *bench, unsigned net, const char *user, const char *password) {
	struct basic_credentials credentials = {0};
	union address address = {.in = {.sin_family = AF_INET}};
	struct verifier_request request = {
		.credentials = &credentials, .address = &address, .fn = answered, .ctx = bench};
	address.in.sin_addr.s_addr = htonl(0xc0000001 + (net << 8));
	strcpy(credentials.user, user);
	strcpy(credentials.password, password);
	return verifier_check(bench->auth, &request, &bench->job);
}

static int ask(struct bench *bench, const char *user, const char *password) {
	return ask_from(bench, bench->net, user, password);
}

static void wait_calls(struct bench *bench, int calls) {
	while(bench->calls < calls) {
		bench->loop.stop = false;
		loop_timer_set(
			&bench->loop, &bench->watchdog, bench->loop.now_ms + LOGIN_CACHE_MS * 1000);
		assert_int_equal(loop_run(&bench->loop), 0);
	}
}

static enum verifier_result verify(struct bench *bench, const char *user, const char *password) {
	int calls = bench->calls;
	assert_int_equal(ask(bench, user, password), -EINPROGRESS);
	assert_int_equal(bench->calls, calls);
	wait_calls(bench, calls + 1);
	return bench->result;
}

static void test_kinds(void **state) {
	(void)state;
	static const char *const names[] = {"2a", "2y", "2b", "6", "6p", "5", "y"};
	struct bench bench;
	bench_open(&bench,
		"2a:" BCRYPT_A "\n2y:" BCRYPT_Y "\n2b:" BCRYPT_B "\n6:" SHA512 "\n6p:" SHA512_PLAIN
		"\n5:" SHA256 "\ny:" YESCRYPT "\ncolons:" BCRYPT_COLONS);
	for(size_t i = 0; i < COUNT(names); i++) {
		bench.net = (unsigned)i; /* not to be delayed */
		assert_int_equal(verify(&bench, names[i], "secret2"), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], "Secret"), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], ""), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], "secret"), VERIFIER_GRANTED);
		assert_int_equal(ask(&bench, names[i], "secret"), 0);
		assert_int_equal(verify(&bench, names[i], "secret2"), VERIFIER_DENIED);
	}
	bench.net = 100;
	assert_int_equal(verify(&bench, "colons", "p:a:ß€"), VERIFIER_GRANTED);
	assert_int_equal(verify(&bench, "colons", "p:a"), VERIFIER_DENIED);
	bench_close(&bench);
}

/* An unknown user is hashed with the salt of another one, whose password must not be accepted. */
static void test_unknown_user(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y);
	assert_int_equal(verify(&bench, "bob", "secret"), VERIFIER_DENIED);
	assert_int_equal(verify(&bench, "", "secret"), VERIFIER_DENIED);
	assert_int_equal(verify(&bench, "bob", "secret"), VERIFIER_DENIED); /* not cached */
	bench_close(&bench);
}

static void test_no_users(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "# nobody");
	assert_int_equal(ask(&bench, "alice", "secret"), -EACCES);
	bench_close(&bench);
}

static void test_cache_expires(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y "\nbob:" BCRYPT_Y);
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	uint64_t verified_ms = bench.loop.now_ms;
	uint64_t last_ms = verified_ms + LOGIN_CACHE_LAST_MS;
	/* Use renews it, but only for so long. */
	for(uint64_t at = verified_ms; at < last_ms; at += LOGIN_CACHE_MS - 1) {
		bench.loop.now_ms = at;
		assert_int_equal(ask(&bench, "alice", "secret"), 0);
	}
	bench.loop.now_ms = last_ms;
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	bench.loop.now_ms = last_ms + LOGIN_CACHE_MS;
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED); /* was not used */
	assert_int_equal(ask(&bench, "alice", "secret"), 0);
	assert_int_equal(verify(&bench, "bob", "secret"), VERIFIER_GRANTED); /* another key */
	verifier_set_passwords(bench.auth, bench.users);
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	bench_close(&bench);
}

/* The cache is full: the oldest entry is dropped. */
static void test_cache_is_bounded(void **state) {
	(void)state;
	struct bench bench;
	char *text = malloc(LOGIN_CACHE_MAX * 80 + 80);
	size_t len = 0;
	for(int i = 0; i <= LOGIN_CACHE_MAX; i++) {
		len += (size_t)sprintf(text + len, "user%d:" BCRYPT_Y "\n", i);
	}
	bench_open(&bench, text);
	for(int i = 0; i <= LOGIN_CACHE_MAX; i++) {
		char name[32];
		sprintf(name, "user%d", i);
		assert_int_equal(verify(&bench, name, "secret"), VERIFIER_GRANTED);
	}
	assert_int_equal(ask(&bench, "user256", "secret"), 0);
	assert_int_equal(ask(&bench, "user1", "secret"), 0);
	assert_int_equal(verify(&bench, "user0", "secret"), VERIFIER_GRANTED);
	free(text);
	bench_close(&bench);
}

static void test_stale(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y);
	assert_int_equal(ask(&bench, "alice", "secret"), -EINPROGRESS);
	verifier_set_passwords(bench.auth, bench.users);
	wait_calls(&bench, 1);
	assert_int_equal(bench.result, VERIFIER_STALE);
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	bench_close(&bench);
}

static void test_cancel(void **state) {
	(void)state;
	struct bench bench;
	struct verifier_job *jobs[8];
	bench_open(&bench, "alice:" BCRYPT_Y);
	verifier_cancel(NULL);
	for(size_t i = 0; i < COUNT(jobs); i++) { /* one may be running, the others wait */
		char password[16];
		sprintf(password, "%zu", i);
		assert_int_equal(ask_from(&bench, (unsigned)i, "alice", password), -EINPROGRESS);
		jobs[i] = bench.job;
	}
	for(size_t i = 0; i < COUNT(jobs); i++) {
		verifier_cancel(jobs[i]);
	}
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	assert_int_equal(bench.calls, 1);
	bench_close(&bench);
}

#define SLOW "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"

/* The thread may take some meanwhile, so more than the limit are needed to reach it. */
static void test_queue_is_bounded(void **state) {
	(void)state;
	struct bench bench;
	unsigned taken = 0;
	int result = -EINPROGRESS;
	bench_open(&bench, "alice:" SLOW);
	struct verifier_job *jobs[LOGIN_QUEUE_MAX * 2];
	while(result == -EINPROGRESS) {
		char user[16];
		assert_true(taken < COUNT(jobs));
		sprintf(user, "user%u", taken);
		result = ask_from(&bench, taken, user, "x");
		if(result == -EINPROGRESS) {
			jobs[taken++] = bench.job;
		}
	}
	assert_int_equal(result, -EBUSY);
	assert_true(taken >= LOGIN_QUEUE_MAX - LOGIN_QUEUE_KNOWN);
	for(unsigned i = 0; i < taken; i++) {
		verifier_cancel(jobs[i]);
	}
	assert_int_equal(ask(&bench, "alice", "again"), -EINPROGRESS);
	verifier_cancel(bench.job);
	bench_close(&bench);
}

/* One address fills its share; others do not notice. */
static void test_share_of_an_address(void **state) {
	(void)state;
	struct bench bench;
	int result = -EINPROGRESS;
	int waiting = 0;
	bench_open(&bench, "slow:" SLOW "\nalice:" BCRYPT_Y);
	while(result == -EINPROGRESS) {
		char password[16];
		assert_true(waiting < LOGIN_QUEUE_PAIR + 2); /* one may be running */
		sprintf(password, "%d", waiting);
		result = ask_from(&bench, 1, "slow", password);
		waiting += result == -EINPROGRESS;
	}
	assert_int_equal(result, -EDQUOT);
	assert_int_equal(ask_from(&bench, 5, "alice", "secret"), -EINPROGRESS);
	wait_calls(&bench, waiting + 1);
	bench_close(&bench);
}

/* After failures the same address has to wait; another one, and credentials in the cache, not. */
static void test_delay_after_failures(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y);
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	for(int i = 0; i <= LOGIN_LIMITS_FREE_USER; i++) {
		assert_int_equal(verify(&bench, "alice", "wrong"), VERIFIER_DENIED);
	}
	assert_int_equal(ask(&bench, "alice", "wrong"), -EAGAIN);
	assert_int_equal(ask(&bench, "alice", "secret"), 0);
	assert_int_equal(ask_from(&bench, 3, "alice", "other"), -EINPROGRESS);
	wait_calls(&bench, LOGIN_LIMITS_FREE_USER + 3);
	bench.loop.now_ms += LOGIN_LIMITS_FIRST_MS;
	assert_int_equal(verify(&bench, "alice", "wrong"), VERIFIER_DENIED);
	bench_close(&bench);
}

/* bcrypt ignores what follows 72 bytes: another password with the same beginning would be valid. */
static void test_password_longer_than_its_hash(void **state) {
	(void)state;
	struct bench bench;
	char password[BASIC_PASSWORD_MAX + 1] = {0};
	bench_open(&bench, "alice:" BCRYPT_Y "\nbob:" SHA256);
	memset(password, 'x', 72);
	assert_int_equal(verify(&bench, "alice", password), VERIFIER_DENIED);
	memset(password, 'x', 73);
	assert_int_equal(ask(&bench, "alice", password), -E2BIG);
	memset(password, 'x', BASIC_PASSWORD_MAX);
	assert_int_equal(verify(&bench, "bob", password), VERIFIER_DENIED);
	bench_close(&bench);
}

/* Equal credentials cost one hash, from wherever they come. */
static void test_equal_credentials(void **state) {
	(void)state;
	struct bench bench;
	struct verifier_job *jobs[LOGIN_QUEUE_MAX * 2];
	bench_open(&bench, "slow:" SLOW "\nalice:" BCRYPT_Y);
	assert_int_equal(ask(&bench, "slow", "x"), -EINPROGRESS);
	for(unsigned i = 0; i < COUNT(jobs); i++) {
		assert_int_equal(ask_from(&bench, i % 3, "alice", "secret"), -EINPROGRESS);
		jobs[i] = bench.job;
	}
	for(unsigned i = 0; i < COUNT(jobs); i += 2) { /* the first, too */
		verifier_cancel(jobs[i]);
	}
	wait_calls(&bench, 1 + COUNT(jobs) / 2);
	assert_int_equal(bench.calls, 1 + COUNT(jobs) / 2);
	assert_int_equal(bench.result, VERIFIER_GRANTED);
	bench_close(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_unknown_user),
		cmocka_unit_test(test_no_users),
		cmocka_unit_test(test_cache_expires),
		cmocka_unit_test(test_cache_is_bounded),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_share_of_an_address),
		cmocka_unit_test(test_delay_after_failures),
		cmocka_unit_test(test_password_longer_than_its_hash),
		cmocka_unit_test(test_equal_credentials),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
