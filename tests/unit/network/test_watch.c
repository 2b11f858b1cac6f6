/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Watching files, with a clock that the test moves (clock_gettime() is replaced by the linker, see
 * the Makefile).
 */
#include "network/watch.h"
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define PATHS 2

struct test {
	struct loop loop;
	struct deferred_free stopper;
	struct watch *watch;
	char folder[64];
	char path[PATHS][80];
	unsigned told;
};

static uint64_t shift_ms; /* how far the clock has been moved */

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
	int result = __real_clock_gettime(clock, out);
	out->tv_sec += (time_t)(shift_ms / 1000);
	return result;
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

/* One look at the files. */
static void pass_period(struct test *test) {
	shift_ms += WATCH_PERIOD_MS;
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static void changed(void *ctx) {
	struct test *test = ctx;
	test->told++;
}

static void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	snprintf(test->folder, sizeof(test->folder), "/tmp/websocksy-watch-XXXXXX");
	assert_non_null(mkdtemp(test->folder));
	const char *paths[PATHS];
	for(int i = 0; i < PATHS; i++) {
		snprintf(test->path[i], sizeof(test->path[i]), "%s/%d", test->folder, i);
		paths[i] = test->path[i];
	}
	write_file(test->path[0], "first");
	assert_int_equal(loop_open(&test->loop), 0);
	assert_int_equal(watch_open(&test->watch, &test->loop, changed, test), 0);
	assert_int_equal(watch_files(test->watch, PATHS, paths), 0);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	watch_close(test->watch);
	loop_close(&test->loop);
	for(int i = 0; i < PATHS; i++) {
		unlink(test->path[i]);
	}
	rmdir(test->folder);
	free(test);
	return 0;
}

static void test_nothing_changes(void **state) {
	struct test *test = *state;
	for(int i = 0; i < 5; i++) {
		pass_period(test);
	}
	assert_int_equal(test->told, 0);
}

/* Told once, when the files have not changed for a period. */
static void test_change_settles(void **state) {
	struct test *test = *state;
	write_file(test->path[0], "longer than the first");
	pass_period(test);
	write_file(test->path[1], "made");
	pass_period(test);
	assert_int_equal(test->told, 0);
	pass_period(test);
	assert_int_equal(test->told, 1);
	pass_period(test);
	pass_period(test);
	assert_int_equal(test->told, 1);
}

/* The same size, another file; a new mode; no file at all. */
static void test_kinds_of_change(void **state) {
	struct test *test = *state;
	write_file(test->path[1], "other");
	pass_period(test);
	pass_period(test);
	assert_int_equal(test->told, 1);
	assert_int_equal(rename(test->path[1], test->path[0]), 0);
	pass_period(test);
	pass_period(test);
	assert_int_equal(test->told, 2);
	assert_int_equal(chmod(test->path[0], 0640), 0);
	pass_period(test);
	pass_period(test);
	assert_int_equal(test->told, 3);
	assert_int_equal(unlink(test->path[0]), 0);
	pass_period(test);
	pass_period(test);
	assert_int_equal(test->told, 4);
}

/* A file that never rests is told all the same. */
static void test_changes_without_end(void **state) {
	struct test *test = *state;
	char text[16] = "";
	for(unsigned i = 0; i < 9; i++) {
		text[i] = 'x';
		write_file(test->path[0], text);
		pass_period(test);
	}
	assert_int_equal(test->told, 2);
}

/* A change that comes while the files are read is told as the next. */
static void changed_again(void *ctx) {
	struct test *test = ctx;
	if(test->told++ == 0) {
		write_file(test->path[0], "while it was read");
	}
}

static void test_change_while_told(void **state) {
	struct test *test = *state;
	const char *paths[] = {test->path[0]};
	watch_close(test->watch);
	assert_int_equal(watch_open(&test->watch, &test->loop, changed_again, test), 0);
	assert_int_equal(watch_files(test->watch, 1, paths), 0);
	write_file(test->path[0], "longer than the first");
	for(int i = 0; i < 5; i++) {
		pass_period(test);
	}
	assert_int_equal(test->told, 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change_settles, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kinds_of_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changes_without_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change_while_told, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
