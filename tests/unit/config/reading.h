/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tests of configurations share: reading arguments and files in a directory of their own,
 * and what was printed meanwhile.
 */
#ifndef WEBSOCKSY_TESTS_READING_H
#define WEBSOCKSY_TESTS_READING_H
#include "builtins.h"
#include "config.h"
#include "config/print.h"
#include "plugin.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OUTPUT_MAX 65536
#define ARGUMENTS_MAX 24

/* The working directory of all tests, so that file names in messages are short. */
static char directory[] = "/tmp/test_config.XXXXXX";

/* What the last call wrote to standard error or output. */
static char output[OUTPUT_MAX];

struct capture {
	int fd; /* that is captured */
	int saved;
	int file;
};

static inline struct capture capture_start(int fd) {
	struct capture capture = {fd, dup(fd), memfd_create("output", MFD_CLOEXEC)};
	fflush(NULL);
	assert_true(capture.saved >= 0 && capture.file >= 0);
	assert_int_equal(dup2(capture.file, fd), fd);
	return capture;
}

static inline void capture_stop(struct capture *capture) {
	fflush(NULL);
	dup2(capture->saved, capture->fd);
	ssize_t len = pread(capture->file, output, OUTPUT_MAX - 1, 0);
	assert_true(len >= 0);
	output[len] = '\0';
	close(capture->saved);
	close(capture->file);
}

/* Reads the arguments (NULL at the end, without the program's name); log lines are in `output`. */
static inline int read_arguments(struct config *config, const char *const *arguments) {
	char *argv[ARGUMENTS_MAX + 1] = {strdup("websocksy")};
	int argc = 1;

	for(; arguments[argc - 1]; argc++) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc] = strdup(arguments[argc - 1]);
	}
	struct capture capture = capture_start(STDERR_FILENO);
	int result = config_read(config, argc, argv);
	capture_stop(&capture);
	while(argc > 0) {
		free(argv[--argc]);
	}
	return result;
}
#define READ(config, ...) read_arguments(config, (const char *const[]){__VA_ARGS__, NULL})

static inline size_t count_lines(const char *text) {
	size_t lines = 0;

	for(; *text != '\0'; text++) {
		lines += *text == '\n';
	}
	return lines;
}

/* Reads valid arguments that cause these warnings (NULL at the end) and no other line. */
static inline struct config read_warned(const char *const *arguments, const char *const *warnings) {
	struct config config;
	size_t lines = 0;
	assert_int_equal(read_arguments(&config, arguments), 0);
	for(; warnings[lines]; lines++) {
		assert_non_null(strstr(output, warnings[lines]));
	}
	if(count_lines(output) != lines) {
		print_error("expected %zu lines:\n%s", lines, output);
	}
	assert_int_equal(count_lines(output), lines);
	assert_null(strstr(output, " error: "));
	return config;
}

/* Reads valid arguments; nothing is logged. */
static inline struct config read_good(const char *const *arguments) {
	return read_warned(arguments, (const char *const[]){NULL});
}
#define GOOD(...) read_good((const char *const[]){__VA_ARGS__, NULL})

/* Reads invalid arguments; one line for each error is logged, and `part` is in one of them. */
static inline void read_bad(const char *const *arguments, size_t errors, const char *part) {
	struct config config;

	assert_int_equal(read_arguments(&config, arguments), -EINVAL);
	if(!strstr(output, part) || count_lines(output) != errors) {
		print_error("expected %zu lines and \"%s\" in:\n%s", errors, part, output);
	}
	assert_non_null(strstr(output, part));
	assert_int_equal(count_lines(output), errors);
	config_free(&config);
}
#define BAD(errors, part, ...) read_bad((const char *const[]){__VA_ARGS__, NULL}, errors, part)

static inline void write_bytes(const char *name, const char *text, size_t len) {
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static inline void write_file(const char *name, const char *text) {
	write_bytes(name, text, strlen(text));
}

/* Leaves the dump in `output`. */
static inline void dump(const struct config *config) {
	struct capture capture = capture_start(STDOUT_FILENO);
	print_config(config);
	capture_stop(&capture);
}

static inline bool has_line(const char *text, const char *line) {
	size_t len = strlen(line);

	for(const char *at = text; (at = strstr(at, line)); at++) {
		if((at == text || at[-1] == '\n') && at[len] == '\n') {
			return true;
		}
	}
	return false;
}

/* `@` at the beginning of a value is the working directory. */
static inline void assert_line(const char *text) {
	char line[512];
	const char *at = strstr(text, "= @");
	snprintf(line, sizeof(line), "%.*s%s%s", at ? (int)(at - text) + 2 : (int)strlen(text), text,
		at ? directory : "", at ? at + 3 : "");
	if(!has_line(output, line)) {
		print_error("no line \"%s\" in:\n%s", line, output);
	}
	assert_true(has_line(output, line));
}

static inline int set_up(void **state) {
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? builtins_register() : -1;
}

static inline int tear_down(void **state) {
	static const char *const names[] = {"file", "users", "fifo", "valid.conf", "invalid.conf",
		"marks.conf", "broken.conf", "huge.conf", "order.conf", "drop.conf", "fine.conf",
		"dump.conf", "prefix.conf", "again.conf", "path.conf"};

	(void)state;
	plugin_shutdown();
	for(size_t at = 0; at < COUNT(names); at++) {
		unlink(names[at]);
	}
	return rmdir(directory);
}
#endif
