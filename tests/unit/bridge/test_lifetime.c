/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The planned end of the daemon, on a clock that the test moves.
 */
#include "support.h"

#include "bridge/lifetime.h"

#include <string.h>

struct bench {
	struct loop loop;
	struct lifetime lifetime;
	const char *closed; /* the reason why it does not listen any more */
	const char *stopped;
};

static void stop_listening(struct lifetime *lifetime, const char *option) {
	struct bench *bench = container_of(lifetime, struct bench, lifetime);
	assert_null(bench->closed);
	bench->closed = option;
}

static void stop(struct lifetime *lifetime, const char *option) {
	struct bench *bench = container_of(lifetime, struct bench, lifetime);
	assert_null(bench->stopped);
	bench->stopped = option;
}

static void begin(struct bench *bench, const struct lifetime_limits *limits) {
	*bench = (struct bench){0};
	assert_int_equal(loop_open(&bench->loop), 0);
	bench->loop.now_ms = 1000;
	assert_int_equal(lifetime_open(&bench->lifetime, &bench->loop, stop_listening, stop), 0);
	lifetime_set(&bench->lifetime, limits);
}

static void end(struct bench *bench) {
	lifetime_close(&bench->lifetime);
	loop_close(&bench->loop);
}

/* As if the timer had been due at this time. */
static void fire(struct bench *bench, struct ev_timer *timer, uint64_t now_ms) {
	bench->loop.now_ms = now_ms;
	loop_timer_cancel(&bench->loop, timer);
	timer->fn(timer);
}

static void test_idle(void **state) {
	struct bench bench;
	(void)state;
	begin(&bench, &(struct lifetime_limits){.idle_ms = 100});
	assert_int_equal(bench.lifetime.idle.due_ms, 1100);
	lifetime_enter(&bench.lifetime);
	fire(&bench, &bench.lifetime.idle, 1100);
	assert_int_equal(bench.lifetime.idle.due_ms, 1200);
	bench.loop.now_ms = 1150;
	lifetime_leave(&bench.lifetime);
	fire(&bench, &bench.lifetime.idle, 1200);
	assert_null(bench.stopped);
	assert_int_equal(bench.lifetime.idle.due_ms, 1250);
	fire(&bench, &bench.lifetime.idle, 1250);
	assert_string_equal(bench.stopped, "exit-idle");
	end(&bench);
}

static void test_after(void **state) {
	struct bench bench;
	const struct lifetime_limits limits = {.after_ms = 500};
	(void)state;
	begin(&bench, &limits);
	assert_int_equal(bench.lifetime.after.due_ms, 1500);
	bench.loop.now_ms = 1200;
	lifetime_set(&bench.lifetime, &limits); /* a reload does not begin anew */
	assert_int_equal(bench.lifetime.after.due_ms, 1500);
	fire(&bench, &bench.lifetime.after, 1500);
	assert_string_equal(bench.closed, "exit-after");
	lifetime_set(&bench.lifetime, &limits);
	assert_int_equal(bench.loop.timers.armed, 0);
	end(&bench);
}

static void test_once(void **state) {
	struct bench bench;
	(void)state;
	begin(&bench, &(struct lifetime_limits){.once = true});
	assert_false(lifetime_is_taken(&bench.lifetime));
	lifetime_enter(&bench.lifetime);
	assert_true(lifetime_is_taken(&bench.lifetime));
	lifetime_leave(&bench.lifetime);
	assert_null(bench.stopped);
	bench.lifetime.once.fn(&bench.lifetime.once);
	assert_string_equal(bench.stopped, "run-once");
	end(&bench);
}

static void test_end_for_another_reason(void **state) {
	struct bench bench;
	const struct lifetime_limits limits = {.after_ms = 1, .idle_ms = 1, .once = true};
	(void)state;
	begin(&bench, &limits);
	lifetime_enter(&bench.lifetime);
	lifetime_end(&bench.lifetime);
	lifetime_leave(&bench.lifetime);
	lifetime_set(&bench.lifetime, &limits);
	assert_int_equal(bench.loop.timers.armed, 0);
	assert_true(list_is_empty(&bench.loop.tasks));
	end(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_end_for_another_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
