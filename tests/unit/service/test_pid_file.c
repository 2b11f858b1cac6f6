/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The pid file: locking, taking over, and what is not used.
 */
#include "support.h"

#include "service/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char error[PID_FILE_ERROR_MAX];

static int set_up(void **state) {
	char template[] = "/tmp/websocksy-pid-XXXXXX";
	(void)state;
	return mkdtemp(template) && chdir(template) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
	char path[64];
	(void)state;
	unlink("pid");
	return getcwd(path, sizeof(path)) && rmdir(path) == 0 ? 0 : -1;
}

static long number_in(const char *path) {
	char text[32] = "";
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	return strtol(text, NULL, 10);
}

static void test_open_and_remove(void **state) {
	struct pid_file file = {0};
	(void)state;
	assert_int_equal(pid_file_open(&file, "pid", error), 0);
	assert_int_equal(number_in("pid"), getpid());
	assert_int_equal(fcntl(file.fd, F_GETFD), FD_CLOEXEC);
	pid_file_remove(&file);
	assert_int_equal(access("pid", F_OK), -1);
	pid_file_remove(&file);
}

static void test_second(void **state) {
	struct pid_file first = {0}, second = {0};
	char expected[64];
	(void)state;
	assert_int_equal(pid_file_open(&first, "pid", error), 0);
	assert_int_equal(pid_file_open(&second, "pid", error), -EBUSY);
	snprintf(
		expected, sizeof(expected), "is locked by the running process %ld", (long)getpid());
	assert_string_equal(error, expected);
	assert_int_equal(truncate("pid", 0), 0);
	assert_int_equal(pid_file_open(&second, "pid", error), -EBUSY);
	assert_string_equal(error, "is locked by another process");
	pid_file_remove(&first);
	assert_int_equal(pid_file_open(&second, "pid", error), 0);
	pid_file_remove(&second);
}

/* A child has a copy of the descriptor, and the lock is that of both until it gives it up. */
static void test_child(void **state) {
	struct pid_file file = {0};
	int status;
	(void)state;
	assert_int_equal(pid_file_open(&file, "pid", error), 0);
	pid_t pid = fork();
	if(pid == 0) {
		pid_file_forget(&file);
		_exit(file.fd == 0 && access("pid", F_OK) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	struct pid_file second = {0};
	assert_int_equal(pid_file_open(&second, "pid", error), -EBUSY);
	pid_file_remove(&file);
}

/* The directory is seen from another root. */
static void test_other_root(void **state) {
	struct pid_file file = {0};
	char path[64];
	(void)state;
	assert_non_null(getcwd(path, sizeof(path) - 4));
	char *end = path + strlen(path);
	strcpy(end, "/pid");
	assert_int_equal(pid_file_open(&file, path, error), 0);
	*end = '\0';
	pid_file_enter_root(&file, path);
	assert_string_equal(file.path, "/pid");
	pid_file_remove(&file); /* is not found under that name, and becomes empty */
	struct stat status;
	assert_int_equal(stat("pid", &status), 0);
	assert_int_equal(status.st_size, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_and_remove, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_child, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_root, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
