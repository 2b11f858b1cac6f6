/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes log lines to standard error.
 *
 * Must not know: the rest of the program.
 * Invariants: writing never waits. A pipe that poll() calls writable takes PIPE_BUF bytes, and
 * every line is shorter than that; a terminal is written to without blocking. A line that could not
 * be written as a whole is counted as lost, and the next one begins on a new line. errno is
 * preserved.
 */
#include "base/log.h"

#include "base/passes.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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

/* The end of a line that was cut. */
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

/* One process has one standard error, and every file logs. */
static struct {
	enum log_level level;
	int fd; /* standard error, or a description of its own of the same terminal */
	bool journal; /* standard error is the journal */
	bool cut; /* the last line was written in part */
	uint64_t lost; /* lines that have not been written since the last one that was */
} state = {.level = LOG_INFO, .fd = STDERR_FILENO};

/*
 * systemd.exec(5): JOURNAL_STREAM names the journal's stream; standard error may be something else.
 */
static bool is_journal(const struct stat *status) {
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino);
	return stream && strcmp(stream, own) == 0;
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
	if(state.journal) {
		return (size_t)snprintf(out, cap, "<%c>", level_priorities[level]);
	}
	size_t len = put_time(out, cap);
	return len + (size_t)snprintf(out + len, cap - len, " %s: ", level_names[level]);
}

/* Room for the text with its NUL; a byte is left for the line feed. */
static size_t text_room(size_t prefix) {
	return LOG_LINE_MAX - 1 - prefix;
}

/*
 * The journal shows lines that are not UTF-8 as binary data only, which hides them from most
 * readers.
 */
static void replace_invalid(char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		i += utf8_prefix((const uint8_t *)text + i, len - i, NULL);
		if(i < len) {
			text[i] = '?';
		}
	}
}

/*
 * Text from the network is logged: a control character must not forge a line or control a terminal.
 */
static void replace_controls(char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		if(byte < 0x20 || byte == 0x7f) {
			text[i] = '?';
		} else if(byte == 0xc2 && i + 1 < len && (uint8_t)text[i + 1] >= 0x80 &&
			(uint8_t)text[i + 1] <= 0x9f) { /* U+0080 to U+009F */
			text[i++] = '?';
			text[i] = '?';
		}
	}
}

/* ---- characters that change how others are shown ---- */

/*
 * Marks and overrides of direction, line separators of Unicode, and characters that are invisible
 * or look like a space: a line with them is not read as it was written (CVE-2021-42574).
 */
static const struct {
	uint32_t first;
	uint32_t last;
} hidden[] = {
	{0xa0, 0xa0},
	{0xad, 0xad},
	{0x61c, 0x61c},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0xe0000, 0xe0fff},
};

/* Decodes a character of valid UTF-8; returns its length. */
static size_t decode(const char *text, uint32_t *out) {
	const uint8_t *byte = (const uint8_t *)text;
	size_t len = byte[0] < 0x80 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
	*out = len == 1 ? byte[0] : byte[0] & (0xffu >> (len + 1));
	for(size_t i = 1; i < len; i++) {
		*out = *out << 6 | (byte[i] & 0x3fu);
	}
	return len;
}

static bool is_hidden(uint32_t character) {
	for(size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if(character >= hidden[i].first && character <= hidden[i].last) {
			return true;
		}
	}
	return false;
}

/* Writes such characters as "\\u{202e}". Returns the new length; the text is cut at `cap`. */
static size_t escape_hidden(char *text, size_t len, size_t cap) {
	char from[LOG_LINE_MAX];
	size_t out = 0;
	memcpy(from, text, len);
	for(size_t i = 0; i < len;) {
		char piece[16];
		uint32_t character;
		size_t used = decode(from + i, &character);
		size_t size = used;
		if(is_hidden(character)) {
			size = (size_t)snprintf(
				piece, sizeof(piece), "\\u{%" PRIx32 "}", character);
		} else {
			memcpy(piece, from + i, used);
		}
		if(size > cap - out) {
			break;
		}
		memcpy(text + out, piece, size);
		out += size;
		i += used;
	}
	return out;
}

static bool is_ascii(const char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		if((uint8_t)text[i] >= 0x80) {
			return false;
		}
	}
	return true;
}

/* ---- writing ---- */

/* Ready for one line? Not if the reader is gone: writing would raise SIGPIPE. */
static bool is_writable(void) {
	struct pollfd request = {.fd = state.fd, .events = POLLOUT};
	return poll(&request, 1, 0) == 1 && request.revents == POLLOUT;
}

/*
 * Returns how many bytes were written: fewer than `len` if a terminal or a disk has no more room.
 */
static size_t send_bytes(const char *data, size_t len) {
	size_t sent = 0;
	while(sent < len) {
		ssize_t result = RETRY_INTERRUPTED(write(state.fd, data + sent, len - sent));
		if(result <= 0) {
			break;
		}
		sent += (size_t)result;
	}
	return sent;
}

static bool send_line(const char *line, size_t len) {
	if(!is_writable() || (state.cut && send_bytes("\n", 1) < 1)) {
		return false;
	}
	size_t sent = send_bytes(line, len);
	state.cut = sent > 0 && sent < len;
	return sent == len;
}

/*
 * Completes a line whose text was printed behind `prefix` bytes with a room of text_room() bytes;
 * `printed` is the result of printf. Returns the length of the line.
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
	if(!is_ascii(line + prefix, len)) {
		len = escape_hidden(line + prefix, len, cap - 1);
	}
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

/*
 * A terminal is writable as soon as it has room for one byte, and then blocks. The flag must not be
 * set for standard error itself, whose description others share; opening the terminal again gives
 * another one. If that is not permitted (the terminal of another user), the log may wait for the
 * terminal.
 */
static void open_terminal(void) {
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if(fd >= 0) {
		state.fd = fd;
	}
}

void log_open(void) {
	struct stat status;
	log_close();
	if(fstat(STDERR_FILENO, &status) < 0) {
		return;
	}
	state.journal = is_journal(&status);
	if(isatty(STDERR_FILENO)) {
		open_terminal();
	} else if(S_ISREG(status.st_mode)) {
		/*
		 * Otherwise a log that is truncated to be rotated goes on at its old offset, behind
		 * a hole.
		 */
		int flags = fcntl(STDERR_FILENO, F_GETFL);
		fcntl(STDERR_FILENO, F_SETFL, flags | O_APPEND);
	}
}

void log_close(void) {
	if(state.fd != STDERR_FILENO) {
		close(state.fd);
	}
	state.fd = STDERR_FILENO;
	state.journal = false;
	state.cut = false;
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
