/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where lines of the log go: standard error, a file, syslog, or the journal.
 */
#ifndef WEBSOCKSY_LOG_SINK_H
#define WEBSOCKSY_LOG_SINK_H
#include "base/log_line.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LOG_SINK_WHY 256

enum log_sink_kind {
	LOG_SINK_STDERR,
	LOG_SINK_FILE,
	LOG_SINK_SYSLOG, /* the local socket, or RFC 5424 over UDP */
	LOG_SINK_JOURNAL
};

struct log_sink {
	enum log_sink_kind kind;
	enum log_envelope envelope;
	int fd; /* standard error is not owned */
	bool cut; /* of a stream: the last line was written in part */
	/* The socket of a datagram target: it is connected again if its receiver was replaced. */
	const char *path; /* static or owned; NULL: none */
	char *owned;
};

/* The user who has to be able to open a new log file again. */
struct log_owner {
	bool set;
	uid_t uid;
	gid_t gid;
};

/* A sink for lines before any other is open: standard error, with time stamps. */
extern const struct log_sink log_sink_initial;

/*
 * Checks a target: "stderr", "syslog", "syslog:HOST:PORT", "syslog:/PATH", "journal" or
 * "file:/PATH"; empty: the default. NULL: valid; otherwise static text that continues a sentence which begins with the
 * quoted value.
 */
const char *log_sink_check(const char *target);

/*
 * Opens a valid target. A file is created with mode 0640 for `owner`, and is appended to. Blocks
 * for the lookup of a host name: only for start and reload. 0; or negative errno and a text that
 * says what has failed.
 */
int log_sink_open(struct log_sink *sink, const char *target, const struct log_owner *owner,
	char why[LOG_SINK_WHY]);

/*
 * Writes a line. Never waits. False: it could not be written as a whole; if a part of it was, the
 * next call begins on a new line.
 */
bool log_sink_send(struct log_sink *sink, const char *line, size_t len);

/* The name of the target in a message about lost lines; static. */
const char *log_sink_name(const struct log_sink *sink);

/* Closes what was opened. */
void log_sink_close(struct log_sink *sink);
#endif
