/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A worker: the process that serves some of the clients.
 *
 * Must not know: other workers.
 * Invariants: of what the supervisor had open, only what a worker uses stays open; it ends with the
 * supervisor.
 */
#include "base/log.h"
#include "base/loop_signals.h"
#include "bridge/bridge.h"
#include "bridge/renew.h"
#include "config/logging.h"
#include "config/service.h"
#include "plugin.h"
#include "supervisor/internal.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKER_BEATS 4 /* within the time of the watchdog */

struct worker_process {
	struct loop loop;
	struct bridge *bridge;
	struct bridge_worker place;
	struct link link;
	struct ev_timer beat;
	uint64_t beat_ms; /* 0: no service manager watches */
	const struct supervisor_start *start;
	int error_fd; /* of the one who waits for the start; 0: none does */
	struct listener_share *share; /* sockets for the next reload */
	size_t shares;
};

/* ---- what stays open ---- */

static int compare_fds(const void *a, const void *b) {
	return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors but the standard streams and those in the list. */
static void close_others(int *keep, size_t count) {
	unsigned next = STDERR_FILENO + 1;
	qsort(keep, count, sizeof(*keep), compare_fds);
	for(size_t i = 0; i < count; i++) {
		if(keep[i] < 0 || (unsigned)keep[i] < next) {
			continue;
		}
		if((unsigned)keep[i] > next) {
			close_range(next, (unsigned)keep[i] - 1, 0);
		}
		next = (unsigned)keep[i] + 1;
	}
	close_range(next, UINT_MAX, 0);
}

/* 0 or -ENOMEM. */
static int leave_supervisor(struct worker_process *process, struct supervisor *supervisor, int fd) {
	int count = listeners_shares(
		&supervisor->listeners, NULL, process->place.number, &process->share);
	if(count < 0) {
		return count;
	}
	process->shares = (size_t)count;
	int *keep = malloc((process->shares + 3 + DETACH_KEEP_MAX) * sizeof(*keep));
	if(!keep) {
		return -ENOMEM;
	}
	for(size_t i = 0; i < process->shares; i++) {
		keep[i] = process->share[i].fd;
	}
	size_t kept = process->shares;
	keep[kept++] = fd;
	keep[kept++] = log_descriptor();
	keep[kept++] = process->error_fd;
	for(size_t i = 0; i < DETACH_KEEP_MAX; i++) {
		keep[kept++] = supervisor->start->detach->keep_fd[i];
	}
	close_others(keep, kept);
	free(keep);
	return 0;
}

/* ---- orders of the supervisor ---- */

static void drop_shares(struct worker_process *process) {
	for(size_t i = 0; i < process->shares; i++) {
		close(process->share[i].fd);
	}
	process->shares = 0;
}

static void add_share(struct worker_process *process, const struct link_message *message, int fd) {
	struct listener_share *more =
		reallocarray(process->share, process->shares + 1, sizeof(*process->share));
	if(!more) {
		close(fd);
		return;
	}
	process->share = more;
	more[process->shares++] = (struct listener_share){.fd = fd,
		.number = message->number,
		.tls = (enum address_tls)message->tls,
		.shared = message->shared};
}

static void answer(const struct worker_process *process, uint32_t kind) {
	const struct link_message message = {.kind = kind};
	link_send(&process->link, &message, -1);
}

/* All but the first have nothing new to say. */
static void be_quiet(bool quiet, const struct settings *settings) {
	if(quiet) {
		log_set_level(LOG_ERROR);
	} else {
		log_set_level(settings->log_level);
	}
}

static void reload(struct worker_process *process, bool quiet) {
	const struct supervisor_start *start = process->start;
	be_quiet(quiet, &bridge_config(process->bridge)->settings);
	int result = renew(process->bridge, start->argc, start->argv);
	be_quiet(false, &bridge_config(process->bridge)->settings);
	if(result == 0) {
		result = bridge_follow(process->bridge, process->share, process->shares);
		process->shares = 0;
	}
	drop_shares(process);
	answer(process, result ? LINK_REFUSED : LINK_RELOADED);
}

static void obey(struct worker_process *process, const struct link_message *message, int fd) {
	switch(message->kind) {
	case LINK_LISTENER:
		add_share(process, message, fd);
		break;
	case LINK_RELOAD:
		reload(process, message->number == 0);
		break;
	case LINK_REOPEN:
		logging_reopen(bridge_config(process->bridge));
		break;
	case LINK_END:
		bridge_end(process->bridge);
		break;
	case LINK_DRAIN:
		bridge_drain(process->bridge);
		break;
	case LINK_STOP:
		bridge_stop(process->bridge);
		break;
	case LINK_DROP:
		bridge_drop(process->bridge);
		break;
	case LINK_FORGET:
		announced_clear(bridge_announced(process->bridge));
		break;
	case LINK_ADDRESS:
		announced_add(bridge_announced(process->bridge), &message->address);
		break;
	default:
		break;
	}
}

static void received(struct link *link, const struct link_message *message, int fd) {
	struct worker_process *process = container_of(link, struct worker_process, link);
	if(message) {
		obey(process, message, fd);
	} else if(!bridge_is_stopping(process->bridge)) {
		log_write(LOG_ERROR, "the supervisor has ended; stopping");
		bridge_stop(process->bridge);
	}
}

/* ---- events ---- */

/* The service manager sends it to all processes, and the supervisor gives its order besides. */
static void signal_received(struct loop *loop, int number) {
	struct worker_process *process = container_of(loop, struct worker_process, loop);
	(void)number;
	bridge_drain(process->bridge);
}

static void beat_due(struct ev_timer *timer) {
	struct worker_process *process = container_of(timer, struct worker_process, beat);
	uint64_t now_ms = process->loop.now_ms;
	shared_beat(process->place.shared, process->place.number, now_ms);
	loop_timer_set(&process->loop, timer, now_ms + process->beat_ms);
}

static void tell(void *ctx, uint32_t kind) {
	answer(ctx, kind);
}

/* Paths and rights change: 1. */
static int sockets_bound(void *ctx, struct config *config) {
	(void)ctx;
	return service_drop_privileges(config);
}

/* ---- the start ---- */

static int open_signals(struct worker_process *process) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return loop_signals(&process->loop, &set, signal_received);
}

static int open_beat(struct worker_process *process) {
	process->beat_ms = process->start->notify->watchdog_ms / WORKER_BEATS;
	int result = loop_timer_open(&process->loop, &process->beat, beat_due);
	if(result == 0 && process->beat_ms > 0) {
		loop_timer_set(
			&process->loop, &process->beat, process->loop.now_ms + process->beat_ms);
	}
	return result;
}

static int open_loop(struct worker_process *process, int fd) {
	process->link.io.fd = -1;
	int result = loop_open(&process->loop);
	if(result == 0) {
		result = open_signals(process);
	}
	if(result == 0) {
		result = link_open(&process->link, &process->loop, fd, received);
	}
	if(result == 0) {
		result = open_beat(process);
	}
	if(result) {
		log_write(LOG_ERROR, "cannot start: %s", strerror(-result));
	}
	return result;
}

/* Signals that end a start at once. */
static void allow_signals(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int open_bridge(
	struct worker_process *process, struct supervisor *supervisor, struct config *config) {
	const struct bridge_start start = {
		.worker = &process->place,
		.fd_limit = supervisor->fd_limit,
		.bound = sockets_bound,
		.ctx = process,
	};
	process->place.ctx = process;
	process->place.share = process->share;
	process->place.shares = process->shares;
	process->shares = 0;
	return bridge_open(&process->bridge, &process->loop, config, &start);
}

static int run(struct worker_process *process) {
	be_quiet(false, &bridge_config(process->bridge)->settings);
	log_echo_errors(-1);
	if(process->error_fd > 0) {
		close(process->error_fd);
	}
	if(bridge_config(process->bridge)->settings.daemon && chdir("/") < 0) {
		log_write(LOG_WARNING, "cannot change to the directory /: %s", strerror(errno));
	}
	answer(process, LINK_READY);
	int result = loop_run(&process->loop);
	if(result) {
		log_write(LOG_ERROR, "epoll: %s", strerror(-result));
	}
	return result;
}

static int serve(struct worker_process *process, struct supervisor *supervisor,
	struct config *config, int fd) {
	struct log_sink sink;
	bool quiet = supervisor->started || process->place.number > 0;
	int result = logging_open(config, &sink);
	if(result) {
		return result;
	}
	logging_use(&config->settings, &sink);
	be_quiet(quiet, &config->settings);
	result = open_loop(process, fd);
	if(result == 0) {
		result = open_bridge(process, supervisor, config);
	}
	if(result == 0) {
		result = run(process);
	}
	bridge_close(process->bridge);
	loop_timer_close(&process->loop, &process->beat);
	link_close(&process->link);
	loop_close(&process->loop);
	return result;
}

int supervisor_serve(struct supervisor *supervisor, size_t number, int fd) {
	struct config config = {0};
	struct worker_process process = {
		.start = supervisor->start,
		.error_fd = supervisor->started ? 0 : supervisor->start->detach->error_fd,
		.place = {.shared = supervisor->shared,
			.number = number,
			.logins = supervisor->logins,
			.begun_ms = supervisor->begun_ms,
			.tell = tell},
	};
	const char *directory = supervisor->config.directory;
	log_set_worker((unsigned)number + 1);
	allow_signals();
	if(leave_supervisor(&process, supervisor, fd)) {
		log_write(LOG_ERROR, "cannot start: out of memory");
		return EXIT_FAILURE;
	}
	if(supervisor->started || number > 0) {
		log_set_level(LOG_ERROR);
	}
	/* The supervisor has left the directory that relative paths begin in. */
	if(directory && supervisor->started && chdir(directory) < 0) {
		log_write(LOG_ERROR, "cannot change to the directory %s: %s", directory,
			strerror(errno));
	}
	/* As it was at the start or the last reload: the files may have been changed since. */
	int result = config_read_kept(
		&config, &supervisor->config, supervisor->start->argc, supervisor->start->argv);
	if(result == 0) {
		result = serve(&process, supervisor, &config, fd);
	}
	config_free(&config);
	drop_shares(&process);
	free(process.share);
	plugin_shutdown();
	return result < 0 ? EXIT_FAILURE : result;
}
