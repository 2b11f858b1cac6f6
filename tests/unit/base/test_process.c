/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Processes: started, told about, ended, and nothing left of them.
 */
#include "own_clock.h"
#include "support.h"

#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000

struct test {
	struct loop loop;
	struct process_set set;
	struct process *process;
	int status; /* -1: it has not exited */
	int output; /* of the program */
	size_t idle;
};

static void set_is_idle(struct process_set *set) {
	struct test *test = container_of(set, struct test, set);
	test->idle++;
	test->loop.stop = true;
}

static void exited(void *ctx, int status) {
	struct test *test = ctx;
	test->status = status;
	process_end(test->process, SIGHUP, true);
}

static int start(struct test *test, const char *path, char *const *argv) {
	static char *environment[] = {"PATH=/usr/bin:/bin", "A=b", NULL};
	int fd[2];
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	struct spawn spawn = {.path = path,
		.argv = argv,
		.environment = environment,
		.fd = fd[1],
		.standard = 1u << STDOUT_FILENO};
	int result = process_start(&test->set, &spawn, &test->process);
	close(fd[1]);
	test->output = fd[0];
	test->status = -1;
	return result;
}

static int start_shell(struct test *test, const char *script) {
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
	return start(test, "/bin/sh", argv);
}

static void expect_output(struct test *test, const char *wanted) {
	char text[64] = "";
	size_t len = 0;
	ssize_t got;
	while(len < strlen(wanted) &&
		(got = read(test->output, text + len, sizeof(text) - 1 - len)) > 0) {
		len += (size_t)got;
	}
	assert_string_equal(text, wanted);
}

static void open_test(struct test *test) {
	*test = (struct test){.output = -1};
	assert_int_equal(loop_open(&test->loop), 0);
	process_set_init(&test->set, &test->loop);
	test->set.patience_ms = PATIENCE_MS;
	process_set_reserve(&test->set);
	test->set.idle = set_is_idle;
}

static void close_test(struct test *test) {
	process_set_close(&test->set);
	loop_close(&test->loop);
	close(test->output);
	errno = 0;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void run(struct test *test) {
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
	assert_int_equal(test->set.count, 0);
	assert_true(list_is_empty(&test->set.list));
}

static void test_exit_is_told(void **state) {
	struct test test;
	(void)state;
	open_test(&test);
	assert_int_equal(start_shell(&test, "echo $A; exit 3"), 0);
	process_watch(test.process, exited, &test);
	assert_int_equal(test.set.count, 1);
	run(&test);
	assert_true(WIFEXITED(test.status));
	assert_int_equal(WEXITSTATUS(test.status), 3);
	expect_output(&test, "b\n");
	assert_int_equal(test.idle, 1);
	close_test(&test);
}

static void test_failures_leave_nothing(void **state) {
	char *argv[] = {"x", NULL};
	struct test test;
	(void)state;
	open_test(&test);
	static const struct {
		const char *path;
		int result;
	} cases[] = {{"/nonexistent", -ENOENT}, {"/etc", -EACCES}, {"/etc/passwd", -EACCES}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		close(test.output);
		assert_int_equal(start(&test, cases[i].path, argv), cases[i].result);
		assert_int_equal(test.set.count, 0);
	}
	close_test(&test);
}

/* The whole group, and what of it outlives the process that was started. */
static void test_stubborn_group(void **state) {
	struct test test;
	(void)state;
	open_test(&test);
	assert_int_equal(start_shell(&test,
				 "trap 'echo H' HUP; trap 'echo T; exit' TERM; "
				 "(trap '' HUP TERM; echo in; while :; do sleep 0.01; done) & "
				 "while :; do sleep 0.01; done"),
		0);
	expect_output(&test, "in\n");
	stop_clock(&test.loop);
	process_end(test.process, SIGHUP, true);
	expect_output(&test, "H\n");
	pass(&test.loop, PATIENCE_MS);
	expect_output(&test, "T\n");
	pass(&test.loop, PATIENCE_MS);
	/* The other end of the pipe is closed by the last one. */
	char byte;
	assert_int_equal(read(test.output, &byte, 1), 0);
	while(test.set.count > 0) { /* until its new parent has reaped it, or patience ends */
		poll(NULL, 0, 1);
		pass(&test.loop, 100);
	}
	assert_int_equal(test.idle, 1);
	assert_int_equal(test.status, -1);
	start_clock();
	close_test(&test);
}

static void test_time_before_the_first_signal(void **state) {
	struct test test;
	(void)state;
	open_test(&test);
	assert_int_equal(start_shell(&test, "trap 'echo H' HUP; sleep 0.05; echo end"), 0);
	process_end(test.process, SIGHUP, false);
	run(&test);
	expect_output(&test, "end\n");
	close_test(&test);
}

static void test_kill_all(void **state) {
	struct test test;
	(void)state;
	open_test(&test);
	for(int i = 0; i < 3; i++) {
		close(test.output);
		assert_int_equal(start_shell(&test,
					 "trap '' HUP TERM; echo up; while :; do sleep 0.01; done"),
			0);
		expect_output(&test, "up\n");
		process_end(test.process, SIGHUP, true);
	}
	assert_int_equal(test.set.count, 3);
	process_set_kill(&test.set);
	run(&test);
	assert_int_equal(test.idle, 1);
	close_test(&test);
}

static void test_children_that_the_parent_ignored(void **state) {
	struct test test;
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	open_test(&test);
	assert_int_equal(start_shell(&test, "exit 7"), 0);
	process_watch(test.process, exited, &test);
	run(&test);
	assert_int_equal(WEXITSTATUS(test.status), 7);
	close_test(&test);
}

static void note_exit(void *ctx, int status) {
	struct test *test = ctx;
	test->status = status;
	test->loop.stop = true;
}

/* A process that leads a group with this number; -1: not permitted. */
static pid_t start_with_number(pid_t number) {
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if(pid == 0) {
		for(;;) {
			pause();
		}
	}
	if(pid > 0) {
		assert_int_equal(setpgid(pid, pid), 0);
	}
	return pid;
}

/* Another process of the group, which has outlived the first one, ends unnoticed. */
static void end_rest_of_group(struct test *test, pid_t group) {
	assert_int_equal(kill(-group, SIGKILL), 0);
	assert_true(waitpid(-group, NULL, 0) > 0);
	assert_int_equal(kill(-group, 0), -1);
	expect_output(test, "");
}

/* The owner lets it go late, when another group has the number. */
static void test_number_that_is_given_again(void **state) {
	struct test test;
	int status;
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for(int way = 0; way < 4; way++) {
		open_test(&test);
		assert_int_equal(start_shell(&test, way < 2 ? "exit 0" : "sleep 1000 & exit 0"), 0);
		process_watch(test.process, note_exit, &test);
		assert_int_equal(loop_run(&test.loop), 0);
		if(way >= 2) {
			end_rest_of_group(&test, process_pid(test.process));
		}
		pid_t other = start_with_number(process_pid(test.process));
		if(way % 2 == 0) {
			process_end(test.process, SIGTERM, true);
		} else {
			process_set_kill(&test.set);
		}
		if(other > 0) {
			/* It would be ended by the signal that came before. */
			kill(other, SIGSTOP);
			assert_int_equal(waitpid(other, &status, WUNTRACED), other);
			assert_true(WIFSTOPPED(status));
			kill(other, SIGKILL);
			assert_int_equal(waitpid(other, &status, 0), other);
		}
		close_test(&test);
		if(other < 0) {
			skip(); /* only root may choose the number */
		}
	}
}

static void test_find(void **state) {
	char *path = NULL;
	(void)state;
	setenv("PATH", "/nonexistent::relative:/etc:/bin", 1);
	assert_int_equal(spawn_find("sh", &path), 0);
	assert_string_equal(path, "/bin/sh");
	free(path);
	assert_int_equal(spawn_find("/bin/sh", &path), 0);
	assert_string_equal(path, "/bin/sh");
	free(path);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(spawn_find("bin/sh", &path), 0);
	assert_non_null(strstr(path, "/bin/sh"));
	free(path);
	assert_int_equal(spawn_find("passwd.no", &path), -ENOENT);
	assert_int_equal(spawn_find("/etc", &path), -EISDIR);
	assert_int_equal(spawn_find("/etc/passwd", &path), -EACCES);
	setenv("PATH", "/etc", 1);
	assert_int_equal(spawn_find("passwd", &path), -EACCES);
	setenv("PATH", "", 1);
	assert_int_equal(spawn_find("sh", &path), -ENOENT);
	unsetenv("PATH");
	assert_int_equal(spawn_find("sh", &path), 0);
	free(path);
}

static void test_status_text(void **state) {
	char text[PROCESS_STATUS_TEXT];
	(void)state;
	process_format_status(0, text);
	assert_string_equal(text, "exit status 0");
	process_format_status(3 << 8, text);
	assert_string_equal(text, "exit status 3");
	process_format_status(SIGKILL, text);
	assert_string_equal(text, "killed by signal 9 (Killed)");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_is_told),
		cmocka_unit_test(test_failures_leave_nothing),
		cmocka_unit_test(test_stubborn_group),
		cmocka_unit_test(test_time_before_the_first_signal),
		cmocka_unit_test(test_kill_all),
		cmocka_unit_test(test_children_that_the_parent_ignored),
		cmocka_unit_test(test_number_that_is_given_again),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_status_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
