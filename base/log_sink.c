/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Opens targets of the log and writes to them.
 *
 * Must not know: what a line says.
 * Invariants: writing never waits. A pipe that poll() calls writable takes PIPE_BUF bytes, and
 * every line is shorter than that; a terminal is written to without blocking, and sockets as well.
 */
#include "base/log_sink.h"

#include "base/address.h"
#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSLOG_PATH "/dev/log"
#define JOURNAL_PATH "/run/systemd/journal/socket"
#define FILE_MODE 0640
#define HOST_MAX 256

const struct log_sink log_sink_initial = {
	.kind = LOG_SINK_STDERR, .envelope = LOG_ENVELOPE_TIME, .fd = STDERR_FILENO};

static int fail(char why[LOG_SINK_WHY], int error, const char *text) {
	snprintf(why, LOG_SINK_WHY, "%s", text);
	return -error;
}

/* ---- names of targets ---- */

static const char *after(const char *text, const char *prefix) {
	size_t len = strlen(prefix);
	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* "HOST:PORT", with brackets around IPv6. */
struct endpoint {
	char host[HOST_MAX];
	char port[8];
};

static bool parse_endpoint(const char *text, struct endpoint *out) {
	const char *colon = strrchr(text, ':');
	uint16_t port;
	if(!colon || address_parse_port(text_slice(colon + 1), &port) || port == 0) {
		return false;
	}
	struct slice host = {.at = text, .len = (size_t)(colon - text)};
	bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
	if(bracketed) {
		host = (struct slice){.at = host.at + 1, .len = host.len - 2};
	}
	snprintf(out->port, sizeof(out->port), "%u", port);
	bool plain = text_find(host, ':') == host.len && text_find(host, '[') == host.len;
	return host.len > 0 && (bracketed || plain) &&
		text_copy(host, out->host, sizeof(out->host)) == 0;
}

const char *log_sink_check(const char *target) {
	static const char form[] = "is not a target of the log (use stderr, syslog, "
				   "syslog:HOST:PORT, syslog:/PATH, journal or file:/PATH)";
	const char *file = after(target, "file:");
	const char *syslog = after(target, "syslog:");
	struct endpoint endpoint;
	bool valid = target[0] == '\0' || strcmp(target, "stderr") == 0 ||
		strcmp(target, "syslog") == 0 || strcmp(target, "journal") == 0 ||
		(file && file[0] == '/') ||
		(syslog && (syslog[0] == '/' || parse_endpoint(syslog, &endpoint)));
	if(!valid) {
		return form;
	}
	return syslog && syslog[0] == '/' && strlen(syslog) > ADDRESS_UNIX_MAX
		? "has a path that is too long for a socket"
		: NULL;
}

/* ---- standard error ---- */

/*
 * systemd.exec(5): JOURNAL_STREAM names the journal's stream; standard error may be something else.
 */
static bool is_journal(const struct stat *status) {
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino);
	return stream && strcmp(stream, own) == 0;
}

/*
 * A terminal is writable as soon as it has room for one byte, and then blocks. The flag must not be
 * set for standard error itself, whose description others share; opening the terminal again gives
 * another one. If that is not permitted (the terminal of another user), the log may wait for the
 * terminal.
 */
static void open_terminal(struct log_sink *sink) {
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if(fd >= 0) {
		sink->fd = fd;
	}
}

static int open_stderr(struct log_sink *sink) {
	struct stat status;
	*sink = log_sink_initial;
	if(fstat(STDERR_FILENO, &status) < 0) {
		return 0;
	}
	if(is_journal(&status)) {
		sink->envelope = LOG_ENVELOPE_PRIORITY;
	}
	if(isatty(STDERR_FILENO)) {
		open_terminal(sink);
	} else if(S_ISREG(status.st_mode)) {
		/*
		 * Otherwise a log that is truncated to be rotated goes on at its old offset, behind
		 * a hole.
		 */
		int flags = fcntl(STDERR_FILENO, F_GETFL);
		fcntl(STDERR_FILENO, F_SETFL, flags | O_APPEND);
	}
	return 0;
}

/* ---- files ---- */

/*
 * The directory may belong to a user with fewer rights than this process: a link there, symbolic or
 * hard, must not make it write elsewhere. /dev/stdout is a link of the system.
 */
static int open_existing(const char *path) {
	int flags = after(path, "/dev/") ? 0 : O_NOFOLLOW;
	int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	struct stat status;
	if(fd >= 0 && geteuid() == 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
		status.st_nlink > 1) {
		close(fd);
		errno = EMLINK;
		return -1;
	}
	return fd;
}

/* A new file is given to the owner, who opens it again after it was renamed. */
static int create_file(const char *path, const struct log_owner *owner) {
	int fd = open(path,
		O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_CREAT | O_EXCL,
		FILE_MODE);
	if(fd >= 0 && owner && owner->set && geteuid() == 0 &&
		fchown(fd, owner->uid, owner->gid) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int open_file(struct log_sink *sink, const char *path, const struct log_owner *owner,
	char why[LOG_SINK_WHY]) {
	int fd = open_existing(path);
	if(fd < 0 && errno == ENOENT) {
		fd = create_file(path, owner);
	}
	if(fd < 0 && errno == EEXIST) { /* made by another process meanwhile, or a dangling link */
		fd = open_existing(path);
	}
	if(fd < 0) {
		int error = errno;
		return fail(why, error,
			error == ELOOP            ? "is a symbolic link, which is not followed"
				: error == EMLINK ? "has several hard links (remove it)"
						  : strerror(error));
	}
	*sink = (struct log_sink){.kind = LOG_SINK_FILE, .envelope = LOG_ENVELOPE_TIME, .fd = fd};
	return 0;
}

/* ---- datagrams ---- */

static int connect_path(const char *path) {
	struct socket_address address;
	int result = address_of_path(text_slice(path), &address);
	int fd = result ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if(result || fd < 0) {
		return result ? result : -errno;
	}
	if(connect(fd, &address.any, address.len) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	return fd;
}

/* `path` is owned by the sink if `owned` is the same. */
static int open_path(struct log_sink *sink, const char *path, char *owned, char why[LOG_SINK_WHY]) {
	int fd = connect_path(path);
	if(fd < 0) {
		snprintf(why, LOG_SINK_WHY, "%s: %s", path, strerror(-fd));
		free(owned);
		return fd;
	}
	sink->fd = fd;
	sink->path = path;
	sink->owned = owned;
	return 0;
}

static int connect_udp(const struct addrinfo *found) {
	int error = 0;
	for(; found; found = found->ai_next) {
		int fd = socket(
			found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
		if(fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0) {
			return fd;
		}
		error = errno;
		if(fd >= 0) {
			close(fd);
		}
	}
	return -error;
}

static int open_udp(struct log_sink *sink, const char *text, char why[LOG_SINK_WHY]) {
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	struct endpoint endpoint;
	if(!parse_endpoint(text, &endpoint)) {
		return fail(why, EINVAL, strerror(EINVAL));
	}
	int result = getaddrinfo(endpoint.host, endpoint.port, &hints, &found);
	if(result) {
		return fail(why, EHOSTUNREACH, gai_strerror(result));
	}
	int fd = connect_udp(found);
	freeaddrinfo(found);
	if(fd < 0) {
		return fail(why, -fd, strerror(-fd));
	}
	sink->fd = fd;
	return 0;
}

/* syslog(3): the local daemon, which expects another form than receivers in the network. */
static int open_syslog(struct log_sink *sink, const char *text, char why[LOG_SINK_WHY]) {
	*sink = (struct log_sink){.kind = LOG_SINK_SYSLOG, .envelope = LOG_ENVELOPE_LOCAL};
	if(!text) {
		return open_path(sink, SYSLOG_PATH, NULL, why);
	}
	if(text[0] != '/') {
		sink->envelope = LOG_ENVELOPE_SYSLOG;
		return open_udp(sink, text, why);
	}
	char *path = strdup(text);
	return path ? open_path(sink, path, path, why) : fail(why, ENOMEM, strerror(ENOMEM));
}

static int open_journal(struct log_sink *sink, char why[LOG_SINK_WHY]) {
	*sink = (struct log_sink){.kind = LOG_SINK_JOURNAL, .envelope = LOG_ENVELOPE_JOURNAL};
	return open_path(sink, JOURNAL_PATH, NULL, why);
}

int log_sink_open(struct log_sink *sink, const char *target, const struct log_owner *owner,
	char why[LOG_SINK_WHY]) {
	const char *path = after(target, "file:");
	if(path) {
		return open_file(sink, path, owner, why);
	}
	if(after(target, "syslog")) {
		return open_syslog(sink, after(target, "syslog:"), why);
	}
	return strcmp(target, "journal") == 0 ? open_journal(sink, why) : open_stderr(sink);
}

void log_sink_close(struct log_sink *sink) {
	if(sink->fd != STDERR_FILENO) {
		close(sink->fd);
	}
	free(sink->owned);
	*sink = log_sink_initial;
}

const char *log_sink_name(const struct log_sink *sink) {
	static const char *const names[] = {
		[LOG_SINK_STDERR] = "standard error",
		[LOG_SINK_FILE] = "the log file",
		[LOG_SINK_SYSLOG] = "syslog",
		[LOG_SINK_JOURNAL] = "the journal",
	};
	return names[sink->kind];
}

/* ---- writing ---- */

/* Ready for one line? Not if the reader is gone: writing would raise SIGPIPE. */
static bool is_writable(const struct log_sink *sink) {
	struct pollfd request = {.fd = sink->fd, .events = POLLOUT};
	return poll(&request, 1, 0) == 1 && request.revents == POLLOUT;
}

/*
 * Returns how many bytes were written: fewer than `len` if a terminal or a disk has no more room.
 */
static size_t send_bytes(const struct log_sink *sink, const char *data, size_t len) {
	size_t sent = 0;
	while(sent < len) {
		ssize_t result = RETRY_INTERRUPTED(write(sink->fd, data + sent, len - sent));
		if(result <= 0) {
			break;
		}
		sent += (size_t)result;
	}
	return sent;
}

static bool send_stream(struct log_sink *sink, const char *line, size_t len) {
	if(!is_writable(sink) || (sink->cut && send_bytes(sink, "\n", 1) < 1)) {
		return false;
	}
	size_t sent = send_bytes(sink, line, len);
	sink->cut = sent > 0 && sent < len;
	return sent == len;
}

/* The receiver was started anew: its socket is another one. */
static bool connect_again(struct log_sink *sink) {
	int fd = sink->path ? connect_path(sink->path) : -1;
	if(fd < 0) {
		return false;
	}
	close(sink->fd);
	sink->fd = fd;
	return true;
}

static bool send_datagram(struct log_sink *sink, const char *line, size_t len) {
	ssize_t sent = send(sink->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if(sent >= 0) {
		return true;
	}
	/* UDP: the error is that of an earlier datagram, and is reported once. */
	bool again = errno == ECONNREFUSED && !sink->path;
	bool lost =
		errno == ECONNREFUSED || errno == ENOTCONN || errno == EPIPE || errno == ECONNRESET;
	return (again || (lost && connect_again(sink))) &&
		send(sink->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool log_sink_send(struct log_sink *sink, const char *line, size_t len) {
	bool stream = sink->kind == LOG_SINK_STDERR || sink->kind == LOG_SINK_FILE;
	return stream ? send_stream(sink, line, len) : send_datagram(sink, line, len);
}
