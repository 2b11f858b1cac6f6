/* SPDX-License-Identifier: BSD-2-Clause
 *
 * main: the order of start and stop, signals, reload, and the service manager.
 *
 * Must not know: connections.
 * Invariants: nothing is announced as ready before it listens; what was opened is closed in reverse
 * order.
 */
#include "websocksy.h"
#include "base/log.h"
#include "base/loop_signals.h"
#include "bridge/bridge.h"
#include "builtins.h"
#include "config.h"
#include "config/logging.h"
#include "config/print.h"
#include "config/service.h"
#include "plugin.h"
#include "service/detach.h"
#include "service/hardening.h"
#include "service/inetd.h"
#include "service/notify.h"
#include "service/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct daemon {
	struct loop loop;
	struct bridge *bridge;
	struct notify notify;
	struct ev_timer watchdog;
	uint64_t watchdog_ms; /* time between two messages; 0: none wanted */
	struct detach detach;
	struct pid_file pid_file;
	int argc;
	char **argv;
};

/* A client and its peer take two descriptors, so as many as the system grants. */
static size_t raise_fd_limit(void) {
	struct rlimit limit;
	if(getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 0;
	}
	if(limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if(setrlimit(RLIMIT_NOFILE, &limit) < 0) {
			limit.rlim_cur = before;
		}
	}
	return (size_t)limit.rlim_cur;
}

static void hide_memory(const struct settings *settings) {
	int result = settings->core_dump ? 0 : hardening_hide_memory();
	if(result) {
		log_write(LOG_WARNING, "core-dump: cannot be switched off: %s", strerror(-result));
	}
}

static void notify_reloading(struct daemon *daemon) {
	char state[NOTIFY_STATE_MAX];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, usec);
	notify_send(&daemon->notify, state);
}

static void reload(struct daemon *daemon) {
	struct config config = {0};
	struct log_sink sink = log_sink_initial;
	notify_reloading(daemon);
	if(config_read_again(&config, bridge_config(daemon->bridge), daemon->argc, daemon->argv) ||
		logging_open(&config, &sink) || bridge_reload(daemon->bridge, &config)) {
		log_write(LOG_ERROR, "the new configuration is not usable; nothing has changed");
		log_sink_close(&sink);
		config_discard(&config);
	} else {
		logging_use(&bridge_config(daemon->bridge)->settings, &sink);
		log_write(LOG_NOTICE, "the configuration has been read again");
	}
	notify_send(&daemon->notify, "READY=1");
}

static void signal_received(struct loop *loop, int number) {
	struct daemon *daemon = container_of(loop, struct daemon, loop);
	if(number == SIGUSR1) {
		logging_reopen(bridge_config(daemon->bridge));
		return;
	}
	if(number == SIGHUP && bridge_is_stopping(daemon->bridge)) {
		return;
	}
	if(number == SIGHUP) {
		reload(daemon);
		return;
	}
	log_write(LOG_NOTICE, "stopping (%s)", strsignal(number));
	notify_send(&daemon->notify, "STOPPING=1");
	bridge_stop(daemon->bridge);
}

static void watchdog_due(struct ev_timer *timer) {
	struct daemon *daemon = container_of(timer, struct daemon, watchdog);
	notify_send_once(&daemon->notify, "WATCHDOG=1");
	loop_timer_set(&daemon->loop, timer, daemon->loop.now_ms + daemon->watchdog_ms);
}

/* Twice as often as the service manager asks for, as sd_watchdog_enabled(3) advises. */
static int watchdog_begin(struct daemon *daemon) {
	daemon->watchdog_ms = daemon->notify.watchdog_ms / 2;
	if(daemon->watchdog_ms == 0) {
		return 0;
	}
	int result = loop_timer_open(&daemon->loop, &daemon->watchdog, watchdog_due);
	if(result == 0) {
		loop_timer_set(&daemon->loop, &daemon->watchdog,
			daemon->loop.now_ms + daemon->watchdog_ms);
	}
	return result;
}

static int signals_begin(struct daemon *daemon) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	/* Writing to a fifo without a reader is an error like any other, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return loop_signals(&daemon->loop, &set, signal_received);
}

static int lock_pid_file(struct daemon *daemon, const char *path) {
	char error[PID_FILE_ERROR_MAX];
	int result = path ? pid_file_open(&daemon->pid_file, path, error) : 0;
	if(result) {
		log_write(LOG_ERROR, "pid-file: \"%s\" %s", path, error);
	}
	return result;
}

/* Everything is open that needs privileges. */
static int sockets_bound(void *ctx, struct config *config) {
	struct daemon *daemon = ctx;
	int result = service_drop_privileges(config);
	if(result > 0 && config->root) {
		pid_file_enter_root(&daemon->pid_file, config->root);
	}
	return result;
}

/* The socket of inetd is a passed one, or the client. 0; or negative errno after a line in the log. */
static int take_inetd(const struct daemon *daemon, struct bridge_start *start) {
	struct inetd_socket socket;
	int from = daemon->notify.listen_fds > 0 ? NOTIFY_LISTEN_START : STDIN_FILENO;
	int result = inetd_take(from, &socket);
	if(result) {
		log_write(LOG_ERROR,
			"inetd: %s is not a stream socket that listens or is connected (%s)",
			from == STDIN_FILENO ? "standard input" : "the passed socket",
			strerror(-result));
		return result;
	}
	start->passed = socket.listens;
	*(socket.listens ? &start->first_fd : &start->client_fd) = socket.fd;
	return 0;
}

static int open_bridge(struct daemon *daemon, struct config *config) {
	struct bridge_start start = {
		.first_fd = NOTIFY_LISTEN_START,
		.passed = daemon->notify.listen_fds,
		.fd_limit = raise_fd_limit(),
		.bound = sockets_bound,
		.ctx = daemon,
	};
	int result = lock_pid_file(daemon, config->settings.pid_file);
	if(result == 0 && config->settings.inetd) {
		result = take_inetd(daemon, &start);
	}
	return result ? result : bridge_open(&daemon->bridge, &daemon->loop, config, &start);
}

/* A program that is started inherits standard error. */
static void leave_streams(struct daemon *daemon, const struct log_sink *sink) {
	bool keep_error = logging_is_stderr(&bridge_config(daemon->bridge)->settings);
	log_echo_errors(detach_streams(&daemon->detach, keep_error));
	if(!keep_error && sink->kind == LOG_SINK_STDERR) {
		log_open(); /* there is no syslog: not on the terminal any more */
	}
}

static int serve(struct daemon *daemon, struct config *config) {
	struct log_sink sink;
	hide_memory(&config->settings);
	int result = logging_open(config, &sink);
	if(result) {
		return result;
	}
	logging_use(&config->settings, &sink);
	log_echo_errors(STDERR_FILENO); /* to the one who starts the daemon */
	result = loop_open(&daemon->loop);
	if(result == 0) {
		result = signals_begin(daemon);
	}
	if(result == 0) {
		result = notify_open(&daemon->notify, &daemon->loop);
	}
	if(result == 0) {
		result = watchdog_begin(daemon);
	}
	if(result) {
		log_write(LOG_ERROR, "cannot start: %s", strerror(-result));
		goto out;
	}
	result = open_bridge(daemon, config);
	if(result) {
		goto out; /* it has said why */
	}
	leave_streams(daemon, &sink);
	result = bridge_start_program(daemon->bridge);
	if(result) {
		goto out;
	}
	notify_send(&daemon->notify, "READY=1");
	log_echo_errors(-1);
	detach_ready(&daemon->detach);
	result = loop_run(&daemon->loop);
	if(result) {
		log_write(LOG_ERROR, "epoll: %s", strerror(-result));
	} else {
		result = bridge_exit_status(daemon->bridge);
	}
out:
	bridge_close(daemon->bridge);
	loop_timer_close(&daemon->loop, &daemon->watchdog);
	notify_close(&daemon->notify);
	pid_file_remove(&daemon->pid_file);
	loop_close(&daemon->loop);
	return result;
}

static int act(struct daemon *daemon, struct config *config) {
	switch(config->action) {
	case CONFIG_HELP:
		print_help();
		return 0;
	case CONFIG_VERSION:
		printf("websocksy %s (plugin API version %d)\n", WEBSOCKSY_VERSION,
			WEBSOCKSY_API_VERSION);
		return 0;
	case CONFIG_TEST:
		if(config->refuses_all) {
			log_write(LOG_ERROR,
				"the configuration is not usable: every client would "
				"be refused");
			return -EINVAL;
		}
		log_write(LOG_NOTICE, "the configuration is fine");
		return 0;
	case CONFIG_DUMP:
		print_config(config);
		return 0;
	default:
		return serve(daemon, config);
	}
}

/*
 * With 0 to 2 closed the next socket would get such a number, and the log would be written into it.
 */
static void fill_standard_fds(void) {
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while(fd >= 0 && fd <= STDERR_FILENO);
	if(fd > STDERR_FILENO) {
		close(fd);
	}
}

/* Before plugins are loaded, which may start threads. */
static int detach(struct daemon *daemon) {
	struct config config;
	int result = 0;
	if(config_peek(&config, daemon->argc, daemon->argv) == 0 && config.action == CONFIG_RUN &&
		config.settings.daemon) {
		result = detach_begin(
			&daemon->detach, NOTIFY_LISTEN_START + daemon->notify.listen_fds);
	}
	config_free(&config);
	if(result) {
		log_write(LOG_ERROR, "daemon: cannot detach: %s", strerror(-result));
	}
	return result;
}

int main(int argc, char **argv) {
	struct config config = {0};
	struct daemon daemon = {.argc = argc, .argv = argv};
	/*
	 * First, so that a signal that comes early is handled when the loop runs, instead of ending
	 * the process. The signals that stop the daemon end a start at once, whatever it waits for.
	 */
	sigset_t early;
	sigemptyset(&early);
	sigaddset(&early, SIGHUP);
	sigaddset(&early, SIGUSR1);
	sigprocmask(SIG_BLOCK, &early, NULL);
	fill_standard_fds();
	bool hidden = inetd_protect_streams();
	log_open();
	if(hidden) {
		logging_begin_hidden();
	}
	notify_init(&daemon.notify);
	int result = builtins_register();
	if(result == 0) {
		result = detach(&daemon);
	}
	if(result == 0) {
		result = config_read(&config, argc, argv);
	}
	if(result == 0) {
		result = act(&daemon, &config);
	}
	config_free(&config);
	plugin_shutdown();
	return result < 0 ? EXIT_FAILURE : result;
}
