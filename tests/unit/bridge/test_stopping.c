/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of all connections, on a clock that the test moves. The connections only note that they
 * have been asked to end.
 */
#include "bridge/stopping.h"

#include "bridge/connection.h"
#include "bridge/reload.h"
#include "support.h"

#define CONNECTIONS 5000
#define PARTS 20

struct test {
	struct loop loop;
	struct settings settings;
	struct connection_env env;
	struct reload reload;
	struct stopping stopping;
	size_t not_listening; /* how often it has been told */
	size_t asked;
	struct connection *order[CONNECTIONS];
	struct connection connection[CONNECTIONS];
};

static void note_shutdown(struct connection *connection) {
	struct test *test = container_of(connection->env, struct test, env);
	test->order[test->asked++] = connection;
	connection->phase = CONNECTION_CLOSING;
}

static const struct phase noting_phases[CONNECTION_PHASES] = {
	[CONNECTION_HEAD] = {.name = "HEAD", .shutdown = note_shutdown},
	[CONNECTION_OPEN] = {.name = "OPEN", .shutdown = note_shutdown},
	[CONNECTION_CLOSING] = {.name = "CLOSING"},
};

static void end_listening(struct stopping *stopping) {
	container_of(stopping, struct test, stopping)->not_listening++;
}

static struct connection *add(struct test *test, size_t number, uint64_t data_ms) {
	struct connection *connection = &test->connection[number];
	connection->env = &test->env;
	connection->phase = CONNECTION_OPEN;
	connection->activity.data_ms = data_ms;
	list_append(&test->env.connections, &connection->link);
	return connection;
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	assert_int_equal(loop_open(&test->loop), 0);
	test->loop.now_ms = 1000000;
	test->settings.drain_time_ms = 20000;
	test->settings.grace_ms = 500;
	test->env.settings = &test->settings;
	test->env.loop = &test->loop;
	test->env.phases = noting_phases;
	test->env.lifetime.loop = &test->loop;
	list_init(&test->env.connections);
	process_set_init(&test->env.processes, &test->loop);
	assert_int_equal(
		stopping_open(&test->stopping, &test->env, &test->reload, end_listening), 0);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	stopping_close(&test->stopping);
	process_set_close(&test->env.processes);
	loop_close(&test->loop);
	free(test);
	return 0;
}

/* As if the timer had been due at its time. */
static void fire(struct test *test) {
	struct ev_timer *timer = &test->stopping.timer;
	assert_int_not_equal(timer->slot, 0);
	if(timer->due_ms > test->loop.now_ms) {
		test->loop.now_ms = timer->due_ms;
	}
	loop_timer_cancel(&test->loop, timer);
	timer->fn(timer);
}

static void drain_all(struct test *test) {
	while(test->stopping.state != STOPPING_GRACE) {
		fire(test);
	}
}

/* 5,000 clients that connect to another daemon at once: it gets them at an even rate. */
static void test_rate_is_flat(void **state) {
	struct test *test = *state;
	size_t closes[PARTS] = {0};
	uint64_t begun_ms = test->loop.now_ms;
	for(size_t i = 0; i < CONNECTIONS; i++) {
		add(test, i, begun_ms - i % 977);
	}
	stopping_drain(&test->stopping);
	assert_int_equal(test->not_listening, 1);
	assert_int_equal(test->asked, 0);
	while(test->stopping.state != STOPPING_GRACE) {
		size_t before = test->asked;
		fire(test);
		uint64_t part = (test->loop.now_ms - begun_ms) * PARTS / 20000;
		assert_true(part < PARTS);
		closes[part] += test->asked - before;
		assert_int_equal(test->env.drain_remaining, CONNECTIONS - test->asked);
	}
	assert_int_equal(test->asked, CONNECTIONS);
	for(size_t i = 0; i < PARTS; i++) {
		assert_in_range(closes[i], CONNECTIONS / PARTS / 2, CONNECTIONS / PARTS * 3 / 2);
	}
	assert_int_equal(test->stopping.timer.due_ms, test->loop.now_ms + 500);
}

static void test_idle_ones_first(void **state) {
	struct test *test = *state;
	static const uint64_t idle_ms[] = {0, 70000, 3, 900000, 70001, 400};
	static const size_t expected[] = {3, 1, 4, 5, 2, 0};
	for(size_t i = 0; i < COUNT(idle_ms); i++) {
		add(test, i, test->loop.now_ms - idle_ms[i]);
	}
	stopping_drain(&test->stopping);
	drain_all(test);
	for(size_t i = 0; i < COUNT(idle_ms); i++) {
		assert_ptr_equal(test->order[i], &test->connection[expected[i]]);
	}
}

/* Requests are answered at once; only open connections have a place in the time. */
static void test_others_end_at_once(void **state) {
	struct test *test = *state;
	add(test, 0, 0);
	add(test, 1, 0)->phase = CONNECTION_HEAD;
	add(test, 2, 0)->phase = CONNECTION_CLOSING;
	stopping_drain(&test->stopping);
	fire(test);
	assert_ptr_equal(test->order[0], &test->connection[1]);
	assert_int_equal(test->stopping.drain.count, 1);
	drain_all(test);
	assert_int_equal(test->asked, 2);
}

/* Those that end meanwhile make the drain shorter; the others keep their rate. */
static void test_ends_meanwhile(void **state) {
	struct test *test = *state;
	for(size_t i = 0; i < 100; i++) {
		add(test, i, 0);
	}
	stopping_drain(&test->stopping);
	while(test->asked < 10) {
		fire(test);
	}
	for(size_t i = 20; i < 60; i++) {
		list_remove(&test->connection[i].link);
	}
	test->connection[60].phase = CONNECTION_CLOSING;
	drain_all(test);
	assert_int_equal(test->asked, 59);
	assert_int_equal(test->env.drain_remaining, 0);
	/* The next close would have been due, and there was none left. */
	assert_in_range(test->loop.now_ms, 1000000 + 59 * 200, 1000000 + 60 * 200);
}

/* A loop that was late does not close all that was due in one turn. */
static void test_late(void **state) {
	struct test *test = *state;
	for(size_t i = 0; i < CONNECTIONS; i++) {
		add(test, i, 0);
	}
	stopping_drain(&test->stopping);
	fire(test);
	test->loop.now_ms += 20000;
	for(size_t turns = 1; test->stopping.state != STOPPING_GRACE; turns++) {
		size_t before = test->asked;
		fire(test);
		assert_true(test->asked - before <= 256);
		assert_true(turns <= CONNECTIONS / 256 + 1);
	}
	assert_int_equal(test->asked, CONNECTIONS);
}

static void test_delay(void **state) {
	struct test *test = *state;
	test->settings.drain_delay_ms = 5000;
	test->settings.drain_time_ms = 0;
	add(test, 0, 0);
	stopping_drain(&test->stopping);
	assert_true(test->env.leaving);
	assert_false(test->env.draining);
	assert_int_equal(test->not_listening, 0);
	assert_int_equal(test->stopping.timer.due_ms, 1005000);
	stopping_drain(&test->stopping);
	assert_int_equal(test->stopping.timer.due_ms, 1005000);
	add(test, 1, 0);
	fire(test);
	assert_true(test->env.draining);
	assert_int_equal(test->not_listening, 1);
	assert_int_equal(test->asked, 2);
	assert_int_equal(test->stopping.state, STOPPING_GRACE);
}

/* One that does not listen any more has nothing to wait for. */
static void test_no_delay_without_listening(void **state) {
	struct test *test = *state;
	test->settings.drain_delay_ms = 5000;
	test->settings.drain_time_ms = 0;
	test->env.ending = true;
	add(test, 0, 0);
	stopping_drain(&test->stopping);
	assert_int_equal(test->asked, 1);
}

static void test_at_once(void **state) {
	struct test *test = *state;
	test->settings.drain_delay_ms = 5000;
	for(size_t i = 0; i < 10; i++) {
		add(test, i, 0);
	}
	stopping_drain(&test->stopping);
	fire(test);
	while(test->asked < 5) {
		fire(test);
	}
	stopping_at_once(&test->stopping);
	assert_int_equal(test->asked, 10);
	assert_int_equal(test->stopping.state, STOPPING_GRACE);
	assert_int_equal(test->stopping.timer.due_ms, test->loop.now_ms + 500);
	stopping_at_once(&test->stopping);
	assert_int_equal(test->asked, 10);
}

/* Its order of the connections is not disturbed: it would end before all have been told. */
static void reload_task(struct loop_task *task) {
	(void)task;
}

static void test_waits_for_a_reload(void **state) {
	struct test *test = *state;
	add(test, 0, 0);
	test->reload.task.fn = reload_task;
	loop_next_turn(&test->loop, &test->reload.task);
	stopping_drain(&test->stopping);
	fire(test);
	assert_int_equal(test->stopping.drain.count, 0);
	reload_cancel(&test->reload);
	fire(test);
	assert_int_equal(test->stopping.drain.count, 1);
}

static void test_without_connections(void **state) {
	struct test *test = *state;
	stopping_drain(&test->stopping);
	assert_false(test->loop.stop);
	fire(test);
	assert_true(test->loop.stop);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rate_is_flat, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_idle_ones_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others_end_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends_meanwhile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_delay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_delay_without_listening, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waits_for_a_reload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_connections, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
