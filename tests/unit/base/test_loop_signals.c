/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signals as events of the loop.
 */
#include "base/loop_bench.h"

static void signal_arrived(struct loop *loop, int number) {
	struct test *test = container_of(loop, struct test, loop);
	note(test, number == SIGUSR1 ? '1' : number == SIGUSR2 ? '2' : '?');
}

static void test_signals(void **state) {
	struct test *test = *state;
	sigset_t set;
	sigset_t before;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(loop_signals(&test->loop, &set, signal_arrived), 0);
	run_turn(test);
	raise(SIGUSR1);
	raise(SIGUSR2);
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "12");
	raise(SIGUSR1);
	run_turn(test);
	assert_string_equal(test->trace, "121");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static unsigned storm;

static void signal_returns(struct loop *loop, int number) {
	signal_arrived(loop, number);
	if(++storm < ENDLESS) {
		raise(number);
	}
}

/* Others have their turns between signals that never end. */
static void test_signals_without_end(void **state) {
	struct test *test = *state;
	struct probe *probe = probe_new(test, NULL);
	sigset_t set;
	sigset_t before;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(loop_signals(&test->loop, &set, signal_returns), 0);
	say(probe, "x");
	storm = 0;
	raise(SIGUSR1);
	for(int i = 0; i < 4; i++) {
		forget(test);
		run_turn(test);
		assert_int_equal(strlen(test->trace), 2);
		assert_non_null(strchr(test->trace, '1'));
		assert_non_null(strchr(test->trace, 'a'));
	}
	storm = ENDLESS;
	run_turn(test);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void signal_counted(struct loop *loop, int number) {
	struct test *test = container_of(loop, struct test, loop);
	note(test, number == SIGRTMIN ? 'r' : '?');
}

/*
 * Many of one kind wait: once in each turn is enough, until all are taken, though no further event
 * comes.
 */
static void test_equal_signals(void **state) {
	struct test *test = *state;
	sigset_t set;
	sigset_t before;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(loop_signals(&test->loop, &set, signal_counted), 0);
	for(int i = 0; i < 40; i++) {
		raise(SIGRTMIN);
	}
	run_turn(test);
	assert_string_equal(test->trace, "r");
	for(int i = 0; i < 6; i++) {
		run_turn(test);
	}
	assert_true(strlen(test->trace) < 6);
	sigset_t pending;
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGRTMIN));
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Only EAGAIN means that there are none. */
static void test_signal_that_cannot_be_read(void **state) {
	struct test *test = *state;
	sigset_t set;
	sigset_t before;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(loop_signals(&test->loop, &set, signal_arrived), 0);
	run_turn(test);
	int fd = test->loop.signal_io.fd;
	int kept = dup(fd);
	int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* reading it is EISDIR */
	assert_true(kept >= 0 && folder >= 0);
	raise(SIGUSR1);
	assert_int_equal(dup2(folder, fd), fd);
	run_turn(test);
	assert_string_equal(test->trace, "");
	assert_int_equal(dup2(kept, fd), fd);
	run_turn(test);
	assert_string_equal(test->trace, "1");
	close(kept);
	close(folder);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_signals),
		LOOP_TEST(test_signals_without_end),
		LOOP_TEST(test_equal_signals),
		LOOP_TEST(test_signal_that_cannot_be_read),
	};
	return cmocka_run_group_tests_name("loop_signals", tests, NULL, NULL);
}
