/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: readiness, the run queue, priorities, tasks and deferred frees.
 */
#include "base/loop_bench.h"

struct deferred {
	struct deferred_free dead;
	struct test *test;
	unsigned freed;
};

static void free_again(struct deferred_free *dead) {
	struct deferred *deferred = container_of(dead, struct deferred, dead);
	if(++deferred->freed < ENDLESS) {
		loop_defer_free(&deferred->test->loop, dead);
	}
}

/* A free that is deferred by a deferred free waits for the end of the next turn. */
static void test_burial_while_freeing(void **state) {
	struct test *test = *state;
	struct deferred deferred = {.dead.free = free_again, .test = test};
	loop_defer_free(&test->loop, &deferred.dead);
	run_turn(test);
	assert_int_equal(deferred.freed, 1);
	run_turn(test);
	assert_int_equal(deferred.freed, 2);
	deferred.freed = ENDLESS;
	run_turn(test);
}

struct chore {
	struct loop_task task;
	struct test *test;
	int runs;
	int again; /* schedules itself so many times */
};

static void chore_run(struct loop_task *task) {
	struct chore *chore = container_of(task, struct chore, task);
	chore->runs++;
	if(chore->again > 0) {
		chore->again--;
		loop_next_turn(&chore->test->loop, task);
	}
}

/* A task that schedules itself runs once a turn, and one that is scheduled twice runs once. */
static void test_tasks_run_once_in_the_next_turn(void **state) {
	struct test *test = *state;
	struct chore chore = {.task.fn = chore_run, .test = test, .again = 2};
	struct chore cancelled = {.task.fn = chore_run, .test = test};
	loop_next_turn(&test->loop, &chore.task);
	loop_next_turn(&test->loop, &chore.task);
	loop_next_turn(&test->loop, &cancelled.task);
	loop_task_cancel(&cancelled.task);
	loop_task_cancel(&cancelled.task);
	for(int turn = 1; turn <= 4; turn++) {
		run_turn(test);
		assert_int_equal(chore.runs, turn < 3 ? turn : 3);
	}
	assert_int_equal(cancelled.runs, 0);
	assert_true(list_is_empty(&test->loop.tasks));
}

/* An io whose readiness is not used up runs again, once a turn, alternating with the others. */
static void test_ready_ios_take_turns(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	struct probe *b = probe_new(test, NULL);
	say(a, "x");
	say(b, "x");
	run_turn(test);
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "ababab");
	a->act = drain;
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace,
		"abababab"
		"b");
	assert_int_equal(b->calls, 5);
}

/* Computes for a quarter of the time that low priority has in one turn. */
static void compute(struct probe *probe) {
	(void)probe;
	shown->tv_nsec += LOOP_LOW_MS * 1000000 / 4;
}

/* Computes for longer than that. */
static void compute_long(struct probe *probe) {
	(void)probe;
	shown->tv_sec++;
}

/*
 * Ios of low priority run after the others and in turn among themselves, until their time in the
 * turn is over; without low priority they run with the others.
 */
static void test_low_priority_shares_a_turn(void **state) {
	struct test *test = *state;
	struct probe *probe[PROBES];
	struct timespec time = {.tv_sec = 1000};
	shown = &time;
	for(size_t i = 0; i < PROBES; i++) {
		probe[i] = probe_new(test, compute);
		say(probe[i], "x");
		loop_set_low_priority(&test->loop, &probe[i]->io, i < 6); /* a to f */
	}
	run_turn(test);
	assert_string_equal(test->trace, "ghabcd");
	forget(test);
	run_turn(test);
	assert_string_equal(test->trace, "ghefab");
	forget(test);
	loop_set_low_priority(&test->loop, &probe[2]->io, false);
	loop_set_low_priority(&test->loop, &probe[6]->io, true);
	loop_want(&test->loop, &probe[3]->io, 0);
	run_turn(test); /* still waiting: e f a b, and g at the end */
	assert_string_equal(test->trace, "hcefab");
	forget(test);
	loop_close_io(&test->loop, &probe[4]->io);
	run_turn(test);
	assert_string_equal(test->trace, "hcgfab");
}

/* One io of low priority that computes for long leaves no time for a second one in that turn. */
static void test_low_priority_is_limited_by_time(void **state) {
	struct test *test = *state;
	struct timespec time = {.tv_sec = 1000};
	shown = &time;
	for(size_t i = 0; i < 4; i++) {
		struct probe *probe = probe_new(test, i < 3 ? compute_long : NULL);
		say(probe, "x");
		loop_set_low_priority(&test->loop, &probe->io, i < 3); /* a to c */
	}
	for(size_t i = 0; i < 4; i++) {
		run_turn(test);
	}
	assert_string_equal(test->trace, "dadbdcda");
}

/*
 * One that makes itself light runs the next time with the others; the loop does not sleep on heavy
 * ones.
 */
static void become_light(struct probe *probe) {
	loop_set_low_priority(&probe->test->loop, &probe->io, false);
}

static void test_heavy_until_it_has_run(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, become_light);
	struct probe *b = probe_new(test, NULL);
	loop_set_low_priority(&test->loop, &a->io, true);
	say(a, "x");
	say(b, "x");
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace,
		"ba"
		"ba");
	assert_false(a->io.ready & LOOP_LOW);
}

/* Edge-triggered: after the proof that nothing is left only new data wakes it. */
static void test_used_up_until_something_new_comes(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, drain);
	run_turn(test);
	assert_int_equal(a->calls, 0);
	say(a, "x");
	run_turn(test);
	run_turn(test);
	assert_int_equal(a->calls, 1);
	say(a, "y");
	run_turn(test);
	assert_int_equal(a->calls, 2);
}

/*
 * Pausing loses nothing: what came meanwhile is known, and resuming needs no event of the kernel.
 */
static void test_pause_and_resume(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, drain);
	run_turn(test);
	loop_want(&test->loop, &a->io, 0);
	say(a, "x");
	run_turn(test);
	run_turn(test);
	assert_int_equal(a->calls, 0);
	assert_true(a->io.ready & LOOP_IN);
	loop_want(&test->loop, &a->io, LOOP_IN);
	run_turn(test);
	assert_int_equal(a->calls, 1);
	run_turn(test);
	assert_int_equal(a->calls, 1);
}

static void wake_partner(struct probe *probe) {
	drain(probe);
	loop_set_ready(&probe->test->loop, &probe->partner->io, LOOP_IN);
}

static void alarm_note(struct ev_timer *timer) {
	note(container_of(timer, struct alarm, timer)->test, 'T');
}

static void wake_and_defer(struct probe *probe) {
	wake_partner(probe);
	probe->dead.free = free_note;
	loop_defer_free(&probe->test->loop, &probe->dead);
}

/*
 * A turn is: events, timers, the dead list. What an event makes runnable waits for the next turn.
 */
static void test_order_of_a_turn(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, wake_and_defer);
	struct probe *b = probe_new(test, drain);
	struct alarm alarm = {.test = test};
	open_timer(test, &alarm, alarm_note);
	a->partner = b;
	loop_timer_set(&test->loop, &alarm.timer, test->loop.now_ms);
	say(a, "x");
	run_turn(test);
	assert_string_equal(test->trace, "aTF");
	run_turn(test);
	assert_string_equal(test->trace, "aTFb");
}

static void test_descriptor_that_can_be_written(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	run_turn(test);
	assert_int_equal(a->calls, 0);
	assert_int_equal(a->io.ready, LOOP_OUT);
	loop_want(&test->loop, &a->io, LOOP_OUT);
	run_turn(test);
	assert_int_equal(a->calls, 1);
	loop_used_up(&a->io, LOOP_OUT);
	run_turn(test);
	assert_int_equal(a->calls, 1);
}

/* What the owner knows at the start is believed without asking the kernel. */
static void test_ready_from_the_start(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, NULL);
	int fd = dup(a->io.fd);
	struct probe second = {.test = test, .name = 'z'};
	assert_true(fd >= 0);
	assert_int_equal(loop_add(&test->loop, &second.io, fd, LOOP_OUT, LOOP_OUT, probe_run), 0);
	assert_true(list_is_linked(&second.io.run));
	loop_close_io(&test->loop, &second.io);
	assert_false(list_is_linked(&second.io.run));
	run_turn(test);
	assert_int_equal(second.calls, 0);
}

/* A hang-up makes the reader run and nothing else: bytes that came before it are read first. */
static void test_hang_up_with_unread_bytes(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, read_once);
	say(a, "12");
	hang_up(a);
	for(int i = 0; i < 5; i++) {
		run_turn(test);
	}
	assert_string_equal(test->trace, "a1a2a.");
	assert_true(a->io.ready & LOOP_HUP);
}

static void test_half_close_is_a_hang_up_of_reading(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, read_once);
	assert_int_equal(shutdown(a->other, SHUT_WR), 0);
	run_turn(test);
	run_turn(test);
	assert_string_equal(test->trace, "a.");
	assert_true(a->io.ready & LOOP_HUP);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_ready_ios_take_turns),
		LOOP_TEST(test_low_priority_shares_a_turn),
		LOOP_TEST(test_low_priority_is_limited_by_time),
		LOOP_TEST(test_heavy_until_it_has_run),
		LOOP_TEST(test_used_up_until_something_new_comes),
		LOOP_TEST(test_pause_and_resume),
		LOOP_TEST(test_order_of_a_turn),
		LOOP_TEST(test_descriptor_that_can_be_written),
		LOOP_TEST(test_ready_from_the_start),
		LOOP_TEST(test_hang_up_with_unread_bytes),
		LOOP_TEST(test_half_close_is_a_hang_up_of_reading),
		LOOP_TEST(test_tasks_run_once_in_the_next_turn),
		LOOP_TEST(test_burial_while_freeing),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
