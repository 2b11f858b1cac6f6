/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The supervisor: start, signals, end.
 *
 * Must not know: connections; plugins, passwords and certificates, which each worker reads.
 * Invariants: the service manager and the process that was started are told that the daemon is ready
 * when all workers are; the listening sockets stay open as long as workers are started; the
 * supervisor has no threads and reads nothing from the network.
 */
#include "supervisor.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/loop_signals.h"
#include "base/machine.h"
#include "config/logging.h"
#include "config/service.h"
#include "network/tls_credentials.h"
#include "supervisor/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUPERVISOR_SIGNALLED 128 /* and the signal: the status, as of a shell */

/* ---- the end ---- */

static bool is_ending(const struct supervisor *supervisor) {
	return supervisor->ending || supervisor->stopping;
}

/* The last worker has ended, then the program. */
static void check_end(struct supervisor *supervisor) {
	if(!is_ending(supervisor) || workers_running(&supervisor->workers) > 0) {
		return;
	}
	program_stop(&supervisor->program);
	if(supervisor->processes.count == 0) {
		supervisor->loop.stop = true;
	}
}

static void processes_idle(struct process_set *set) {
	check_end(container_of(set, struct supervisor, processes));
}

/* No worker is started, and none listens, any more. */
static void end(struct supervisor *supervisor) {
	if(!supervisor->ending) {
		supervisor->ending = true;
		supervisor_reload_cancel(supervisor);
		listeners_close(&supervisor->listeners);
		workers_start_none(&supervisor->workers);
		workers_send_all(&supervisor->workers, LINK_END);
	}
}

/* Workers listen until drain-delay is over; the first one that says so ends that for all. */
static void drain(struct supervisor *supervisor) {
	supervisor->stopping = true;
	notify_send(supervisor->start->notify, "STOPPING=1");
	supervisor_reload_cancel(supervisor);
	workers_start_none(&supervisor->workers);
	workers_send_all(&supervisor->workers, LINK_DRAIN);
	check_end(supervisor);
}

static void stop(struct supervisor *supervisor) {
	if(supervisor->stopping) {
		return;
	}
	supervisor->stopping = true;
	notify_send(supervisor->start->notify, "STOPPING=1");
	end(supervisor);
	workers_send_all(&supervisor->workers, LINK_STOP);
	if(!supervisor->started) {
		workers_signal(&supervisor->workers, SIGTERM);
	}
	check_end(supervisor);
}

/* A second signal drops the connections, a third one ends workers that do not even do that. */
static void stop_faster(struct supervisor *supervisor) {
	if(supervisor->dropping) {
		workers_signal(&supervisor->workers, SIGKILL);
	}
	supervisor->dropping = true;
	end(supervisor);
	workers_send_all(&supervisor->workers, LINK_DROP);
	process_set_kill(&supervisor->processes);
}

static void program_ended(void *ctx, int status) {
	struct supervisor *supervisor = ctx;
	supervisor->status = status;
	if(!supervisor->stopping) {
		log_write(LOG_NOTICE, "stopping (wrap-mode = exit)");
		stop(supervisor);
	}
}

static void signal_received(struct loop *loop, int number) {
	struct supervisor *supervisor = container_of(loop, struct supervisor, loop);
	if(number == SIGUSR1) {
		logging_reopen(&supervisor->config);
		workers_send_all(&supervisor->workers, LINK_REOPEN);
	} else if(number == SIGHUP) {
		if(supervisor->started && !is_ending(supervisor)) {
			supervisor_reload(supervisor);
		}
	} else if(supervisor->stopping) {
		stop_faster(supervisor);
	} else {
		log_write(LOG_NOTICE, "stopping (%s)", strsignal(number));
		if(supervisor->started) {
			drain(supervisor);
		} else {
			stop(supervisor);
		}
	}
}

/* ---- workers ---- */

/* Everything that a start has to do when the last worker is ready. */
static void all_ready(struct supervisor *supervisor) {
	const struct supervisor_start *start = supervisor->start;
	int result = supervisor_start_program(supervisor, program_ended);
	if(result) {
		supervisor->status = EXIT_FAILURE;
		stop(supervisor);
		return;
	}
	supervisor->started = true;
	start->started(start->ctx);
	notify_send(start->notify, "READY=1");
	log_echo_errors(-1);
	detach_ready(start->detach);
}

/* The first one has found the configuration usable. */
static void start_others(struct supervisor *supervisor) {
	struct workers *workers = &supervisor->workers;
	for(size_t i = 1; i < workers->count; i++) {
		if(workers_start(&workers->worker[i])) {
			supervisor->status = EXIT_FAILURE;
			stop(supervisor);
			return;
		}
	}
}

static void worker_ready(struct supervisor *supervisor, struct worker *worker) {
	shared_beat(supervisor->shared, worker->number, supervisor->loop.now_ms);
	log_write(
		LOG_INFO, "worker %zu (process %d) is ready", worker->number + 1, (int)worker->pid);
	supervisor_send_addresses(supervisor, worker);
	if(supervisor->started || supervisor->stopping) {
		return;
	}
	if(worker->number == 0) {
		start_others(supervisor);
	}
	if(workers_ready(&supervisor->workers) == supervisor->workers.count) {
		all_ready(supervisor);
	}
}

static void worker_message(void *ctx, struct worker *worker, uint32_t kind) {
	struct supervisor *supervisor = ctx;
	switch(kind) {
	case LINK_READY:
		worker_ready(supervisor, worker);
		break;
	case LINK_RELOADED:
	case LINK_REFUSED:
		supervisor_reload_answered(supervisor, worker, kind == LINK_RELOADED);
		break;
	case LINK_ENDING:
		end(supervisor);
		break;
	case LINK_LEAVING:
		if(supervisor->stopping) {
			end(supervisor);
		}
		break;
	case LINK_ENDING_NOW:
		stop(supervisor);
		break;
	default:
		break;
	}
}

/* One that ends before all have been ready ends the start, with its status. */
static void start_failed(struct supervisor *supervisor, int status) {
	supervisor->status = WIFSIGNALED(status) ? SUPERVISOR_SIGNALLED + WTERMSIG(status)
		: WEXITSTATUS(status) != 0       ? WEXITSTATUS(status)
						 : EXIT_FAILURE;
	stop(supervisor);
}

static bool worker_gone(void *ctx, struct worker *worker, enum worker_state before, int status) {
	struct supervisor *supervisor = ctx;
	(void)before;
	shared_release(supervisor->shared, worker->number, supervisor->loop.now_ms);
	supervisor_reload_answered(supervisor, worker, false);
	if(!supervisor->started && !supervisor->stopping) {
		start_failed(supervisor, status);
	}
	check_end(supervisor);
	return !is_ending(supervisor);
}

static int worker_run(void *ctx, size_t number, int fd) {
	return supervisor_serve(ctx, number, fd);
}

/* ---- timers ---- */

/* A worker that hangs is replaced. */
static void kill_silent(const struct supervisor *supervisor, struct worker *worker) {
	uint64_t now_ms = supervisor->loop.now_ms;
	uint64_t beat_ms = shared_last_beat(supervisor->shared, worker->number);
	if(worker->state == WORKER_READY &&
		now_ms > beat_ms + supervisor->start->notify->watchdog_ms) {
		log_write(LOG_ERROR, "worker %zu (process %d) hangs; killing it",
			worker->number + 1, (int)worker->pid);
		kill(worker->pid, SIGKILL);
	}
}

/* Twice as often as the service manager asks for, as sd_watchdog_enabled(3) advises. */
static void watchdog_due(struct ev_timer *timer) {
	struct supervisor *supervisor = container_of(timer, struct supervisor, watchdog);
	struct notify *notify = supervisor->start->notify;
	for(size_t i = 0; i < supervisor->workers.count; i++) {
		kill_silent(supervisor, &supervisor->workers.worker[i]);
	}
	notify_send_once(notify, "WATCHDOG=1");
	loop_timer_set(&supervisor->loop, timer, supervisor->loop.now_ms + notify->watchdog_ms / 2);
}

static void tickets_due(struct ev_timer *timer) {
	struct supervisor *supervisor = container_of(timer, struct supervisor, tickets);
	int result = tls_tickets_renew(shared_tickets(supervisor->shared));
	if(result) {
		log_write(LOG_ERROR, "cannot renew the key for session tickets: %s",
			strerror(-result));
	}
	loop_timer_set(&supervisor->loop, timer, supervisor->loop.now_ms + TLS_TICKET_KEY_MS);
}

static int open_timers(struct supervisor *supervisor) {
	struct loop *loop = &supervisor->loop;
	uint64_t watchdog_ms = supervisor->start->notify->watchdog_ms / 2;
	int result = loop_timer_open(loop, &supervisor->watchdog, watchdog_due);
	if(result == 0) {
		result = loop_timer_open(loop, &supervisor->tickets, tickets_due);
	}
	if(result == 0 && watchdog_ms > 0) {
		loop_timer_set(loop, &supervisor->watchdog, loop->now_ms + watchdog_ms);
	}
	if(result == 0) {
		loop_timer_set(loop, &supervisor->tickets, loop->now_ms + TLS_TICKET_KEY_MS);
	}
	return result;
}

/* ---- the start ---- */

static int open_signals(struct supervisor *supervisor) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	signal(SIGPIPE, SIG_IGN);
	return loop_signals(&supervisor->loop, &set, signal_received);
}

/* Memory that the workers inherit. */
static int open_shared(struct supervisor *supervisor) {
	size_t workers = supervisor->config.settings.workers;
	int result = shared_open(&supervisor->shared, workers, supervisor->fd_limit / 2);
	if(result == 0) {
		result = login_limits_share(&supervisor->logins, workers);
	}
	return result ? result : tls_tickets_renew(shared_tickets(supervisor->shared));
}

static const struct workers_ops ops = {
	.run = worker_run,
	.message = worker_message,
	.gone = worker_gone,
};

static int open_loop(struct supervisor *supervisor) {
	struct loop *loop = &supervisor->loop;
	int result = loop_open(loop);
	process_set_init(&supervisor->processes, loop);
	supervisor->processes.idle = processes_idle;
	if(result == 0) {
		result = open_signals(supervisor);
	}
	if(result == 0) {
		result = notify_open(supervisor->start->notify, loop);
	}
	if(result == 0) {
		result = open_timers(supervisor);
	}
	if(result == 0) {
		result = open_shared(supervisor);
	}
	if(result == 0) {
		result = workers_open(&supervisor->workers, loop,
			supervisor->config.settings.workers, &ops, supervisor);
	}
	if(result) {
		log_write(LOG_ERROR, "cannot start: %s", strerror(-result));
	}
	return result;
}

/* One client needs one process. */
static int take_inetd(struct supervisor *supervisor) {
	struct inetd_socket socket;
	int result = service_take_inetd(supervisor->start->notify->listen_fds > 0, &socket);
	if(result == 0 && !socket.listens) {
		log_write(LOG_ERROR,
			"workers: the socket of inetd is a connection, which one process serves "
			"(use workers = 1)");
		return -EINVAL;
	}
	return result ? result : listeners_take(&supervisor->listeners, socket.fd, 1);
}

static int open_listeners(struct supervisor *supervisor) {
	const struct settings *settings = &supervisor->config.settings;
	struct listeners *listeners = &supervisor->listeners;
	int passed = supervisor->start->notify->listen_fds;
	int result = listeners_init(listeners, &supervisor->loop, NULL);
	listeners->workers = settings->workers;
	if(result) {
		log_write(LOG_ERROR, "cannot start: %s", strerror(-result));
		return result;
	}
	if(settings->inetd) {
		return take_inetd(supervisor);
	}
	return passed > 0
		? listeners_take(listeners, NOTIFY_LISTEN_START, passed)
		: listeners_open(listeners, settings->listens, settings->listen, settings->port);
}

static int open_all(struct supervisor *supervisor, const struct log_sink *sink) {
	const struct settings *settings = &supervisor->config.settings;
	supervisor->fd_limit = machine_raise_descriptors();
	int result = open_loop(supervisor);
	if(result == 0) {
		result = service_lock_pid_file(settings, &supervisor->pid_file);
	}
	if(result == 0) {
		result = open_listeners(supervisor);
	}
	if(result == 0) {
		logging_leave_streams(settings, sink, supervisor->start->detach);
		result = workers_start(&supervisor->workers.worker[0]);
	}
	return result;
}

static void close_all(struct supervisor *supervisor) {
	supervisor_reload_cancel(supervisor);
	workers_close(&supervisor->workers);
	program_close(&supervisor->program);
	process_set_close(&supervisor->processes);
	if(supervisor->listeners.loop) {
		listeners_close(&supervisor->listeners);
	}
	loop_timer_close(&supervisor->loop, &supervisor->watchdog);
	loop_timer_close(&supervisor->loop, &supervisor->tickets);
	notify_close(supervisor->start->notify);
	pid_file_remove(&supervisor->pid_file);
	loop_close(&supervisor->loop);
	login_limits_close(supervisor->logins);
	shared_close(supervisor->shared);
	config_free(&supervisor->config);
}

/* 0; or negative errno after a line in the log. */
static int open_log(const struct config *config, struct log_sink *sink) {
	int result = logging_open(config, sink);
	if(result == 0) {
		logging_use(&config->settings, sink);
		log_echo_errors(STDERR_FILENO); /* to the one who starts the daemon */
	}
	return result;
}

int supervisor_run(const struct supervisor_start *start) {
	struct supervisor supervisor = {.start = start, .begun_ms = clock_ms()};
	struct log_sink sink;
	int result = config_peek(&supervisor.config, start->argc, start->argv);
	if(result) {
		log_write(LOG_ERROR, "cannot start: the configuration has changed meanwhile");
	} else {
		service_hide_memory(&supervisor.config.settings);
		result = open_log(&supervisor.config, &sink);
	}
	if(result) {
		config_free(&supervisor.config);
		return result;
	}
	announced_init(&supervisor.announced);
	result = open_all(&supervisor, &sink);
	if(result == 0) {
		result = loop_run(&supervisor.loop);
	}
	if(result == 0) {
		result = supervisor.status;
	}
	close_all(&supervisor);
	return result;
}
