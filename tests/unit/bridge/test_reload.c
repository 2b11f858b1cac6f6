/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A reload with many connections, which only count how often they are told.
 */
#include "bridge/reload.h"

#include "base/clock.h"
#include "bridge/connection.h"
#include "support.h"

#define CONNECTIONS 20
#define SLOW_US 6000 /* longer than a turn has room for */

struct test {
	struct loop loop;
	struct connection_env env;
	struct reload reload;
	struct connection connection[CONNECTIONS];
	struct deferred_free stopper;
};

static size_t told[CONNECTIONS];
static struct test *current;
static bool slow;

static void count_reload(struct connection *connection) {
	told[connection - current->connection]++;
	for(uint64_t begin_us = clock_us(); slow && clock_us() - begin_us < SLOW_US;) {
	}
}

static const struct phase counting_phases[CONNECTION_PHASES] = {
	[CONNECTION_OPEN] = {.name = "OPEN", .reload = count_reload},
	[CONNECTION_LINGER] = {.name = "LINGER"},
};

static size_t total(void) {
	size_t sum = 0;
	for(size_t i = 0; i < CONNECTIONS; i++) {
		sum += told[i];
	}
	return sum;
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	memset(told, 0, sizeof(told));
	slow = false;
	assert_int_equal(loop_open(&test->loop), 0);
	test->env.loop = &test->loop;
	test->env.phases = counting_phases;
	list_init(&test->env.connections);
	for(size_t i = 0; i < CONNECTIONS; i++) {
		test->connection[i].phase = CONNECTION_OPEN;
		list_append(&test->env.connections, &test->connection[i].link);
	}
	current = test;
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	reload_cancel(&test->reload);
	loop_close(&test->loop);
	free(test);
	return 0;
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

static void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static void test_each_once(void **state) {
	struct test *test = *state;
	test->connection[3].phase = CONNECTION_LINGER;
	for(size_t round = 1; round <= 300; round++) { /* a counter of a byte wraps */
		reload_connections(&test->reload, &test->env);
		while(list_is_linked(&test->reload.task.link)) {
			run_turn(test); /* on a slow machine */
		}
		for(size_t i = 0; i < CONNECTIONS; i++) {
			assert_int_equal(told[i], i == 3 ? 0 : round);
		}
	}
}

/* Thousands of certificates were verified in one turn, and all other connections waited. */
static void test_a_turn_ends(void **state) {
	struct test *test = *state;
	slow = true;
	reload_connections(&test->reload, &test->env);
	for(size_t i = 1; i < CONNECTIONS; i++) {
		assert_int_equal(total(), i);
		run_turn(test);
	}
	assert_int_equal(total(), CONNECTIONS);
	for(size_t i = 0; i < CONNECTIONS; i++) {
		assert_int_equal(told[i], 1);
	}
	run_turn(test);
	assert_int_equal(total(), CONNECTIONS);
}

/* Connections that end meanwhile, that are new, and another reload. */
static void test_changes_meanwhile(void **state) {
	struct test *test = *state;
	struct connection *fresh = &test->connection[0];
	list_remove(&fresh->link);
	slow = true;
	reload_connections(&test->reload, &test->env);
	run_turn(test);
	assert_int_equal(total(), 2);
	fresh->reloads = test->env.reloads;
	list_append(&test->env.connections, &fresh->link);
	list_remove(&test->connection[5].link);
	slow = false;
	while(list_is_linked(&test->reload.task.link)) {
		run_turn(test);
	}
	assert_int_equal(told[0], 0);
	assert_int_equal(told[5], 0);
	assert_int_equal(total(), CONNECTIONS - 2);
	slow = true;
	reload_connections(&test->reload, &test->env);
	slow = false;
	reload_connections(&test->reload, &test->env);
	while(list_is_linked(&test->reload.task.link)) {
		run_turn(test);
	}
	assert_int_equal(total(), CONNECTIONS - 2 + 1 + CONNECTIONS - 1);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_turn_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changes_meanwhile, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
