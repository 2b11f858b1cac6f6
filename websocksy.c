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
#include "base/machine.h"
#include "bridge/bridge.h"
#include "bridge/renew.h"
#include "builtins.h"
#include "compat/compat.h"
#include "config.h"
#include "config/logging.h"
#include "config/print.h"
#include "config/service.h"
#include "plugin.h"
#include "plugin/catalog.h"
#include "service/detach.h"
#include "service/inetd.h"
#include "service/notify.h"
#include "service/pid_file.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct daemon {
	struct loop loop;
	struct bridge *bridge;
	struct notify notify;
	struct ev_timer watchdog;
	uint64_t watchdog_ms; /* time between two messages; 0: none wanted */
	struct detach detach;
	struct pid_file pid_file;
	struct compat compat;
	bool supervises; /* the work is done by other processes */
	int argc;
	char **argv;
};

static void reload(struct daemon *daemon) {
	notify_send_reloading(&daemon->notify);
	if(renew(daemon->bridge, daemon->argc, daemon->argv)) {
		log_write(LOG_ERROR, RENEW_FAILED);
	} else {
		log_write(LOG_NOTICE, RENEW_DONE);
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
	if(bridge_is_stopping(daemon->bridge)) {
		bridge_drop(daemon->bridge);
		return;
	}
	notify_send(&daemon->notify, "STOPPING=1");
	bridge_drain(daemon->bridge);
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

/* Everything is open that needs privileges. */
static int sockets_bound(void *ctx, struct config *config) {
	struct daemon *daemon = ctx;
	int result = service_drop_privileges(config);
	if(result > 0 && config->root) {
		pid_file_enter_root(&daemon->pid_file, config->root);
	}
	return result;
}

static int open_bridge(struct daemon *daemon, struct config *config) {
	struct bridge_start start = {
		.first_fd = NOTIFY_LISTEN_START,
		.passed = daemon->notify.listen_fds,
		.fd_limit = machine_raise_descriptors(),
		.bound = sockets_bound,
		.ctx = daemon,
	};
	int result = service_lock_pid_file(&config->settings, &daemon->pid_file);
	if(result == 0 && config->settings.inetd) {
		struct inetd_socket socket;
		result = service_take_inetd(daemon->notify.listen_fds > 0, &socket);
		start.passed = result == 0 && socket.listens;
		*(socket.listens ? &start.first_fd : &start.client_fd) = socket.fd;
	}
	return result ? result : bridge_open(&daemon->bridge, &daemon->loop, config, &start);
}

static int serve(struct daemon *daemon, struct config *config) {
	struct log_sink sink;
	service_hide_memory(&config->settings);
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
	logging_leave_streams(&bridge_config(daemon->bridge)->settings, &sink, &daemon->detach);
	result = bridge_start_program(daemon->bridge);
	if(result) {
		goto out;
	}
	compat_started(&daemon->compat);
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
	case CONFIG_PLUGINS:
		catalog_print(config->settings.plugin_path);
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

/* Standard error may be the client of inetd: then the log begins elsewhere. */
static void protect_streams(void) {
	bool hidden = inetd_protect_streams();
	log_open();
	if(hidden) {
		logging_begin_hidden();
	}
}

/*
 * The options that count before the configuration is read, and before plugins are loaded, which may
 * start threads. With an error it is not known whether the streams are a client's.
 */
static int prepare(struct daemon *daemon) {
	struct config config;
	int result = config_peek(&config, daemon->argc, daemon->argv);
	bool runs = config.action == CONFIG_RUN;
	bool detaches = runs && result == 0 && config.settings.daemon;
	daemon->supervises = runs && result == 0 && config.settings.workers > 1;
	if(runs && (result || config.settings.inetd)) {
		protect_streams();
	}
	config_free(&config);
	if(!detaches) {
		return 0;
	}
	static_assert(COMPAT_SECRETS <= DETACH_KEEP_MAX, "all of them stay open");
	for(size_t i = 0; i < daemon->compat.secrets; i++) {
		daemon->detach.keep_fd[i] = daemon->compat.secret_fd[i];
	}
	result = detach_begin(&daemon->detach, NOTIFY_LISTEN_START + daemon->notify.listen_fds);
	if(result) {
		log_write(LOG_ERROR, "daemon: cannot detach: %s", strerror(-result));
	}
	return result;
}

static void workers_serve(void *ctx) {
	const struct daemon *daemon = ctx;
	compat_started(&daemon->compat);
}

/* Several workers: each reads the configuration. */
static int supervise(struct daemon *daemon) {
	const struct supervisor_start start = {
		.argc = daemon->argc,
		.argv = daemon->argv,
		.notify = &daemon->notify,
		.detach = &daemon->detach,
		.started = workers_serve,
		.ctx = daemon,
	};
	return supervisor_run(&start);
}

/* Reads the configuration and does what it asks for. 0 or negative errno. */
static int start(struct daemon *daemon) {
	struct config config = {0};
	int result = builtins_register();
	if(result == 0) {
		result = prepare(daemon);
	}
	if(result == 0 && daemon->supervises) {
		return supervise(daemon);
	}
	if(result == 0) {
		result = config_read(&config, daemon->argc, daemon->argv);
	}
	if(result == 0) {
		result = act(daemon, &config);
	}
	config_free(&config);
	plugin_shutdown();
	return result;
}

int main(int argc, char **argv) {
	struct daemon daemon = {0};
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
	log_open();
	notify_init(&daemon.notify);
	if(compat_begin(&daemon.compat, argc, argv)) {
		daemon.argc = daemon.compat.argc;
		daemon.argv = daemon.compat.argv;
		int result = start(&daemon);
		daemon.compat.status = result < 0 ? EXIT_FAILURE : result;
	}
	compat_free(&daemon.compat);
	return daemon.compat.status;
}
