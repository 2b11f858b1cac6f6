/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters in shared memory: sums, limits, addresses, and the end of a worker.
 */
#include "support.h"

#include "service/shared.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3

static const struct shared_address one = {{1, 2}};
static const struct shared_address two = {{1, 3}};

static struct shared *make(size_t addresses) {
	struct shared *shared = NULL;
	assert_int_equal(shared_open(&shared, WORKERS, addresses), 0);
	return shared;
}

static void test_connections(void **state) {
	struct shared *shared = make(100);
	(void)state;
	assert_true(shared_enter(shared, 0, 3));
	assert_true(shared_enter(shared, 1, 3));
	assert_true(shared_enter(shared, 2, 3));
	assert_false(shared_enter(shared, 0, 3));
	assert_int_equal(shared_total(shared), 3);
	shared_leave(shared, 1);
	assert_true(shared_enter(shared, 0, 3));
	shared_release(shared, 0, 0);
	assert_int_equal(shared_total(shared), 1);
	shared_close(shared);
}

static void test_addresses(void **state) {
	struct shared *shared = make(100);
	(void)state;
	assert_true(shared_enter_address(shared, 0, one, 2));
	assert_true(shared_enter_address(shared, 1, one, 2));
	assert_false(shared_enter_address(shared, 2, one, 2));
	assert_true(shared_enter_address(shared, 2, two, 2));
	assert_int_equal(shared_total_of_address(shared, one), 2);
	shared_leave_address(shared, 0, one);
	shared_leave_address(shared, 0, one); /* there is none: nothing */
	assert_int_equal(shared_total_of_address(shared, one), 1);
	shared_release(shared, 1, 0);
	assert_int_equal(shared_total_of_address(shared, one), 0);
	assert_int_equal(shared_total_of_address(shared, two), 1);
	shared_close(shared);
}

/* More addresses than there are places: those without one are not limited, the others stay right. */
static void test_full_table(void **state) {
	struct shared *shared = make(1);
	(void)state;
	for(uint64_t i = 0; i < 100; i++) {
		struct shared_address address = {{i, i}};
		assert_true(shared_enter_address(shared, 0, address, 1));
	}
	size_t counted = 0;
	for(uint64_t i = 0; i < 100; i++) {
		struct shared_address address = {{i, i}};
		counted += shared_total_of_address(shared, address);
		shared_leave_address(shared, 0, address);
	}
	assert_in_range(counted, 16, 99);
	for(uint64_t i = 100; i < 116; i++) { /* places are used again */
		struct shared_address address = {{i, i}};
		assert_true(shared_enter_address(shared, 0, address, 1));
		shared_leave_address(shared, 0, address);
	}
	shared_close(shared);
}

static void test_memory(void **state) {
	struct shared *shared = make(1);
	(void)state;
	shared_hold(shared, 0, 10);
	shared_hold(shared, 2, 5);
	assert_int_equal(shared_held(shared), 15);
	shared_hold(shared, 0, 1);
	shared_release(shared, 2, 0);
	assert_int_equal(shared_held(shared), 1);
	shared_close(shared);
}

/* exit-idle: the time since the last connection of any worker. */
static void test_idle(void **state) {
	struct shared *shared = make(1);
	(void)state;
	shared_set_open(shared, 0, 1, 10);
	assert_int_equal(shared_idle_since(shared, 15), 15);
	shared_set_open(shared, 1, 1, 20);
	shared_set_open(shared, 0, 0, 30);
	assert_int_equal(shared_idle_since(shared, 35), 35);
	shared_release(shared, 1, 40);
	shared_release(shared, 2, 50); /* it had none */
	assert_int_equal(shared_idle_since(shared, 60), 40);
	shared_close(shared);
}

static void test_beat(void **state) {
	struct shared *shared = make(1);
	(void)state;
	assert_int_equal(shared_last_beat(shared, 1), 0);
	shared_beat(shared, 1, 7);
	assert_int_equal(shared_last_beat(shared, 1), 7);
	assert_int_equal(shared_last_beat(shared, 0), 0);
	shared_close(shared);
}

/* What a process counts that is killed is seen by the others, and released. */
static void test_processes(void **state) {
	struct shared *shared = make(100);
	int status;
	(void)state;
	assert_int_equal(shared_next_id(shared), 1);
	pid_t pid = fork();
	if(pid == 0) {
		shared_enter(shared, 1, 10);
		shared_enter_address(shared, 1, one, 10);
		shared_next_id(shared);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(shared_total(shared), 1);
	assert_int_equal(shared_total_of_address(shared, one), 1);
	assert_false(shared_enter_address(shared, 0, one, 1));
	shared_release(shared, 1, 0);
	assert_int_equal(shared_total(shared), 0);
	assert_true(shared_enter_address(shared, 0, one, 1));
	assert_int_equal(shared_next_id(shared), 3);
	shared_close(shared);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_beat),
		cmocka_unit_test(test_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
