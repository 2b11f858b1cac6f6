/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: descriptors that are closed, moved, copied, shared with libraries, or of no use.
 */
#include "base/loop_bench.h"

static void close_partner(struct probe *probe) {
	struct test *test = probe->test;
	drain(probe);
	loop_close_io(&test->loop, &probe->partner->io);
	probe->partner->dead.free = free_note;
	loop_defer_free(&test->loop, &probe->partner->dead);
	assert_int_equal(test->freed, 0);
}

/*
 * Both have an event in the same batch; whichever runs first closes the other, which then must not
 * run.
 */
static void test_close_of_another_in_the_batch(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, close_partner);
	struct probe *b = probe_new(test, close_partner);
	struct probe *c = probe_new(test, drain);
	a->partner = b;
	b->partner = a;
	say(a, "x");
	say(b, "x");
	say(c, "x");
	run_turn(test);
	assert_int_equal(a->calls + b->calls, 1);
	assert_int_equal(c->calls, 1);
	assert_int_equal(test->freed, 1);
	run_turn(test);
	assert_int_equal(a->calls + b->calls, 1);
}

static void close_itself(struct probe *probe) {
	loop_close_io(&probe->test->loop, &probe->io);
	probe->dead.free = free_note;
	loop_defer_free(&probe->test->loop, &probe->dead);
}

static void test_close_of_itself(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, close_itself);
	say(a, "x");
	run_turn(test);
	assert_string_equal(test->trace, "aF");
	assert_int_equal(a->io.fd, -1);
	run_turn(test);
	assert_string_equal(test->trace, "aF");
	loop_close_io(&test->loop, &a->io);
	loop_remove(&test->loop, &a->io);
}

static void close_and_reuse(struct probe *probe) {
	struct test *test = probe->test;
	int fd = probe->partner->io.fd;
	drain(probe);
	loop_close_io(&test->loop, &probe->partner->io);
	struct probe *fresh = probe_new(test, drain);
	assert_int_equal(fresh->io.fd, fd);
	probe->act = drain;
}

/*
 * The number of a closed descriptor is given out again at once: its old events are not the new
 * one's.
 */
static void test_number_reused_in_the_batch(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, close_and_reuse);
	struct probe *b = probe_new(test, NULL);
	a->partner = b;
	say(a, "x");
	say(b, "x");
	run_turn(test);
	assert_string_equal(test->trace, "a");
	struct probe *fresh = &test->probe[2];
	run_turn(test);
	assert_int_equal(fresh->calls, 0);
	say(fresh, "x");
	run_turn(test);
	assert_int_equal(fresh->calls, 1);
}

static void test_move(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	struct probe moved = {.test = test, .name = 'm', .act = drain};
	int fd = a->io.fd;
	say(a, "x");
	run_turn(test);
	forget(test);
	loop_move(&test->loop, &a->io, &moved.io, LOOP_IN, probe_run);
	assert_int_equal(a->io.fd, -1);
	assert_int_equal(moved.io.fd, fd);
	run_turn(test);
	say(a, "y");
	run_turn(test);
	assert_string_equal(test->trace, "mm");
	loop_close_io(&test->loop, &moved.io);
}

/*
 * Another process has a copy of the descriptor, so closing ours does not end what the kernel
 * reports.
 */
static void test_copy_of_a_closed_descriptor(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, drain);
	int number = a->io.fd;
	int copy = dup(number);
	assert_true(copy >= 0);
	loop_close_io(&test->loop, &a->io);
	say(a, "unread");
	run_turn(test);
	assert_int_equal(a->calls, 0);
	/* The number is given to another one, which has nothing to do with it. */
	int fds[2];
	struct probe next = {.test = test, .name = 'n', .act = drain};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(fds[0], number);
	assert_int_equal(loop_add(&test->loop, &next.io, number, 0, LOOP_IN, probe_run), 0);
	say(a, "nor to this one");
	run_turn(test);
	assert_int_equal(next.calls, 0);
	assert_int_equal(next.io.ready & LOOP_IN, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	run_turn(test);
	assert_int_equal(next.calls, 1);
	loop_close_io(&test->loop, &next.io);
	close(fds[1]);
	close(copy);
}

/* More descriptors than the table has room for at first. */
static void test_high_descriptor(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	struct probe high = {.test = test, .name = 'h', .act = drain};
	int fd = fcntl(a->io.fd, F_DUPFD_CLOEXEC, 700);
	assert_true(fd >= 700);
	loop_close_io(&test->loop, &a->io);
	assert_int_equal(loop_add(&test->loop, &high.io, fd, 0, LOOP_IN, probe_run), 0);
	struct probe *b = probe_new(test, drain);
	say(a, "x");
	run_turn(test);
	say(b, "y");
	run_turn(test);
	assert_string_equal(test->trace, "hb");
	loop_close_io(&test->loop, &high.io);
}

/* A hang-up is reported whether it is wanted or not; when nothing is, not in every turn. */
static void test_hang_up_that_nobody_wants(void **state) {
	struct test *test = *state;
	struct epoll_event event;
	struct probe *a = probe_new(test, NULL);
	struct probe level = {.test = test, .name = 'l'};
	int fd = dup(a->io.fd);
	assert_true(fd >= 0);
	loop_close_io(&test->loop, &a->io);
	assert_int_equal(loop_add_level(&test->loop, &level.io, fd, LOOP_IN, probe_run), 0);
	hang_up(a);
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "ll");
	loop_want(&test->loop, &level.io, 0);
	run_turn(test);
	assert_int_equal(epoll_wait(test->loop.epoll_fd, &event, 1, 0), 0);
	loop_close_io(&test->loop, &level.io);
	assert_string_equal(test->trace, "ll");
}

/*
 * Level-triggered: a reader that leaves something is asked again, and need not say what is used up.
 */
static void test_foreign_descriptor(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	struct probe foreign = {.test = test, .name = 'f', .act = read_once};
	int fd = dup(a->io.fd);
	assert_true(fd >= 0);
	loop_close_io(&test->loop, &a->io);
	assert_int_equal(loop_add_level(&test->loop, &foreign.io, fd, LOOP_IN, probe_run), 0);
	run_turn(test);
	say(a, "123");
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "f1f2");
	loop_want(&test->loop, &foreign.io, 0);
	run_turn(test);
	assert_int_equal(foreign.calls, 2);
	foreign.act = NULL;
	loop_want(&test->loop, &foreign.io, LOOP_OUT);
	run_turn(test);
	run_turn(test);
	assert_int_equal(foreign.calls, 4);
	foreign.act = read_once;
	loop_want(&test->loop, &foreign.io, LOOP_IN);
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "f1f2fff3");
	loop_remove(&test->loop, &foreign.io);
	say(a, "4");
	run_turn(test);
	assert_int_equal(foreign.calls, 5);
	char byte;
	assert_int_equal(read(fd, &byte, 1), 1); /* it is still open: it was never ours */
	close(fd);
}

static void remove_itself(struct probe *probe) {
	int fd = probe->io.fd;
	loop_remove(&probe->test->loop, &probe->io);
	close(fd);
}

/* A library closes its socket in the call that reported it. */
static void test_foreign_descriptor_ends_in_its_call(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	struct probe foreign = {.test = test, .name = 'f', .act = remove_itself};
	int fd = dup(a->io.fd);
	assert_true(fd >= 0);
	loop_close_io(&test->loop, &a->io);
	assert_int_equal(loop_add_level(&test->loop, &foreign.io, fd, LOOP_IN, probe_run), 0);
	say(a, "x");
	run_turn(test);
	run_turn(test);
	assert_int_equal(foreign.calls, 1);
	assert_int_equal(foreign.io.fd, -1);
}

static void test_descriptor_that_cannot_be_waited_for(void **state) {
	struct test *test = *state;
	struct probe probe = {.test = test};
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(loop_add(&test->loop, &probe.io, -1, 0, LOOP_IN, probe_run), -EBADF);
	assert_int_equal(loop_add(&test->loop, &probe.io, file, 0, LOOP_IN, probe_run), -EPERM);
	assert_int_equal(loop_add_level(&test->loop, &probe.io, file, LOOP_IN, probe_run), -EPERM);
	run_turn(test);
	assert_int_equal(probe.calls, 0);
	close(file);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_close_of_another_in_the_batch),
		LOOP_TEST(test_close_of_itself),
		LOOP_TEST(test_number_reused_in_the_batch),
		LOOP_TEST(test_move),
		LOOP_TEST(test_copy_of_a_closed_descriptor),
		LOOP_TEST(test_high_descriptor),
		LOOP_TEST(test_hang_up_that_nobody_wants),
		LOOP_TEST(test_foreign_descriptor),
		LOOP_TEST(test_foreign_descriptor_ends_in_its_call),
		LOOP_TEST(test_descriptor_that_cannot_be_waited_for),
	};
	return cmocka_run_group_tests_name("loop_descriptors", tests, NULL, NULL);
}
