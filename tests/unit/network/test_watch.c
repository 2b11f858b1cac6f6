/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watching files, while events come in faster than they are read: read() is ours (the linker puts it in front, see
 * the Makefile).
 */
#include "base/loop.h"
#include "network/watch.h"
#include "support.h"

#include <sys/inotify.h>

#define ENDLESS 1000 /* events that come in a row */

struct test {
	struct loop loop;
	struct deferred_free stopper;
};

static unsigned events_read;
static unsigned events_left;

ssize_t __real_read(int fd, void *data, size_t cap);
ssize_t __wrap_read(int fd, void *data, size_t cap);

ssize_t __wrap_read(int fd, void *data, size_t cap) {
	static const struct inotify_event event = {.wd = -1, .mask = IN_IGNORED};
	if(events_left == 0) {
		return __real_read(fd, data, cap);
	}
	events_left--;
	events_read++;
	memcpy(data, &event, sizeof(event));
	return sizeof(event);
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

static void changed(void *ctx) {
	(void)ctx;
	fail();
}

/* Others have their turns between events that never end, and all of them are read. */
static void test_events_without_end(void **unused) {
	struct test test = {0};
	struct watch *watch;
	(void)unused;
	assert_int_equal(loop_open(&test.loop), 0);
	assert_int_equal(watch_open(&watch, &test.loop, changed, NULL), 0);
	events_left = ENDLESS;
	run_turn(&test);
	assert_true(events_read > 0 && events_read < ENDLESS / 2);
	for(int turn = 1; turn < ENDLESS; turn++) {
		run_turn(&test);
	}
	assert_int_equal(events_read, ENDLESS);
	watch_close(watch);
	loop_close(&test.loop);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_without_end),
	};
	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
