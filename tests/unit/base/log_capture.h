/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads what the log writes to standard error.
 */
#ifndef WEBSOCKSY_TEST_LOG_CAPTURE_H
#define WEBSOCKSY_TEST_LOG_CAPTURE_H
#include "support.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_MAX 65536

/* Standard error replaced by one end of a pipe. */
struct capture {
	int saved;
	int reader;
	char text[OUTPUT_MAX];
};

static inline void capture_start(struct capture *capture) {
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	capture->saved = dup(STDERR_FILENO);
	capture->reader = ends[0];
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	log_open();
}

/* Takes what is in the pipe. */
static inline const char *capture_read(struct capture *capture) {
	ssize_t len = read(capture->reader, capture->text, OUTPUT_MAX - 1);
	capture->text[len > 0 ? len : 0] = '\0';
	return capture->text;
}

static inline void capture_stop(struct capture *capture) {
	log_close();
	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->reader);
}

/* Makes standard error look like the journal's stream. */
static inline void pretend_journal(void) {
	struct stat status;
	char name[64];

	assert_int_equal(fstat(STDERR_FILENO, &status), 0);
	snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	setenv("JOURNAL_STREAM", name, 1);
	log_open();
}
#endif
