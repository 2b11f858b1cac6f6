/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Name lookup with name servers of the test's own: answers, questions that are asked again, and
 * reload.
 */
#include "network/resolve.h"

#include "name_server.h"
#include "support.h"

#include <errno.h>

#define PATIENCE_MS 600000

struct lookup {
	struct resolve_query *query;
	unsigned answers;
	int error;
	size_t count;
	union address first;
};

struct test {
	struct loop loop;
	struct ev_timer limit;
	struct deferred_free stopper;
	struct name_server silent;
	struct name_server fast;
	struct resolver *resolver;
};

static void give_up(struct ev_timer *timer) {
	(void)timer;
	fail_msg("it takes too long");
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	assert_int_equal(loop_open(&test->loop), 0);
	assert_int_equal(loop_timer_open(&test->loop, &test->limit, give_up), 0);
	name_server_open(&test->silent, &test->loop, 0);
	name_server_open(&test->fast, &test->loop, 2);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	resolver_close(test->resolver);
	name_server_close(&test->silent);
	name_server_close(&test->fast);
	loop_timer_close(&test->loop, &test->limit);
	loop_close(&test->loop);
	free(test);
	return 0;
}

static void looked_up(void *ctx, const struct resolve_answer *answer) {
	struct lookup *lookup = ctx;
	lookup->answers++;
	lookup->error = answer->error;
	lookup->count = answer->count;
	if(answer->count > 0) {
		lookup->first = answer->address[0];
	}
}

static void start(struct test *test, struct lookup *lookup, const char *host, int family) {
	*lookup = (struct lookup){0};
	assert_int_equal(resolve_start(test->resolver, host, 5900, family, looked_up, lookup,
				 &lookup->query),
		0);
	assert_int_equal(lookup->answers, 0);
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

/* Turns of the loop until `*counter` has the value. */
static void run_until(struct test *test, const unsigned *counter, unsigned value) {
	loop_timer_set(&test->loop, &test->limit, test->loop.now_ms + PATIENCE_MS);
	while(*counter < value) {
		test->stopper.free = stop_turn;
		loop_defer_free(&test->loop, &test->stopper);
		test->loop.stop = false;
		assert_int_equal(loop_run(&test->loop), 0);
	}
	loop_timer_cancel(&test->loop, &test->limit);
}

static void test_addresses(void **state) {
	struct test *test = *state;
	struct lookup lookup;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->fast.text), 0);
	start(test, &lookup, "peer.test", AF_INET);
	run_until(test, &lookup.answers, 1);
	assert_int_equal(lookup.error, 0);
	assert_int_equal(lookup.count, 2);
	assert_int_equal(address_port(&lookup.first), 5900);
	start(test, &lookup, "peer.test", AF_INET6);
	run_until(test, &lookup.answers, 1);
	assert_int_equal(lookup.error, -ENOENT);
}

/* The timer of the resolver: no event comes, and the question is asked again. */
static void test_silent_server_is_asked_again(void **state) {
	struct test *test = *state;
	struct lookup lookup;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->silent.text), 0);
	start(test, &lookup, "peer.test", AF_INET);
	run_until(test, &test->silent.questions, 2);
	assert_int_equal(lookup.answers, 0);
	resolve_cancel(lookup.query);
}

/* New lookups use the new server, and one that still waits for the old server asks the new one. */
static void test_reload_takes_effect_at_once(void **state) {
	struct test *test = *state;
	struct lookup old;
	struct lookup fresh;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->silent.text), 0);
	start(test, &old, "peer.test", AF_INET);
	run_until(test, &test->silent.questions, 2);
	assert_int_equal(resolver_reload(test->resolver, test->fast.text), 0);
	start(test, &fresh, "peer.test", AF_INET);
	run_until(test, &fresh.answers, 1);
	assert_int_equal(fresh.error, 0);
	assert_int_equal(old.answers, 1);
	assert_int_equal(old.count, 2);
	assert_int_equal(test->silent.questions, 2);
	assert_int_equal(test->fast.questions, 2);
}

/*
 * One question for each family, however many wait, and none while the TTL lasts; a reload asks
 * again.
 */
static void test_questions_are_shared_and_answers_kept(void **state) {
	struct test *test = *state;
	struct lookup lookups[20];
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->fast.text), 0);
	for(int i = 0; i < 20; i++) {
		start(test, &lookups[i], i % 4 < 2 ? "peer.test" : "PEER.test",
			i % 2 ? AF_INET : AF_INET6);
	}
	run_until(test, &lookups[18].answers, 1);
	run_until(test, &lookups[19].answers, 1);
	assert_int_equal(lookups[18].error, -ENOENT);
	assert_int_equal(lookups[19].count, 2);
	start(test, &lookups[0], "peer.test", AF_INET);
	run_until(test, &lookups[0].answers, 1);
	assert_int_equal(lookups[0].count, 2);
	assert_int_equal(test->fast.questions, 2);
	assert_int_equal(resolver_reload(test->resolver, test->fast.text), 0);
	start(test, &lookups[0], "peer.test", AF_INET);
	run_until(test, &lookups[0].answers, 1);
	assert_int_equal(test->fast.questions, 4);
}

/* More hosts than are kept: the first one has been forgotten, and nothing is lost or leaks. */
static void test_kept_answers_are_bounded(void **state) {
	struct test *test = *state;
	struct lookup lookup;
	char host[32];
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->fast.text), 0);
	for(unsigned i = 0; i <= 256; i++) {
		snprintf(host, sizeof(host), "peer%u.test", i);
		start(test, &lookup, host, AF_INET);
		run_until(test, &lookup.answers, 1);
		run_until(test, &test->fast.questions, 2 * i + 2);
	}
	unsigned questions = test->fast.questions;
	start(test, &lookup, "peer256.test", AF_INET);
	run_until(test, &lookup.answers, 1);
	assert_int_equal(test->fast.questions, questions);
	start(test, &lookup, "peer0.test", AF_INET);
	run_until(test, &lookup.answers, 1);
	assert_true(test->fast.questions > questions);
}

/* A query that is cancelled by the callback of another for the same host. */
static void cancel_other(void *ctx, const struct resolve_answer *answer) {
	struct lookup *other = ctx;
	(void)answer;
	resolve_cancel(other->query);
	other->error = -ECANCELED;
}

static void test_callback_may_cancel(void **state) {
	struct test *test = *state;
	struct lookup other = {0};
	struct lookup last;
	struct resolve_query *query;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->fast.text), 0);
	assert_int_equal(resolve_start(test->resolver, "localhost", 1, AF_INET, cancel_other,
				 &other, &query),
		0);
	start(test, &other, "localhost", AF_INET);
	start(test, &last, "localhost", AF_INET6);
	run_until(test, &last.answers, 1);
	assert_int_equal(other.answers, 0);
	assert_int_equal(other.error, -ECANCELED);
	assert_int_equal(address_port(&last.first), 5900);
}

static void test_bad_servers_change_nothing(void **state) {
	struct test *test = *state;
	struct lookup lookup;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->fast.text), 0);
	assert_int_equal(resolver_reload(test->resolver, "nowhere:x"), -EINVAL);
	start(test, &lookup, "peer.test", AF_INET);
	run_until(test, &lookup.answers, 1);
	assert_int_equal(lookup.error, 0);
}

/* Lookups of the old and of the new channel are called back when the resolver ends. */
static void test_close_while_looking_up(void **state) {
	struct test *test = *state;
	struct lookup old;
	struct lookup fresh;
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->silent.text), 0);
	start(test, &old, "one.test", AF_INET);
	assert_int_equal(resolver_reload(test->resolver, test->silent.text), 0);
	start(test, &fresh, "two.test", AF_INET);
	resolver_close(test->resolver);
	test->resolver = NULL;
	assert_int_equal(old.answers, 1);
	assert_int_equal(fresh.answers, 1);
	assert_true(old.error < 0 && fresh.error < 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_silent_server_is_asked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_reload_takes_effect_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_questions_are_shared_and_answers_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept_answers_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_callback_may_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_servers_change_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_while_looking_up, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
