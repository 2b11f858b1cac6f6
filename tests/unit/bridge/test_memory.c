/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The limit on memory: growth of buffers, small buffers above the limit, and the sum of all.
 */
#include "base/machine.h"
#include "bench.h"
#include "bridge/memory.h"
#include "service/shared.h"

#define LIMIT (1024 * 1024)

static int set_up(void **state) {
	static struct bench bench;
	bench_open(&bench);
	bench.env.memory.limit = LIMIT;
	*state = &bench;
	return 0;
}

static int tear_down(void **state) {
	struct bench *bench = *state;
	assert_int_equal(bench->env.memory.held, 0);
	bench_close(bench);
	return 0;
}

static void test_sum_of_capacities(void **state) {
	struct connection_env *env = &((struct bench *)*state)->env;
	struct dynbuf a = {0};
	struct dynbuf b = {0};
	assert_int_equal(memory_append(env, &a, "x", 1), 0);
	assert_int_equal(env->memory.held, a.cap);
	assert_int_equal(memory_reserve(env, &b, 5000), 0);
	assert_int_equal(env->memory.held, a.cap + b.cap);
	assert_int_equal(memory_append(env, &a, "", 0), 0);
	memory_free(env, &a);
	assert_int_equal(env->memory.held, b.cap);
	memory_free(env, &a); /* twice is harmless */
	memory_free(env, &b);
}

/* A buffer that would grow beyond the limit stays as it is. */
static void test_limit(void **state) {
	struct connection_env *env = &((struct bench *)*state)->env;
	struct dynbuf buf = {0};
	assert_int_equal(memory_reserve(env, &buf, LIMIT + 1), -EDQUOT);
	assert_null(buf.data);
	assert_int_equal(memory_reserve(env, &buf, LIMIT / 2), 0);
	assert_false(memory_is_exhausted(env));
	buf.len = buf.cap;
	size_t held = env->memory.held;
	assert_int_equal(memory_append(env, &buf, "x", 1), held * 2 <= LIMIT ? 0 : -EDQUOT);
	assert_int_equal(memory_reserve(env, &buf, LIMIT), -EDQUOT);
	assert_true(env->memory.held <= LIMIT);
	memory_free(env, &buf);
}

/* Room that is there already needs no permission. */
static void test_room_within_the_capacity(void **state) {
	struct connection_env *env = &((struct bench *)*state)->env;
	struct dynbuf buf = {0};
	assert_int_equal(memory_reserve(env, &buf, LIMIT / 2), 0);
	env->memory.limit = 1;
	assert_true(memory_is_exhausted(env));
	assert_int_equal(memory_reserve(env, &buf, buf.cap), 0);
	memory_free(env, &buf);
}

/* Small buffers are granted above the limit, so that requests can be answered. */
static void test_small_buffers(void **state) {
	struct connection_env *env = &((struct bench *)*state)->env;
	struct dynbuf small = {0};
	env->memory.limit = 1;
	assert_int_equal(memory_reserve(env, &small, MEMORY_SPARED), 0);
	assert_true(memory_is_exhausted(env));
	small.len = small.cap;
	assert_int_equal(memory_reserve(env, &small, 1), -EDQUOT);
	memory_free(env, &small);
}

/* Queued data counts, too: the chunks of all queues. */
static void test_queues_count(void **state) {
	struct bench *bench = *state;
	static uint8_t data[LIMIT];
	struct bufq queue = {0};
	bench->env.memory.limit = sizeof(data) / 2;
	assert_int_equal(bufq_append(&queue, &bench->loop.pool, data, sizeof(data)), 0);
	assert_true(memory_is_exhausted(&bench->env));
	struct dynbuf buf = {0};
	assert_int_equal(memory_reserve(&bench->env, &buf, MEMORY_SPARED + 1), -EDQUOT);
	bufq_consume(&queue, &bench->loop.pool, queue.len);
	assert_false(memory_is_exhausted(&bench->env));
}

static void test_no_limit(void **state) {
	struct connection_env *env = &((struct bench *)*state)->env;
	struct dynbuf buf = {0};
	env->memory.limit = 0;
	assert_int_equal(memory_reserve(env, &buf, 2 * LIMIT), 0);
	assert_false(memory_is_exhausted(env));
	memory_free(env, &buf);
}

/* What other workers hold counts, and what they are told becomes less when this one holds less. */
static void test_workers(void **state) {
	struct bench *bench = *state;
	struct connection_env *env = &bench->env;
	struct dynbuf buf = {0};
	assert_int_equal(shared_open(&env->shared, 2, 1), 0);
	assert_int_equal(memory_share(env), 0);
	shared_hold(env->shared, 1, LIMIT / 2);
	assert_false(memory_is_exhausted(env));
	assert_int_equal(memory_reserve(env, &buf, LIMIT / 2 + 1), -EDQUOT);
	assert_int_equal(memory_reserve(env, &buf, LIMIT / 4), 0);
	shared_hold(env->shared, 1, LIMIT);
	assert_true(memory_is_exhausted(env));
	shared_release(env->shared, 1, 0);
	assert_false(memory_is_exhausted(env));
	assert_int_equal(shared_held(env->shared), buf.cap);
	memory_free(env, &buf);
	assert_int_not_equal(env->memory.told.slot, 0);
	env->memory.told.fn(&env->memory.told);
	assert_int_equal(shared_held(env->shared), 0);
	memory_leave(env);
	shared_close(env->shared);
	env->shared = NULL;
}

static void test_limit_of_the_option(void **state) {
	(void)state;
	assert_int_equal(memory_limit(12345), 12345);
	assert_int_equal(memory_limit(0), machine_memory() / MEMORY_DEFAULT_DIVISOR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_sum_of_capacities),
		TEST(test_limit),
		TEST(test_room_within_the_capacity),
		TEST(test_small_buffers),
		TEST(test_queues_count),
		TEST(test_no_limit),
		TEST(test_workers),
		cmocka_unit_test(test_limit_of_the_option),
	};
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
