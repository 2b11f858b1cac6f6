/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The log: levels, form of a line in the journal and elsewhere, control characters, long lines, a
 * pipe, terminal or file as standard error.
 */
#include "base/log.h"

#include "log_capture.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

static int reset(void **state) {
	(void)state;
	log_set_level(LOG_INFO);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

static void test_names(void **state) {
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	(void)state;
	for(int level = 0; level < LOG_LEVELS; level++) {
		assert_string_equal(log_level_name((enum log_level)level), names[level]);
		assert_int_equal(log_parse_level(names[level]), level);
	}
	assert_int_equal(log_parse_level(""), -EINVAL);
	assert_int_equal(log_parse_level("Info"), -EINVAL);
	assert_int_equal(log_parse_level("infos"), -EINVAL);
}

static void test_levels(void **state) {
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	pretend_journal();
	for(int limit = 0; limit < LOG_LEVELS; limit++) {
		log_set_level((enum log_level)limit);
		for(int level = 0; level < LOG_LEVELS; level++) {
			assert_int_equal(log_enabled((enum log_level)level), level <= limit);
			log_write((enum log_level)level, "line %d", level);
			const char *text = capture_read(&capture);
			char expected[32] = "";
			if(level <= limit) {
				snprintf(expected, sizeof(expected), "<%d>line %d\n", level + 3,
					level);
			}
			assert_string_equal(text, expected);
		}
	}
	capture_stop(&capture);
}

/* "2026-11-20T21:27:27.123Z level: text" */
static void test_time_stamp(void **state) {
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ warning: hello\n";
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	setenv("JOURNAL_STREAM", "1:1", 1); /* that of another process */
	log_open();
	log_write(LOG_WARNING, "%s", "hello");
	const char *text = capture_read(&capture);
	capture_stop(&capture);
	assert_int_equal(strlen(text), strlen(form));
	for(size_t at = 0; form[at] != '\0'; at++) {
		bool digit = form[at] == 'd' && at < strlen("dddd-dd-ddTdd:dd:dd.ddd");
		if(digit) {
			assert_in_range(text[at], '0', '9');
		} else {
			assert_int_equal(text[at], form[at]);
		}
	}
}

static void test_controls(void **state) {
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	pretend_journal();
	log_write(LOG_ERROR, "%s",
		"a\nb\r\t\x1b[1m\x7f|\xc3\xa4|\xc2\x9b|\xc2\xa1|\x9b"
		"1m|\xff\xc3|\xc0\xaf|\xe2\x82\xac\xe2\x82");
	assert_string_equal(capture_read(&capture),
		"<3>a?b???[1m?|\xc3\xa4|\?\?|\xc2\xa1|?1m|\?\?|\?\?|\xe2\x82\xac\?\?\n");
	capture_stop(&capture);
}

/* Text that is shown in another order, or that tools split, must not forge a line. */
static void test_hidden_characters(void **state) {
	static const struct {
		const char *text;
		const char *shown;
	} rows[] = {
		{"a\u202eb", "a\\u{202e}b"},
		{"\u2066x\u2069", "\\u{2066}x\\u{2069}"},
		{"a\u2028b\u2029c", "a\\u{2028}b\\u{2029}c"},
		{"a\u00a0b", "a\\u{a0}b"},
		{"\u061c\u200b\u200f\ufeff", "\\u{61c}\\u{200b}\\u{200f}\\u{feff}"},
		{"\U000e0041", "\\u{e0041}"},
		{"gr\u00fc\u00df \u4e16 \U0001f600 \u2014",
			"gr\u00fc\u00df \u4e16 \U0001f600 \u2014"},
	};
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	pretend_journal();
	for(size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char expected[256];
		log_write(LOG_INFO, "%s", rows[i].text);
		snprintf(expected, sizeof(expected), "<6>%s\n", rows[i].shown);
		assert_string_equal(capture_read(&capture), expected);
	}
	capture_stop(&capture);
}

/* Escaped characters take more room; the line is cut between two of them. */
static void test_many_hidden_characters(void **state) {
	static struct capture capture;
	char text[3 * 1000 + 1];

	(void)state;
	for(size_t i = 0; i < 1000; i++) {
		memcpy(text + 3 * i, "\u202e", 3);
	}
	text[3 * 1000] = 0;
	capture_start(&capture);
	pretend_journal();
	log_write(LOG_INFO, "%s", text);
	const char *line = capture_read(&capture);
	size_t len = strlen(line);
	assert_true(len <= 4096 && len > 4000);
	assert_string_equal(line + len - 9, "\\u{202e}\n");
	capture_stop(&capture);
}

/* Shorter than PIPE_BUF whatever is logged; what was cut shows it. */
static void test_long_lines(void **state) {
	static char long_text[3 * PIPE_BUF];
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	for(size_t len = PIPE_BUF - 60; len < PIPE_BUF + 10; len++) {
		memset(long_text, 'x', len);
		long_text[len] = '\0';
		log_write(LOG_ERROR, "%s", long_text);
		const char *text = capture_read(&capture);
		size_t got = strlen(text);
		assert_true(got < PIPE_BUF);
		assert_int_equal(text[got - 1], '\n');
		const char *payload = strchr(text, 'x');
		bool whole = strspn(payload, "x") == len;
		assert_true(whole || strcmp(text + got - 4, "...\n") == 0);
		assert_true(whole || got == PIPE_BUF - 1);
	}
	capture_stop(&capture);
}

static void test_errno(void **state) {
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	close(capture.reader);
	capture.reader = -1;
	errno = ENOTDIR;
	log_write(LOG_ERROR, "x");
	int after = errno;
	capture_stop(&capture);
	assert_int_equal(after, ENOTDIR);
	capture_start(&capture); /* reports the loss, so that later tests begin without one */
	log_write(LOG_ERROR, "y");
	capture_stop(&capture);
}

/* A reader that has stopped reading must not stop us; afterwards it learns what it missed. */
static void test_full_pipe(void **state) {
	static struct capture capture;
	char filler[PIPE_BUF];
	static char rest[1 << 20];
	size_t len = 0;

	(void)state;
	capture_start(&capture);
	pretend_journal();
	memset(filler, '.', sizeof(filler));
	assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
	while(write(STDERR_FILENO, filler, sizeof(filler)) > 0) {
	}
	assert_int_equal(
		fcntl(STDERR_FILENO, F_SETFL, 0), 0); /* blocking: a write would hang here */
	log_write(LOG_ERROR, "lost one");
	log_write(LOG_ERROR, "lost two");
	log_write(LOG_DEBUG, "not lost, not wanted");
	for(ssize_t got = 1; got > 0 && len<sizeof(rest) - 1; len += got> 0 ? (size_t)got : 0) {
		got = read(capture.reader, rest + len, sizeof(rest) - 1 - len);
	}
	rest[len] = '\0';
	assert_null(strstr(rest, "lost"));
	log_write(LOG_ERROR, "kept");
	assert_string_equal(
		capture_read(&capture), "<4>log: 2 lines lost, standard error was full\n<3>kept\n");
	log_write(LOG_ERROR, "next");
	assert_string_equal(capture_read(&capture), "<3>next\n");
	capture_stop(&capture);
}

/* Room for the report but not for the line behind it. */
static void test_full_again(void **state) {
	static struct capture capture;
	char page[PIPE_BUF] = {0};

	(void)state;
	capture_start(&capture);
	pretend_journal();
	assert_true(fcntl(STDERR_FILENO, F_SETPIPE_SZ, PIPE_BUF) == PIPE_BUF);
	assert_int_equal(
		write(STDERR_FILENO, page, 1), 1); /* the only page is in use: not writable */
	log_write(LOG_ERROR, "one");
	assert_int_equal(read(capture.reader, page, sizeof(page)), 1);
	log_write(LOG_ERROR, "two");
	assert_string_equal(
		capture_read(&capture), "<4>log: 1 lines lost, standard error was full\n");
	log_write(LOG_ERROR, "three");
	assert_string_equal(
		capture_read(&capture), "<4>log: 1 lines lost, standard error was full\n");
	capture_stop(&capture);
	capture_start(&capture);
	pretend_journal();
	log_write(LOG_ERROR, "four");
	assert_string_equal(
		capture_read(&capture), "<4>log: 1 lines lost, standard error was full\n<3>four\n");
	capture_stop(&capture);
}

/* The reader is gone: no SIGPIPE, no failure, and the loss is counted. */
static void test_closed_pipe(void **state) {
	static struct capture capture;

	(void)state;
	capture_start(&capture);
	close(capture.reader);
	capture.reader = -1;
	log_write(LOG_ERROR, "without a reader");
	capture_stop(&capture);
	capture_start(&capture);
	pretend_journal();
	log_write(LOG_ERROR, "x");
	assert_string_equal(
		capture_read(&capture), "<4>log: 1 lines lost, standard error was full\n<3>x\n");
	capture_stop(&capture);
}

/* Replaces the pipe by a terminal, of which `reader` is the other side. */
static void capture_terminal(struct capture *capture) {
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	assert_int_equal(dup2(terminal, STDERR_FILENO), STDERR_FILENO);
	close(terminal);
	close(capture->reader);
	capture->reader = master;
	log_open();
}

/* Reads, and goes on logging "last", until that arrives. */
static void read_up_to_last(const struct capture *capture, char *text, size_t cap) {
	size_t len = 0;
	do {
		struct pollfd ready = {.fd = capture->reader, .events = POLLIN};
		poll(&ready, 1, 10);
		ssize_t got = read(capture->reader, text + len, cap - 1 - len);
		len += got > 0 ? (size_t)got : 0;
		text[len] = '\0';
		log_write(LOG_ERROR, "last");
	} while(!strstr(text, "last"));
}

/*
 * A terminal is writable as soon as it has room for one byte. A line that it has no room for must
 * neither make the process wait nor run into the next one.
 */
static void test_unread_terminal(void **state) {
	static struct capture capture;
	static char text[1 << 20];
	char line[200] = "";
	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	capture_start(&capture);
	capture_terminal(&capture);
	alarm(600);
	for(int i = 0; i < 2000; i++) {
		log_write(LOG_ERROR, "%s", line);
	}
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK); /* others share it */
	read_up_to_last(&capture, text, sizeof(text));
	alarm(0);
	capture_stop(&capture);
	const char *lost = strstr(text, " warning: log: ");
	assert_non_null(lost);
	assert_non_null(strstr(lost, " lines lost, standard error was full\r\n"));
	const char *start = memrchr(text, '\n', (size_t)(lost - text));
	assert_int_equal(lost - start - 1, strlen("2026-11-20T21:27:27.123Z"));
}

/* copytruncate of logrotate(8): the file goes on at its beginning. */
static void test_truncated_file(void **state) {
	static struct capture capture;
	char name[] = "/tmp/websocksy-log-XXXXXX";
	(void)state;
	int file = mkostemp(name, O_CLOEXEC);
	assert_true(file >= 0);
	unlink(name);
	capture_start(&capture);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	log_open();
	log_write(LOG_ERROR, "one");
	off_t first = lseek(file, 0, SEEK_END);
	assert_int_equal(ftruncate(file, 0), 0);
	log_write(LOG_ERROR, "two");
	off_t second = lseek(file, 0, SEEK_END);
	capture_stop(&capture);
	close(file);
	assert_int_equal(second, first);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_names, reset),
		cmocka_unit_test_setup(test_levels, reset),
		cmocka_unit_test_setup(test_time_stamp, reset),
		cmocka_unit_test_setup(test_controls, reset),
		cmocka_unit_test_setup(test_hidden_characters, reset),
		cmocka_unit_test_setup(test_many_hidden_characters, reset),
		cmocka_unit_test_setup(test_long_lines, reset),
		cmocka_unit_test_setup(test_errno, reset),
		cmocka_unit_test_setup(test_full_pipe, reset),
		cmocka_unit_test_setup(test_full_again, reset),
		cmocka_unit_test_setup(test_closed_pipe, reset),
		cmocka_unit_test_setup(test_unread_terminal, reset),
		cmocka_unit_test_setup(test_truncated_file, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
