/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: timers against a sorted array, the order of a turn, readiness in user space,
 * closing inside a batch, descriptors of libraries, signals. Every test steps through single turns.
 */
#include "base/loop.h"
#include "base/loop_signals.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define TIMERS 300
#define PROBES 8
#define TRACE_MAX 64
#define ENDLESS 1000 /* so often something goes on by itself that must not be let */

/* What the clock shows; NULL: the time. */
static struct timespec *shown;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
	if(!shown) {
		return __real_clock_gettime(clock, now);
	}
	*now = *shown;
	return 0;
}

struct test;

/* One side of a socket pair in the loop; `act` is what its function does besides being counted. */
struct probe {
	struct ev_io io;
	struct deferred_free dead;
	struct test *test;
	char name;
	int other; /* the side that the test writes to */
	unsigned calls;
	void (*act)(struct probe *probe);
	struct probe *partner;
};

struct test {
	struct loop loop;
	struct deferred_free stopper;
	struct probe probe[PROBES];
	size_t probes;
	char trace[TRACE_MAX]; /* one letter for each thing that happened, in order */
	size_t traced;
	unsigned freed;
	uint32_t random;
};

static void note(struct test *test, char letter) {
	assert_true(test->traced < TRACE_MAX - 1);
	test->trace[test->traced++] = letter;
	test->trace[test->traced] = '\0';
}

static void forget(struct test *test) {
	test->traced = 0;
	test->trace[0] = '\0';
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

/* Something on the dead list keeps the loop from waiting and is freed at the end of the turn. */
static void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static void probe_run(struct ev_io *io) {
	struct probe *probe = container_of(io, struct probe, io);
	probe->calls++;
	note(probe->test, probe->name);
	if(probe->act) {
		probe->act(probe);
	}
}

static struct probe *probe_new(struct test *test, void (*act)(struct probe *probe)) {
	int fds[2];
	assert_true(test->probes < PROBES);
	struct probe *probe = &test->probe[test->probes];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*probe = (struct probe){.test = test, .name = (char)('a' + test->probes), .other = fds[1]};
	probe->act = act;
	test->probes++;
	assert_int_equal(loop_add(&test->loop, &probe->io, fds[0], 0, LOOP_IN, probe_run), 0);
	return probe;
}

static void say(const struct probe *probe, const char *text) {
	assert_int_equal(write(probe->other, text, strlen(text)), strlen(text));
}

static void hang_up(struct probe *probe) {
	close(probe->other);
	probe->other = -1;
}

/* Reads everything and says so. */
static void drain(struct probe *probe) {
	char buffer[256];
	ssize_t got;
	do {
		got = read(probe->io.fd, buffer, sizeof(buffer));
	} while(got > 0);
	assert_true(got == 0 || errno == EAGAIN);
	loop_used_up(&probe->io, LOOP_IN);
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	test->random = 0x9e3779b9;
	assert_int_equal(loop_open(&test->loop), 0);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	shown = NULL;
	for(size_t i = 0; i < test->probes; i++) {
		loop_close_io(&test->loop, &test->probe[i].io);
		if(test->probe[i].other >= 0) {
			close(test->probe[i].other);
		}
	}
	loop_close(&test->loop);
	free(test);
	return 0;
}

/* ---- timers ---- */

struct alarm {
	struct ev_timer timer;
	struct test *test;
	struct alarm *partner;
	uint64_t want_ms;
	bool armed;
	size_t fired;
};

static uint32_t draw(struct test *test, uint32_t below) {
	test->random = test->random * 1664525 + 1013904223;
	return (test->random >> 8) % below;
}

static struct {
	uint64_t due_ms[2 * TIMERS];
	size_t count;
} fired;

static void open_timer(struct test *test, struct alarm *alarm, ev_timer_fn *fn) {
	assert_int_equal(loop_timer_open(&test->loop, &alarm->timer, fn), 0);
}

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

struct burial {
	struct deferred_free dead;
	struct test *test;
	unsigned freed;
};

static void bury_again(struct deferred_free *dead) {
	struct burial *burial = container_of(dead, struct burial, dead);
	if(++burial->freed < ENDLESS) {
		loop_defer_free(&burial->test->loop, dead);
	}
}

/* What is buried by something that is being freed waits for the end of the next turn. */
static void test_burial_while_freeing(void **state) {
	struct test *test = *state;
	struct burial burial = {.dead.free = bury_again, .test = test};
	loop_defer_free(&test->loop, &burial.dead);
	run_turn(test);
	assert_int_equal(burial.freed, 1);
	run_turn(test);
	assert_int_equal(burial.freed, 2);
	burial.freed = ENDLESS;
	run_turn(test);
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

static void test_cancelling_an_idle_timer(void **state) {
	struct test *test = *state;
	struct alarm alarm = {0};
	open_timer(test, &alarm, alarm_run);
	loop_timer_cancel(&test->loop, &alarm.timer);
	assert_int_equal(test->loop.timers.armed, 0);
}

/* ---- readiness and the run queue ---- */

/* What is not used up runs again, once a turn, in turn with the others. */
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

static void bury_note(struct deferred_free *dead) {
	struct probe *probe = container_of(dead, struct probe, dead);
	note(probe->test, 'F');
	probe->test->freed++;
}

static void wake_and_bury(struct probe *probe) {
	wake_partner(probe);
	probe->dead.free = bury_note;
	loop_defer_free(&probe->test->loop, &probe->dead);
}

/*
 * A turn is: events, timers, the dead list. What an event makes runnable waits for the next turn.
 */
static void test_order_of_a_turn(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, wake_and_bury);
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

/* ---- hang-up ---- */

static void read_once(struct probe *probe) {
	char byte;
	ssize_t got = read(probe->io.fd, &byte, 1);
	note(probe->test, got == 1 ? byte : '.');
	if(got <= 0) {
		loop_want(&probe->test->loop, &probe->io, 0);
	}
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

/* ---- closing inside a batch ---- */

static void close_partner(struct probe *probe) {
	struct test *test = probe->test;
	drain(probe);
	loop_close_io(&test->loop, &probe->partner->io);
	probe->partner->dead.free = bury_note;
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
	probe->dead.free = bury_note;
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

/* ---- moving a registration ---- */

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

/* ---- registrations that outlive their io ---- */

/* Somebody has a copy of the descriptor, so closing ours does not end what the kernel reports. */
static void test_copy_of_a_closed_descriptor(void **state) {
	struct test *test = *state;
	struct probe *a = probe_new(test, drain);
	int number = a->io.fd;
	int copy = dup(number);
	assert_true(copy >= 0);
	loop_close_io(&test->loop, &a->io);
	say(a, "to nobody");
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

/* ---- descriptors of libraries ---- */

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

/* ---- errors, signals ---- */

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

/* ---- rings ---- */

static void test_ring(void **unused) {
	(void)unused;
	struct list head;
	struct list node[3] = {{0}};
	list_init(&head);
	for(int i = 0; i < 3; i++) {
		assert_false(list_is_linked(&node[i]));
		list_append(&head, &node[i]);
		assert_true(list_is_linked(&node[i]));
	}
	list_remove(&node[1]);
	assert_false(list_is_linked(&node[1]));
	assert_ptr_equal(head.next, &node[0]);
	assert_ptr_equal(node[0].next, &node[2]);
	assert_ptr_equal(head.prev, &node[2]);
	list_remove(&node[0]);
	list_remove(&node[2]);
	assert_ptr_equal(head.next, &head);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_timers_against_a_sorted_array),
		LOOP_TEST(test_timer_cancels_another_that_is_due),
		LOOP_TEST(test_timer_for_now_in_a_timer),
		LOOP_TEST(test_burial_while_freeing),
		LOOP_TEST(test_timer_in_the_future),
		LOOP_TEST(test_cancelling_an_idle_timer),
		LOOP_TEST(test_arming_allocates_nothing),
		LOOP_TEST(test_tasks_run_once_in_the_next_turn),
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
		LOOP_TEST(test_signals),
		LOOP_TEST(test_signals_without_end),
		LOOP_TEST(test_equal_signals),
		LOOP_TEST(test_signal_that_cannot_be_read),
		cmocka_unit_test(test_ring),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
