/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The timers of the event loop, against a sorted array.
 */
#include "base/loop_bench.h"

static uint32_t draw(struct test *test, uint32_t below) {
	test->random = test->random * 1664525 + 1013904223;
	return (test->random >> 8) % below;
}

static struct {
	uint64_t due_ms[2 * TIMERS];
	size_t count;
} fired;

static void alarm_run(struct ev_timer *timer) {
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	assert_true(alarm->armed);
	assert_int_equal(timer->slot, 0);
	assert_int_equal(timer->due_ms, alarm->want_ms);
	alarm->armed = false;
	alarm->fired++;
	fired.due_ms[fired.count++] = timer->due_ms;
}

static void alarm_change(struct test *test, struct alarm *alarm) {
	if(draw(test, 4) == 0) {
		loop_timer_cancel(&test->loop, &alarm->timer);
		alarm->armed = false;
		return;
	}
	/* Few different times, so that many are equal; all have passed. */
	alarm->want_ms = test->loop.now_ms - draw(test, 100);
	alarm->armed = true;
	loop_timer_set(&test->loop, &alarm->timer, alarm->want_ms);
}

static int compare_times(const void *left, const void *right) {
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

static void check_slots(const struct test *test, const struct alarm *alarms, size_t armed) {
	assert_int_equal(test->loop.timers.armed, armed);
	for(size_t i = 0; i < TIMERS; i++) {
		assert_true(alarms[i].armed == (alarms[i].timer.slot != 0));
		if(alarms[i].armed) {
			assert_ptr_equal(
				test->loop.timers.heap[alarms[i].timer.slot], &alarms[i].timer);
		}
	}
}

static void test_timers_against_a_sorted_array(void **state) {
	struct test *test = *state;
	static struct alarm alarms[TIMERS];
	uint64_t want[TIMERS];
	for(int round = 0; round < 40; round++) {
		size_t armed = 0;
		fired.count = 0;
		for(size_t i = 0; i < TIMERS; i++) {
			alarms[i] = (struct alarm){.test = test};
			open_timer(test, &alarms[i], alarm_run);
		}
		for(int change = 0; change < 5 * TIMERS; change++) {
			alarm_change(test, &alarms[draw(test, TIMERS)]);
		}
		for(size_t i = 0; i < TIMERS; i++) {
			if(alarms[i].armed) {
				want[armed++] = alarms[i].want_ms;
			}
		}
		check_slots(test, alarms, armed);
		qsort(want, armed, sizeof(want[0]), compare_times);
		run_turn(test);
		assert_int_equal(fired.count, armed);
		assert_memory_equal(fired.due_ms, want, armed * sizeof(want[0]));
		check_slots(test, alarms, 0);
		for(size_t i = 0; i < TIMERS; i++) {
			loop_timer_close(&test->loop, &alarms[i].timer);
		}
	}
}

static void alarm_disarm_partner(struct ev_timer *timer) {
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	alarm->fired++;
	loop_timer_cancel(&alarm->test->loop, &alarm->partner->timer);
}

/* Of two timers that are due together the first cancels the second. */
static void test_timer_cancels_another_that_is_due(void **state) {
	struct test *test = *state;
	struct alarm first = {.test = test};
	struct alarm second = {.test = test, .partner = &first};
	open_timer(test, &first, alarm_disarm_partner);
	open_timer(test, &second, alarm_disarm_partner);
	first.partner = &second;
	loop_timer_set(&test->loop, &first.timer, test->loop.now_ms - 2);
	loop_timer_set(&test->loop, &second.timer, test->loop.now_ms - 1);
	run_turn(test);
	assert_int_equal(first.fired, 1);
	assert_int_equal(second.fired, 0);
	assert_int_equal(test->loop.timers.armed, 0);
}

static void alarm_again(struct ev_timer *timer) {
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	struct loop *loop = &alarm->test->loop;
	assert_true(loop->now_ms >= timer->due_ms);
	if(++alarm->fired < 3) {
		loop_timer_set(loop, timer, loop->now_ms + 3);
	} else {
		loop->stop = true;
	}
}

static void alarm_for_now(struct ev_timer *timer) {
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	struct loop *loop = &alarm->test->loop;
	if(++alarm->fired < ENDLESS) {
		loop_timer_set(loop, timer, loop->now_ms - 5);
	}
}

/*
 * A timer that arms itself for what has passed runs once in a turn, and does not get in front of
 * others.
 */
static void test_timer_for_now_in_a_timer(void **state) {
	struct test *test = *state;
	struct alarm first = {.test = test};
	struct alarm second = {.test = test};
	open_timer(test, &first, alarm_for_now);
	open_timer(test, &second, alarm_for_now);
	loop_timer_set(&test->loop, &first.timer, test->loop.now_ms - 2);
	loop_timer_set(&test->loop, &second.timer, test->loop.now_ms - 1);
	run_turn(test);
	assert_int_equal(first.fired, 1);
	assert_int_equal(second.fired, 1);
	assert_true(first.timer.due_ms > test->loop.now_ms);
	while(first.fired < 3 || second.fired < 3) {
		run_turn(test);
	}
	loop_timer_cancel(&test->loop, &first.timer);
	loop_timer_cancel(&test->loop, &second.timer);
}

/* Without anything else the loop sleeps until a timer is due, never less. */
static void test_timer_in_the_future(void **state) {
	struct test *test = *state;
	struct alarm alarm = {.test = test};
	open_timer(test, &alarm, alarm_again);
	uint64_t start_ms = test->loop.now_ms;
	loop_timer_set(&test->loop, &alarm.timer, start_ms + 3);
	run_turn(test);
	assert_int_equal(alarm.fired, 0);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
	assert_int_equal(alarm.fired, 3);
	assert_true(test->loop.now_ms >= start_ms + 9);
}

/*
 * Opening reserves the place, so arming any number of open timers allocates nothing and cannot
 * fail.
 */
static void test_arming_allocates_nothing(void **state) {
	struct test *test = *state;
	static struct alarm alarms[TIMERS];
	for(size_t i = 0; i < TIMERS; i++) {
		alarms[i] = (struct alarm){.test = test};
		open_timer(test, &alarms[i], alarm_run);
	}
	struct ev_timer **heap = test->loop.timers.heap;
	assert_int_equal(test->loop.timers.open, TIMERS);
	assert_true(test->loop.timers.cap > TIMERS);
	for(size_t i = 0; i < TIMERS; i++) {
		loop_timer_set(&test->loop, &alarms[i].timer, test->loop.now_ms + 1000 + i);
	}
	assert_ptr_equal(test->loop.timers.heap, heap);
	for(size_t i = 0; i < TIMERS; i++) {
		loop_timer_close(&test->loop, &alarms[i].timer);
		loop_timer_close(&test->loop, &alarms[i].timer);
	}
	assert_int_equal(test->loop.timers.armed, 0);
	assert_int_equal(test->loop.timers.open, 0);
}

static void test_cancelling_an_idle_timer(void **state) {
	struct test *test = *state;
	struct alarm alarm = {0};
	open_timer(test, &alarm, alarm_run);
	loop_timer_cancel(&test->loop, &alarm.timer);
	assert_int_equal(test->loop.timers.armed, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_timers_against_a_sorted_array),
		LOOP_TEST(test_timer_cancels_another_that_is_due),
		LOOP_TEST(test_timer_for_now_in_a_timer),
		LOOP_TEST(test_timer_in_the_future),
		LOOP_TEST(test_cancelling_an_idle_timer),
		LOOP_TEST(test_arming_allocates_nothing),
	};
	return cmocka_run_group_tests_name("loop_timer", tests, NULL, NULL);
}
