/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The log: one line per event, as text or JSON, on standard error, in a file, or to syslog or the
 * journal. Writing never blocks: lines that the target does not take are counted, and the count is
 * logged later.
 */
#ifndef WEBSOCKSY_LOG_H
#define WEBSOCKSY_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_sink;

enum log_level {
	LOG_ERROR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG,
	LOG_LEVELS
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON
};

/* The connection that a line is about. */
struct log_subject {
	uint64_t id;
	const char *client; /* its address */
};

/* A value of a line with a name: a text, or a number if `text` is NULL. */
struct log_field {
	const char *name;
	const char *text;
	uint64_t number;
};

/*
 * Writes to standard error: adapts to the present one, which may be the journal, a terminal, or a
 * file. Called at the start, and again if standard error is replaced; lines before that are written
 * to standard error with a time stamp.
 */
void log_open(void);

/* Closes the target that is in use; lines go to standard error as before log_open(). */
void log_close(void);

/*
 * Lines go to `sink` from now on, in this format. It is taken over and must be open (see
 * log_sink_open()); the one before is closed.
 */
void log_use(const struct log_sink *sink, enum log_format format);

/*
 * Errors go to this descriptor as well, as text, unless it is standard error and the target, too;
 * -1: from now on they do not. It stays the caller's.
 */
void log_echo_errors(int fd);

/*
 * Lines say from now on that they are of this worker; 0: of none. Several processes may write to
 * one file: a line is one write at its end.
 */
void log_set_worker(unsigned number);

/* The descriptor of the target; -1: it has none. For a child that closes all others. */
int log_descriptor(void);

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
 * as "\u{202e}", in JSON as "\u202e".
 */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a line about a connection, with fields behind the text. */
void log_event(enum log_level level, const struct log_subject *subject, const char *message,
	const struct log_field *fields, size_t count);
#endif
