/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A loop with the sides of socket pairs in it, which count and note how often and in which order
 * they run. The clock is the test's (the linker puts its function in front, see the Makefile).
 */
#ifndef WEBSOCKSY_TESTS_LOOP_BENCH_H
#define WEBSOCKSY_TESTS_LOOP_BENCH_H
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

static inline void note(struct test *test, char letter) {
	assert_true(test->traced < TRACE_MAX - 1);
	test->trace[test->traced++] = letter;
	test->trace[test->traced] = '\0';
}

static inline void forget(struct test *test) {
	test->traced = 0;
	test->trace[0] = '\0';
}

static inline void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

/* Something on the dead list keeps the loop from waiting and is freed at the end of the turn. */
static inline void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static inline void probe_run(struct ev_io *io) {
	struct probe *probe = container_of(io, struct probe, io);
	probe->calls++;
	note(probe->test, probe->name);
	if(probe->act) {
		probe->act(probe);
	}
}

static inline struct probe *probe_new(struct test *test, void (*act)(struct probe *probe)) {
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

static inline void say(const struct probe *probe, const char *text) {
	assert_int_equal(write(probe->other, text, strlen(text)), strlen(text));
}

static inline void hang_up(struct probe *probe) {
	close(probe->other);
	probe->other = -1;
}

/* Reads everything and says so. */
static inline void drain(struct probe *probe) {
	char buffer[256];
	ssize_t got;
	do {
		got = read(probe->io.fd, buffer, sizeof(buffer));
	} while(got > 0);
	assert_true(got == 0 || errno == EAGAIN);
	loop_used_up(&probe->io, LOOP_IN);
}

static inline int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	test->random = 0x9e3779b9;
	assert_int_equal(loop_open(&test->loop), 0);
	*state = test;
	return 0;
}

static inline int tear_down(void **state) {
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

struct alarm {
	struct ev_timer timer;
	struct test *test;
	struct alarm *partner;
	uint64_t want_ms;
	bool armed;
	size_t fired;
};

static inline void open_timer(struct test *test, struct alarm *alarm, ev_timer_fn *fn) {
	assert_int_equal(loop_timer_open(&test->loop, &alarm->timer, fn), 0);
}

static inline void free_note(struct deferred_free *dead) {
	struct probe *probe = container_of(dead, struct probe, dead);
	note(probe->test, 'F');
	probe->test->freed++;
}

static inline void read_once(struct probe *probe) {
	char byte;
	ssize_t got = read(probe->io.fd, &byte, 1);
	note(probe->test, got == 1 ? byte : '.');
	if(got <= 0) {
		loop_want(&probe->test->loop, &probe->io, 0);
	}
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#endif
