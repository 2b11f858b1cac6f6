/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes log lines.
 *
 * Must not know: the rest of the program.
 * Invariants: writing never waits. A line that could not be written as a whole is counted as lost.
 * errno is preserved.
 */
#include "base/log.h"

#include "base/log_line.h"
#include "base/log_sink.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One process has one log, and every file writes to it. */
static struct {
	enum log_level level;
	enum log_format format;
	struct log_sink sink;
	int echo; /* a descriptor that errors go to as well; -1: none */
	unsigned worker; /* that all lines are of; 0: none */
	uint64_t lost; /* lines that have not been written since the last one that was */
} state = {
	.level = LOG_INFO,
	.echo = -1,
	.sink = {.kind = LOG_SINK_STDERR, .envelope = LOG_ENVELOPE_TIME, .fd = STDERR_FILENO},
};

void log_use(const struct log_sink *sink, enum log_format format) {
	log_sink_close(&state.sink);
	state.sink = *sink;
	state.format = format;
}

void log_open(void) {
	char why[LOG_SINK_WHY];
	struct log_sink sink;
	log_close();
	if(log_sink_open(&sink, "stderr", NULL, why) == 0) {
		log_use(&sink, LOG_FORMAT_TEXT);
	}
}

void log_close(void) {
	log_sink_close(&state.sink);
	state.format = LOG_FORMAT_TEXT;
}

void log_echo_errors(int fd) {
	state.echo = fd;
}

void log_set_worker(unsigned number) {
	state.worker = number;
}

int log_descriptor(void) {
	return state.sink.fd;
}

void log_set_level(enum log_level level) {
	assert(level < LOG_LEVELS);
	state.level = level;
}

bool log_enabled(enum log_level level) {
	return level <= state.level;
}

int log_parse_level(const char *name) {
	for(int level = 0; level < LOG_LEVELS; level++) {
		if(strcmp(name, log_line_levels[level]) == 0) {
			return level;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level) {
	assert(level < LOG_LEVELS);
	return log_line_levels[level];
}

static bool send_entry(const struct log_entry *entry) {
	const struct log_style style = {state.sink.envelope, state.format, state.worker};
	char line[LOG_ENTRY_MAX];
	return log_sink_send(&state.sink, line, log_line_format(&style, entry, line));
}

static void report_lost(void) {
	char message[128];
	const struct log_entry entry = {.level = LOG_WARNING, .message = message};
	if(state.lost == 0) {
		return;
	}
	snprintf(message, sizeof(message), "log: %" PRIu64 " lines lost, %s was full", state.lost,
		log_sink_name(&state.sink));
	if(send_entry(&entry)) {
		state.lost = 0;
	}
}

static void echo(const struct log_entry *entry) {
	const struct log_style style = {LOG_ENVELOPE_TIME, LOG_FORMAT_TEXT, state.worker};
	struct log_sink sink = log_sink_initial;
	char line[LOG_ENTRY_MAX];
	bool same = state.sink.kind == LOG_SINK_STDERR && state.echo == STDERR_FILENO;
	sink.fd = state.echo;
	if(entry->level == LOG_ERROR && !same) {
		log_sink_send(&sink, line, log_line_format(&style, entry, line));
	}
}

static void write_entry(const struct log_entry *entry) {
	int saved_errno = errno;
	if(state.echo >= 0) {
		echo(entry);
	}
	report_lost();
	if(state.lost > 0 || !send_entry(entry)) {
		state.lost++;
	}
	errno = saved_errno;
}

void log_write(enum log_level level, const char *format, ...) {
	char message[LOG_LINE_MAX];
	const struct log_entry entry = {.level = level, .message = message};
	va_list arguments;
	assert(level < LOG_LEVELS);
	if(!log_enabled(level)) {
		return;
	}
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	write_entry(&entry);
}

void log_event(enum log_level level, const struct log_subject *subject, const char *message,
	const struct log_field *fields, size_t count) {
	const struct log_entry entry = {.level = level,
		.subject = subject,
		.field = fields,
		.fields = count,
		.message = message};
	assert(level < LOG_LEVELS);
	if(log_enabled(level)) {
		write_entry(&entry);
	}
}
