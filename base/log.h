/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The log: one line per event on standard error, with the priority that journald understands if
 * standard error is the journal, with a time stamp otherwise. Writing never blocks: lines for which
 * standard error has no room are counted, and the count is logged later.
 */
#ifndef WEBSOCKSY_LOG_H
#define WEBSOCKSY_LOG_H
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG,
	LOG_LEVELS
};

/*
 * Limits the lines that clients can cause: LOG_LIMIT_LINES each second, then their number.
 * Initialised by zero.
 */
#define LOG_LIMIT_LINES 20
struct log_limit {
	uint64_t second;
	uint32_t passed;
	uint32_t dropped;
};

/*
 * Adapts to the present standard error: journal, terminal, or file. Called at the start, and again
 * if standard error is replaced; lines before that are written to standard error with a time stamp.
 */
void log_open(void);

/* Undoes log_open(). */
void log_close(void);

/* Lines above `level` are not written from now on. The initial level is LOG_INFO. */
void log_set_level(enum log_level level);

/* Would a line of `level` be written? */
bool log_enabled(enum log_level level);

/* The level called `name` ("error", "warning", "notice", "info", "debug"), or -EINVAL. */
int log_parse_level(const char *name);

/* The name of `level`; static. */
const char *log_level_name(enum log_level level);

/* Writes one line; `format` as in printf, without a line end. Control characters become '?'. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * May the event be logged now (`now_ms`: a monotonic clock, milliseconds)? If lines were suppressed
 * before, their number is logged first.
 */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms);
#endif
