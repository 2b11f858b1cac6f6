/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The form of a line of the log: text or JSON, and the envelope that the receiver expects.
 */
#ifndef WEBSOCKSY_LOG_LINE_H
#define WEBSOCKSY_LOG_LINE_H
#include "base/log.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_MAX 4096 /* bytes of a line with its end */
/* A datagram for the journal has each field once more by itself. */
#define LOG_ENTRY_MAX (2 * LOG_LINE_MAX)

/* What is in front of a line, or around it. */
enum log_envelope {
	LOG_ENVELOPE_TIME, /* "2026-11-30T18:00:00.123Z info: " */
	LOG_ENVELOPE_PRIORITY, /* "<6>", sd-daemon(3) */
	LOG_ENVELOPE_LOCAL, /* "<30>Nov 30 18:00:00 websocksy[123]: ", as syslog(3) sends it */
	LOG_ENVELOPE_SYSLOG, /* RFC 5424 */
	LOG_ENVELOPE_JOURNAL /* fields of systemd's native protocol */
};

struct log_style {
	enum log_envelope envelope;
	enum log_format format;
	unsigned worker; /* which one writes; 0: there is only one process */
};

/* What a line says. */
struct log_entry {
	enum log_level level;
	const struct log_subject *subject; /* NULL: none */
	const struct log_field *field;
	size_t fields;
	const char *message;
};

/*
 * Writes the whole entry, with a line feed at its end where the envelope has one. A line has at
 * most LOG_LINE_MAX bytes; the message or a field that is too long is cut and marked by "...". Returns
 * the length.
 */
size_t log_line_format(
	const struct log_style *style, const struct log_entry *entry, char out[LOG_ENTRY_MAX]);

/* "error", "warning", "notice", "info", "debug". */
extern const char *const log_line_levels[LOG_LEVELS];
#endif
