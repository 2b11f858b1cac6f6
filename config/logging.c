/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of the log put into effect.
 *
 * Must not know: how lines are written.
 * Invariants: the old target stays in use until the new one is open.
 */
#include "config/logging.h"

#include "base/file.h"
#include "service/privileges.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOGGING_FILE "file:"

/* inetd connects standard error to the client, which gets none of the lines. */
static bool is_discarded(int fd) {
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) &&
		status.st_rdev == makedev(1, 3);
}

const char *logging_target(const struct settings *settings) {
	if(settings->log_target) {
		return settings->log_target;
	}
	bool hidden = settings->daemon || (settings->inetd && is_discarded(STDERR_FILENO));
	return hidden ? "syslog" : "stderr";
}

bool logging_is_stderr(const struct settings *settings) {
	return strcmp(logging_target(settings), "stderr") == 0;
}

/* The user that the daemon changes to opens the file again. */
static struct log_owner find_owner(const struct settings *settings) {
	const struct privileges_names names = {.user = settings->user, .group = settings->group};
	struct privileges privileges;
	struct privileges_error error;
	if((!names.user && !names.group) || privileges_find(&names, &privileges, &error)) {
		return (struct log_owner){.set = false};
	}
	return (struct log_owner){.set = true,
		.uid = privileges.set_user ? privileges.uid : (uid_t)-1,
		.gid = privileges.set_group ? privileges.gid : (gid_t)-1};
}

int logging_open(const struct config *config, struct log_sink *sink) {
	const struct log_owner owner = find_owner(&config->settings);
	char why[LOG_SINK_WHY];
	char inside[PATH_MAX];
	const char *target = logging_target(&config->settings);
	const char *path = target;
	if(config->root && strncmp(target, LOGGING_FILE, strlen(LOGGING_FILE)) == 0) {
		snprintf(inside, sizeof(inside), LOGGING_FILE "%s",
			file_beneath(config->root, target + strlen(LOGGING_FILE)));
		path = inside;
	}
	int result = log_sink_open(sink, path, &owner, why);
	if(result && !config->settings.log_target) {
		/* A container without a syslog daemon should not need an option to start. */
		log_write(LOG_WARNING,
			"log-target: \"%s\" (default): %s; nothing is logged from here on", target,
			why);
		return log_sink_open(sink, "stderr", &owner, why);
	}
	if(result) {
		log_write(LOG_ERROR, "log-target: \"%s\": %s", target, why);
	}
	return result;
}

void logging_begin_hidden(void) {
	const struct log_owner owner = {.set = false};
	char why[LOG_SINK_WHY];
	struct log_sink sink;
	if(log_sink_open(&sink, "syslog", &owner, why) == 0) {
		log_use(&sink, LOG_FORMAT_TEXT);
	}
}

void logging_use(const struct settings *settings, const struct log_sink *sink) {
	log_use(sink, (enum log_format)settings->log_format);
	log_set_level(settings->log_level);
}

/* A program that is started inherits standard error. */
void logging_leave_streams(
	const struct settings *settings, const struct log_sink *sink, struct detach *detach) {
	bool keep_error = logging_is_stderr(settings);
	log_echo_errors(detach_streams(detach, keep_error));
	if(!keep_error && sink->kind == LOG_SINK_STDERR) {
		log_open(); /* there is no syslog: not on the terminal any more */
	}
}

void logging_reopen(const struct config *config) {
	struct log_sink sink;
	if(logging_open(config, &sink) == 0) {
		logging_use(&config->settings, &sink);
	}
}
