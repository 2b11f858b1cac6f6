/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The addresses of a host: their order, their number, and the end of lookups that are cancelled.
 */
#include "network/candidates.h"

#include "name_server.h"
#include "support.h"

#include <errno.h>

#define ADDRESSES 24 /* of each name: more than are returned */
#define LIMIT_MS 600000

struct test {
	struct loop loop;
	struct ev_timer limit;
	struct name_server server;
	struct resolver *resolver;
	struct candidates candidates;
	struct candidates_answer answer[CANDIDATES_FAMILIES];
	unsigned answers;
};

static void time_is_up(struct ev_timer *timer) {
	container_of(timer, struct test, limit)->loop.stop = true;
}

static void answered(void *ctx, const struct candidates_answer *answer) {
	struct test *test = ctx;
	test->answer[answer->family] = *answer;
	test->answers++;
	test->loop.stop = test->answers == CANDIDATES_FAMILIES;
}

static void run_for(struct test *test, uint64_t time_ms) {
	test->loop.stop = false;
	loop_timer_set(&test->loop, &test->limit, test->loop.now_ms + time_ms);
	assert_int_equal(loop_run(&test->loop), 0);
	loop_timer_cancel(&test->loop, &test->limit);
}

static void look_up(struct test *test, const char *host) {
	assert_int_equal(candidates_start(&test->candidates, test->resolver, host, 80), 0);
	assert_int_equal(test->answers, 0);
	assert_true(candidates_is_waiting(&test->candidates));
	assert_true(candidates_has_more(&test->candidates));
	assert_null(candidates_next(&test->candidates));
	run_for(test, LIMIT_MS);
	assert_int_equal(test->answers, CANDIDATES_FAMILIES);
	assert_false(candidates_is_waiting(&test->candidates));
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	assert_int_equal(loop_open(&test->loop), 0);
	assert_int_equal(loop_timer_open(&test->loop, &test->limit, time_is_up), 0);
	name_server_open(&test->server, &test->loop, ADDRESSES);
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->server.text), 0);
	candidates_init(&test->candidates, answered, test);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	candidates_cancel(&test->candidates);
	candidates_free(&test->candidates);
	resolver_close(test->resolver);
	name_server_close(&test->server);
	loop_timer_close(&test->loop, &test->limit);
	loop_close(&test->loop);
	free(test);
	return 0;
}

/* IPv6 first, then alternately. */
static void test_families_alternate(void **state) {
	struct test *test = *state;
	look_up(test, "localhost");
	const union address *first = candidates_next(&test->candidates);
	const union address *second = candidates_next(&test->candidates);
	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal(first->any.sa_family, AF_INET6);
	assert_int_equal(second->any.sa_family, AF_INET);
	assert_int_equal(address_port(second), 80);
	assert_null(candidates_next(&test->candidates));
	assert_false(candidates_has_more(&test->candidates));
}

/* One family alone; only so many of its addresses. */
static void test_number_is_bounded(void **state) {
	struct test *test = *state;
	look_up(test, "many.test");
	assert_in_range(test->answer[CANDIDATES_IPV4].count, CANDIDATES_MAX, ADDRESSES);
	assert_int_equal(test->answer[CANDIDATES_IPV6].count, 0);
	assert_int_equal(test->answer[CANDIDATES_IPV6].error, -ENOENT);
	assert_non_null(test->answer[CANDIDATES_IPV6].why);
	for(unsigned i = 0; i < CANDIDATES_MAX; i++) {
		assert_true(candidates_has_more(&test->candidates));
		const union address *address = candidates_next(&test->candidates);
		assert_non_null(address);
		assert_int_equal(address->any.sa_family, AF_INET);
	}
	assert_null(candidates_next(&test->candidates));
	assert_false(candidates_has_more(&test->candidates));
}

static void test_cancelled_lookups(void **state) {
	struct test *test = *state;
	assert_int_equal(candidates_start(&test->candidates, test->resolver, "many.test", 80), 0);
	candidates_cancel(&test->candidates);
	assert_false(candidates_is_waiting(&test->candidates));
	assert_false(candidates_has_more(&test->candidates));
	run_for(test, 50);
	assert_int_equal(test->answers, 0);
	candidates_cancel(&test->candidates); /* twice is harmless */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_families_alternate),
		TEST(test_number_is_bounded),
		TEST(test_cancelled_lookups),
	};
	return cmocka_run_group_tests_name("candidates", tests, NULL, NULL);
}
