/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes log lines to standard error. It must not know who logs, and it must never make the daemon
 * wait: a pipe that poll() calls writable takes at least PIPE_BUF bytes without blocking, so every
 * line is shorter than that and goes out in one write.
 * Invariants: a line is written whole or not at all (pipes, files, the journal); errno is
 * preserved.
 */
#include "base/log.h"

#include "base/passes.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096
static_assert(LOG_LINE_MAX <= PIPE_BUF, "a longer line could block");

/* How a line that was cut ends. */
static const char cut_mark[] = {'.', '.', '.'};

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};
static_assert(
	sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVELS, "one name for each level");

/* sd-daemon(3): the syslog priorities in front of a line for the journal. */
static const char level_priorities[] = {
	[LOG_ERROR] = '3',
	[LOG_WARNING] = '4',
	[LOG_NOTICE] = '5',
	[LOG_INFO] = '6',
	[LOG_DEBUG] = '7',
};
static_assert(sizeof(level_priorities) == LOG_LEVELS, "one priority for each level");

/* The program's only mutable globals: one process has one standard error. */
static struct {
	enum log_level level;
	uint64_t lost; /* lines that found no room, since the last that was written */
} state = {.level = LOG_INFO};

/* systemd.exec(5): JOURNAL_STREAM names the journal; standard error may be something else. */
static bool is_journal(void) {
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat stat;
	char own[64];

	if(!stream || fstat(STDERR_FILENO, &stat)) {
		return false;
	}
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)stat.st_dev, (uintmax_t)stat.st_ino);
	return strcmp(stream, own) == 0;
}

static size_t put_time(char *out, size_t cap) {
	struct timespec now;
	struct tm utc;
	size_t len = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	if(gmtime_r(&now.tv_sec, &utc)) {
		len = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &utc);
	}
	len += (size_t)snprintf(out + len, cap - len, ".%03ldZ", now.tv_nsec / 1000000);
	return len;
}

static size_t put_prefix(char *out, size_t cap, enum log_level level) {
	if(is_journal()) {
		return (size_t)snprintf(out, cap, "<%c>", level_priorities[level]);
	}
	size_t len = put_time(out, cap);
	return len + (size_t)snprintf(out + len, cap - len, " %s: ", level_names[level]);
}

/* Room for text, a NUL included, that leaves a byte for the line end. */
static size_t text_room(size_t prefix) {
	return LOG_LINE_MAX - 1 - prefix;
}

/* The journal shows lines that are no text as binary data only, so strangers could hide in them. */
static void replace_invalid(char *text, size_t len) {
	for(size_t at = 0; at < len; at++) {
		at += utf8_prefix((const uint8_t *)text + at, len - at, NULL);
		if(at < len) {
			text[at] = '?';
		}
	}
}

/* What strangers send ends up here: no control may forge a line or drive a terminal. */
static void replace_controls(char *text, size_t len) {
	for(size_t at = 0; at < len; at++) {
		uint8_t byte = (uint8_t)text[at];
		if(byte < 0x20 || byte == 0x7f) {
			text[at] = '?';
		} else if(byte == 0xc2 && at + 1 < len && (uint8_t)text[at + 1] >= 0x80 &&
			(uint8_t)text[at + 1] <= 0x9f) { /* U+0080 to U+009F */
			text[at++] = '?';
			text[at] = '?';
		}
	}
}

/* Ready for one line? A reader that is gone counts as no: writing to it would raise SIGPIPE. */
static bool is_writable(void) {
	struct pollfd request = {.fd = STDERR_FILENO, .events = POLLOUT};
	return poll(&request, 1, 0) == 1 && request.revents == POLLOUT;
}

static bool send_line(const char *line, size_t len) {
	if(!is_writable()) {
		return false;
	}
	return RETRY_INTERRUPTED(write(STDERR_FILENO, line, len)) >= 0;
}

/*
 * Completes a line whose text was printed behind `prefix` bytes with a room of text_room() bytes;
 * `printed` is what printf returned. Result: the length of the line.
 */
static size_t finish_line(char line[LOG_LINE_MAX], size_t prefix, int printed) {
	size_t len = printed < 0 ? 0 : (size_t)printed;
	size_t cap = text_room(prefix);

	if(len >= cap) {
		len = cap - 1;
		memcpy(line + prefix + len - sizeof(cut_mark), cut_mark, sizeof(cut_mark));
	}
	replace_invalid(line + prefix, len);
	replace_controls(line + prefix, len);
	line[prefix + len] = '\n';
	return prefix + len + 1;
}

static void report_lost(void) {
	char line[LOG_LINE_MAX];

	if(state.lost == 0) {
		return;
	}
	size_t prefix = put_prefix(line, sizeof(line), LOG_WARNING);
	int printed = snprintf(line + prefix, text_room(prefix),
		"log: %" PRIu64 " lines lost, standard error was full", state.lost);
	if(send_line(line, finish_line(line, prefix, printed))) {
		state.lost = 0;
	}
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
		if(strcmp(name, level_names[level]) == 0) {
			return level;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level) {
	assert(level < LOG_LEVELS);
	return level_names[level];
}

void log_write(enum log_level level, const char *format, ...) {
	char line[LOG_LINE_MAX];
	int saved_errno = errno;
	va_list arguments;

	assert(level < LOG_LEVELS);
	if(!log_enabled(level)) {
		return;
	}
	report_lost();
	size_t prefix = put_prefix(line, sizeof(line), level);
	va_start(arguments, format);
	int printed = vsnprintf(line + prefix, text_room(prefix), format, arguments);
	va_end(arguments);
	if(state.lost > 0 || !send_line(line, finish_line(line, prefix, printed))) {
		state.lost++;
	}
	errno = saved_errno;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms) {
	uint64_t second = now_ms / 1000;

	if(limit->second != second) {
		if(limit->dropped > 0) {
			log_write(LOG_WARNING, "log: %" PRIu32 " lines of this kind suppressed",
				limit->dropped);
		}
		*limit = (struct log_limit){.second = second};
	}
	if(limit->passed < LOG_LIMIT_LINES) {
		limit->passed++;
		return true;
	}
	limit->dropped++;
	return false;
}
