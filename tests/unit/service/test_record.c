/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The recorder: order, the limits of its queue, errors of the disk. Writing to files can be held up and
 * made fail (the linker puts write() in front, see the Makefile).
 */
#include "support.h"

#include "service/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define MIB ((size_t)1 << 20)

static char directory[] = "/tmp/websocksy-recorder-XXXXXX";

/* What writing to a file does. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held; /* it waits */
	int error; /* it fails */
} disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

ssize_t __wrap_write(int fd, const void *data, size_t len) {
	struct stat status;
	if(fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		return __real_write(fd, data, len);
	}
	pthread_mutex_lock(&disk.lock);
	while(disk.held) {
		pthread_cond_wait(&disk.changed, &disk.lock);
	}
	int error = disk.error;
	pthread_mutex_unlock(&disk.lock);
	errno = error;
	return error ? -1 : __real_write(fd, data, len);
}

static void set_disk(bool held, int error) {
	pthread_mutex_lock(&disk.lock);
	disk.held = held;
	disk.error = error;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
}

struct test {
	struct loop loop;
	struct recorder *recorder;
	unsigned failures;
	uint64_t id; /* of the last failure */
	int error;
};

static void failed(void *ctx, const struct record_about *about, int error) {
	struct test *test = ctx;
	test->failures++;
	test->id = about->id;
	test->error = error;
	test->loop.stop = true;
}

static void begin(struct test *test) {
	memset(test, 0, sizeof(*test));
	set_disk(false, 0);
	assert_int_equal(loop_open(&test->loop), 0);
	assert_int_equal(recorder_open(&test->recorder, &test->loop, failed, test), 0);
}

static void end(struct test *test) {
	recorder_close(test->recorder);
	loop_close(&test->loop);
}

static void record(struct test *test, uint64_t id) {
	char template[64];
	const struct record_about about = {.id = id};
	snprintf(template, sizeof(template), "%s/%%i", directory);
	assert_int_equal(recorder_begin(test->recorder, template, RECORD_NOVNC, &about), 0);
}

static int add(struct test *test, uint64_t id, const void *data, size_t len, bool last) {
	const struct record_part part = {true, last, 2, data, len};
	return recorder_add(test->recorder, id, &part);
}

static int say(struct test *test, uint64_t id, bool from_client, const char *text) {
	const struct record_part part = {from_client, true, 2, text, strlen(text)};
	return recorder_add(test->recorder, id, &part);
}

/* The file without times; it is removed. */
static const char *take(unsigned id) {
	static char text[512];
	char name[32];
	size_t used = 0;
	snprintf(name, sizeof(name), "%u", id);
	FILE *file = fopen(name, "r");
	assert_non_null(file);
	for(int c = fgetc(file), before = 0; c != EOF && used < sizeof(text) - 1; c = fgetc(file)) {
		if(!(c >= '0' && c <= '9' && (before == '{' || before == '}'))) {
			text[used++] = (char)c;
			before = c;
		}
	}
	fclose(file);
	text[used] = '\0';
	assert_int_equal(unlink(name), 0);
	return text;
}

/* Returns when the thread has done all there is. */
static void settle(struct test *test) {
	struct stat status = {0};
	record(test, 9999);
	recorder_end(test->recorder, 9999);
	char name[] = "9999";
	/* The beginning and the end of a file without messages. */
	while(stat(name, &status) < 0 || status.st_size < 23 + 8) {
		sched_yield();
	}
	unlink(name);
}

static void test_order_and_parts(void **state) {
	struct test test;
	(void)state;
	begin(&test);
	record(&test, 1);
	record(&test, 1025); /* in the same bucket */
	assert_int_equal(say(&test, 1, false, "a"), 0);
	assert_int_equal(add(&test, 1, "b", 1, false), 0);
	assert_int_equal(say(&test, 1025, true, "other"), 0);
	assert_int_equal(say(&test, 1, false, "c"), 0); /* between the parts of a message */
	assert_int_equal(add(&test, 1, "", 0, false), 0);
	assert_int_equal(add(&test, 1, "d", 1, true), 0);
	recorder_end(test.recorder, 1);
	recorder_end(test.recorder, 1);
	assert_int_not_equal(say(&test, 1, true, "nothing more"), 0);
	end(&test); /* ends the other one too */
	assert_string_equal(take(1), "var VNC_frame_data = [\n'{{a',\n'{{c',\n'}}bd',\n'EOF'];\n");
	assert_string_equal(take(1025), "var VNC_frame_data = [\n'}}other',\n'EOF'];\n");
	assert_int_equal(test.failures, 0);
}

/* Its connection goes on; the others' recordings too. */
static void test_limit_of_one(void **state) {
	struct test test;
	uint8_t *block = calloc(1, MIB);
	(void)state;
	assert_non_null(block);
	begin(&test);
	set_disk(true, 0);
	record(&test, 1);
	record(&test, 2);
	for(size_t used = 0; used + MIB <= RECORD_QUEUE_MAX; used += MIB) {
		assert_int_equal(add(&test, 1, block, MIB, true), 0);
	}
	assert_int_equal(say(&test, 1, true, "x"), -ENOBUFS);
	assert_string_equal(recorder_error(-ENOBUFS), "the disk is too slow");
	assert_int_equal(say(&test, 2, true, "x"), 0);
	set_disk(false, ENOSPC); /* the blocks need not be written */
	end(&test);
	unlink("1");
	unlink("2");
	free(block);
}

static void test_limit_of_all(void **state) {
	struct test test;
	uint8_t *block = calloc(1, 4 * MIB);
	uint64_t id = 0;
	(void)state;
	assert_non_null(block);
	begin(&test);
	set_disk(true, 0);
	for(size_t used = 0; used + 4 * MIB <= RECORD_QUEUE_TOTAL; used += 4 * MIB) {
		if(used % RECORD_QUEUE_MAX == 0) {
			record(&test, ++id);
		}
		assert_int_equal(add(&test, id, block, 4 * MIB, true), 0);
	}
	record(&test, 100);
	assert_int_equal(say(&test, 100, true, "x"), -ENOBUFS);
	set_disk(false, ENOSPC);
	end(&test);
	for(; id > 0; id--) {
		char name[32];
		snprintf(name, sizeof(name), "%u", (unsigned)id);
		unlink(name);
	}
	unlink("100");
	free(block);
}

/* A message in parts is kept until it is complete, up to a limit. */
static void test_limit_of_a_message(void **state) {
	struct test test;
	size_t size = RECORD_QUEUE_MAX;
	uint8_t *block = calloc(1, size);
	(void)state;
	assert_non_null(block);
	begin(&test);
	record(&test, 1);
	for(size_t used = 0; used < RECORD_MESSAGE_MAX; used += size) {
		assert_int_equal(add(&test, 1, block, size, false), 0);
		settle(&test);
	}
	assert_int_equal(add(&test, 1, "x", 1, false), 0);
	assert_int_equal(loop_run(&test.loop), 0);
	assert_int_equal(test.error, -EMSGSIZE);
	assert_string_equal(recorder_error(-EMSGSIZE), "a message is too large");
	end(&test);
	assert_string_equal(take(1), "var VNC_frame_data = [\n'EOF'];\n");
	free(block);
}

static void test_error_of_the_disk(void **state) {
	struct test test;
	(void)state;
	begin(&test);
	record(&test, 1);
	record(&test, 2);
	assert_int_equal(say(&test, 1, true, "before"), 0);
	settle(&test);
	set_disk(false, EIO);
	assert_int_equal(say(&test, 1, true, "lost"), 0);
	assert_int_equal(loop_run(&test.loop), 0);
	assert_int_equal(test.failures, 1);
	assert_int_equal(test.id, 1);
	assert_int_equal(test.error, -EIO);
	set_disk(false, 0);
	assert_int_equal(say(&test, 1, true, "lost"), 1); /* it has been reported */
	assert_int_not_equal(say(&test, 1, true, "lost"), 0);
	assert_int_equal(say(&test, 2, true, "other"), 0);
	end(&test);
	assert_int_equal(test.failures, 1);
	assert_string_equal(take(1), "var VNC_frame_data = [\n'}}before',\n");
	assert_string_equal(take(2), "var VNC_frame_data = [\n'}}other',\n'EOF'];\n");
}

/* The number that is reported is that of the connection, also at the very end. */
static void test_directory_that_is_missing(void **state) {
	struct test test;
	const struct record_about about = {.id = 7};
	(void)state;
	begin(&test);
	assert_int_equal(
		recorder_begin(test.recorder, "/nonexistent/%i", RECORD_PCAPNG, &about), 0);
	end(&test);
	assert_int_equal(test.failures, 1);
	assert_int_equal(test.id, 7);
	assert_int_equal(test.error, -ENOENT);
}

static void test_no_recording_no_thread(void **state) {
	struct test test;
	(void)state;
	begin(&test);
	recorder_end(test.recorder, 1);
	assert_int_not_equal(say(&test, 1, true, "x"), 0);
	end(&test);
	recorder_close(NULL);
}

static int set_up(void **state) {
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
	(void)state;
	return rmdir(directory);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_parts),
		cmocka_unit_test(test_limit_of_one),
		cmocka_unit_test(test_limit_of_all),
		cmocka_unit_test(test_limit_of_a_message),
		cmocka_unit_test(test_error_of_the_disk),
		cmocka_unit_test(test_directory_that_is_missing),
		cmocka_unit_test(test_no_recording_no_thread),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
