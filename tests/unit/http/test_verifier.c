/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verifier.c: hashes of each kind on the thread, its queue, and the lifetime of cached results.
 */
#include "hashes.h"
#include "support.h"

#include "http/verifier.h"

#include <errno.h>

static struct passwords *parse(const char *text) {
	struct passwords *users = NULL;
	char error[PASSWORDS_ERROR_MAX] = "";
	int result = passwords_parse("users", text, strlen(text), &users, error);
	assert_string_equal(error, "");
	assert_int_equal(result, 0);
	return users;
}

struct bench {
	struct loop loop;
	struct verifier *auth;
	struct passwords *users;
	struct verifier_job *job;
	struct ev_timer watchdog;
	int calls;
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
	assert_int_equal(verifier_open(&bench->auth, &bench->loop), 0);
	assert_null(verifier_get_passwords(bench->auth));
	bench->users = parse(text);
	verifier_set_passwords(bench->auth, bench->users);
}

static void bench_close(struct bench *bench) {
	verifier_close(bench->auth);
	loop_timer_close(&bench->loop, &bench->watchdog);
	loop_close(&bench->loop);
	passwords_free(bench->users);
}

static int ask(struct bench *bench, const char *user, const char *password) {
	struct basic_credentials credentials = {0};
	strcpy(credentials.user, user);
	strcpy(credentials.password, password);
	return verifier_check(bench->auth, &credentials, answered, bench, &bench->job);
}

static void wait_calls(struct bench *bench, int calls) {
	while(bench->calls < calls) {
		bench->loop.stop = false;
		loop_timer_set(&bench->loop, &bench->watchdog,
			bench->loop.now_ms + VERIFIER_CACHE_MS * 100);
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
		assert_int_equal(verify(&bench, names[i], "secret2"), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], "Secret"), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], ""), VERIFIER_DENIED);
		assert_int_equal(verify(&bench, names[i], "secret"), VERIFIER_GRANTED);
		assert_int_equal(ask(&bench, names[i], "secret"), 0);
		assert_int_equal(verify(&bench, names[i], "secret2"), VERIFIER_DENIED);
	}
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
	bench.loop.now_ms = verified_ms + VERIFIER_CACHE_MS - 1;
	assert_int_equal(ask(&bench, "alice", "secret"), 0);
	bench.loop.now_ms = verified_ms + VERIFIER_CACHE_MS;
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
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
	char *text = malloc(VERIFIER_CACHE_MAX * 80 + 80);
	size_t len = 0;
	for(int i = 0; i <= VERIFIER_CACHE_MAX; i++) {
		len += (size_t)sprintf(text + len, "user%d:" BCRYPT_Y "\n", i);
	}
	bench_open(&bench, text);
	for(int i = 0; i <= VERIFIER_CACHE_MAX; i++) {
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
		assert_int_equal(ask(&bench, "alice", password), -EINPROGRESS);
		jobs[i] = bench.job;
	}
	for(size_t i = 0; i < COUNT(jobs); i++) {
		verifier_cancel(jobs[i]);
	}
	assert_int_equal(verify(&bench, "alice", "secret"), VERIFIER_GRANTED);
	assert_int_equal(bench.calls, 1);
	bench_close(&bench);
}

/* The thread may take some meanwhile, so more than the limit are needed to reach it. */
static void test_queue_is_bounded(void **state) {
	(void)state;
	struct bench bench;
	int taken = 0;
	int result = -EINPROGRESS;
	bench_open(&bench, "alice:$2y$10$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
	struct verifier_job *jobs[VERIFIER_QUEUE_MAX * 2];
	while(result == -EINPROGRESS) {
		char password[16];
		assert_true(taken < VERIFIER_QUEUE_MAX * 2);
		sprintf(password, "%d", taken);
		result = ask(&bench, "alice", password);
		if(result == -EINPROGRESS) {
			jobs[taken++] = bench.job;
		}
	}
	assert_int_equal(result, -EBUSY);
	assert_true(taken >= VERIFIER_QUEUE_MAX);
	for(int i = 0; i < taken; i++) {
		verifier_cancel(jobs[i]);
	}
	assert_int_equal(ask(&bench, "alice", "again"), -EINPROGRESS);
	verifier_cancel(bench.job);
	bench_close(&bench);
}

/* Equal credentials in the queue cost one hash; they overtake others between them. */
static void note(void *ctx, enum verifier_result result) {
	char **order = ctx;
	*(*order)++ = result == VERIFIER_GRANTED ? 'y' : 'n';
	**order = '\0';
}

static void test_alike(void **state) {
	(void)state;
	static const char *const passwords[] = {
		"x", "secret", "other", "secret", "another", "secret"};
	struct bench bench;
	char answers[COUNT(passwords) + 1];
	char *order = answers;
	/* The first is slow, so that the others are in the queue when it is done. */
	bench_open(&bench,
		"slow:$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/"
		"IJhW\nalice:" BCRYPT_Y);
	for(size_t i = 0; i < COUNT(passwords); i++) {
		struct basic_credentials credentials = {0};
		strcpy(credentials.user, i == 0 ? "slow" : "alice");
		strcpy(credentials.password, passwords[i]);
		assert_int_equal(verifier_check(bench.auth, &credentials, note, &order, &bench.job),
			-EINPROGRESS);
	}
	assert_int_equal(verify(&bench, "alice", "the last"), VERIFIER_DENIED);
	assert_string_equal(answers, "nyyynn");
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
		cmocka_unit_test(test_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
