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

/*
 * Writes one line; `format` as in printf, without a line end. Control characters and bytes that are
 * not UTF-8 become '?'; characters that are invisible or change the direction of text are written
 * as "\u{202e}".
 */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
