/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options for running as a service.
 *
 * Must not know: how they are carried out (service/).
 */
#include "config/service.h"

#include "config/files.h"
#include "service/hardening.h"
#include "service/notify.h"
#include "service/privileges.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct privileges_names names_of(const struct settings *settings) {
	return (struct privileges_names){
		.user = settings->user, .group = settings->group, .root = settings->chroot};
}

static void check_privileges(struct reader *reader) {
	struct privileges_names names = names_of(&reader->config->settings);
	struct privileges privileges;
	struct privileges_error error;
	if(privileges_find(&names, &privileges, &error)) {
		reader_blame(reader, error.option);
		reader_error(reader, "%s", error.text);
	}
}

static void check_inetd(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	if(settings->inetd && settings->daemon) {
		reader_blame(
			reader, reader_is_later(reader, "inetd", "daemon") ? "inetd" : "daemon");
		reader_error(reader,
			"inetd and daemon exclude each other: inetd has detached already (give "
			"one of them)");
	}
}

/* Standard output is a terminal or a file of the caller. */
static void check_traffic(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	const char *other = settings->daemon ? "daemon" : "inetd";
	if(settings->traffic && (settings->daemon || settings->inetd)) {
		reader_blame(reader, reader_is_later(reader, "traffic", other) ? "traffic" : other);
		reader_error(reader,
			"traffic and %s exclude each other: there is no standard output to write "
			"to (give one of them)",
			other);
	}
}

static void check_workers(struct reader *reader) {
	const struct settings *settings = &reader->config->settings;
	bool changes = settings->user || settings->group || settings->chroot;
	if(settings->workers <= 1) {
		return;
	}
	if(settings->run_once) {
		reader_blame(reader,
			reader_is_later(reader, "run-once", "workers") ? "run-once" : "workers");
		reader_error(reader,
			"run-once and workers exclude each other: one process serves the one "
			"connection (use workers = 1)");
	}
	if(reader->config->program && settings->wrap != SETTINGS_WRAP_STDIO && changes) {
		reader_blame(reader, "workers");
		reader_error(reader,
			"with user, group or chroot, a program of wrap = port or unix needs "
			"workers = 1: the supervisor, which starts it, keeps its privileges");
	}
}

void service_check(struct reader *reader) {
	check_inetd(reader);
	check_traffic(reader);
	check_workers(reader);
	if(!reader->running) { /* a reload does not change them */
		check_privileges(reader);
	}
}

/* ---- the start ---- */

void service_hide_memory(const struct settings *settings) {
	int result = settings->core_dump ? 0 : hardening_hide_memory();
	if(result) {
		log_write(LOG_WARNING, "core-dump: cannot be switched off: %s", strerror(-result));
	}
}

int service_lock_pid_file(const struct settings *settings, struct pid_file *file) {
	char error[PID_FILE_ERROR_MAX];
	const char *path = settings->pid_file;
	int result = path ? pid_file_open(file, path, error) : 0;
	if(result) {
		log_write(LOG_ERROR, "pid-file: \"%s\" %s", path, error);
	}
	return result;
}

int service_take_inetd(bool passed, struct inetd_socket *out) {
	*out = (struct inetd_socket){0};
	int result = inetd_take(passed ? NOTIFY_LISTEN_START : STDIN_FILENO, out);
	if(result) {
		log_write(LOG_ERROR,
			"inetd: %s is not a stream socket that listens or is connected (%s)",
			passed ? "the passed socket" : "standard input", strerror(-result));
	}
	return result;
}

/* ---- what a reload needs ---- */

static void check_file(void *ctx, const char *option, const char *path) {
	const struct settings *settings = ctx;
	const char *changed = settings->chroot ? "chroot" : settings->user ? "user" : "group";
	if(access(path, R_OK) < 0) {
		log_write(LOG_WARNING,
			"%s: a reload needs \"%s\" (%s), which is not readable any more: %s",
			changed, path, option ? option : "configuration file", strerror(errno));
	}
}

/* Name lookups read them whenever they have changed. */
static void check_lookup(const struct config *config) {
	static const char *const files[] = {"/etc/hosts", "/etc/resolv.conf"};
	size_t count = config->settings.resolver ? 1 : 2;
	for(size_t i = 0; config->root && i < count; i++) {
		if(access(files[i], R_OK) < 0) {
			log_write(LOG_WARNING,
				"chroot: name lookups need %s in the new root directory: %s",
				files[i], strerror(errno));
		}
	}
}

/* ---- giving up ---- */

static int drop(struct config *config) {
	struct privileges_names names = names_of(&config->settings);
	struct privileges privileges;
	struct privileges_error error;
	int result = privileges_find(&names, &privileges, &error);
	if(result == 0) {
		result = privileges_drop(&privileges, names.root, &error);
	}
	if(result) {
		log_write(LOG_ERROR, "%s: %s", error.option, error.text);
	}
	return result;
}

int service_drop_privileges(struct config *config) {
	const struct settings *settings = &config->settings;
	if(!settings->user && !settings->group && !settings->chroot) {
		if(geteuid() == 0) {
			log_write(LOG_WARNING,
				"running as root; set user to a user without privileges");
		}
		return 0;
	}
	int result = drop(config);
	if(result == 0 && settings->chroot && geteuid() == 0) {
		log_write(LOG_WARNING, "chroot: root can leave it; set user, too");
	}
	if(result == 0 && settings->chroot) {
		result = files_enter_root(config);
	}
	if(result == 0) {
		files_each(config, check_file, &config->settings);
		check_lookup(config);
	}
	if(result == 0) {
		/* A change of the user has set it as the system has it (fs.suid_dumpable). */
		prctl(PR_SET_DUMPABLE, settings->core_dump ? 1 : 0, 0, 0, 0);
	}
	return result ? result : 1;
}
