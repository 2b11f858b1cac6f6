/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program that the daemon is started with.
 *
 * Must not know: clients, connections.
 * Invariants: at most one process runs; after program_stop() none is started.
 */
#include "service/program.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Standard descriptors that are /dev/null. */
#define PROGRAM_INPUT (1u << STDIN_FILENO)
#define PROGRAM_ALL (PROGRAM_INPUT | 1u << STDOUT_FILENO | 1u << STDERR_FILENO)
#define PROGRAM_SIGNALLED 128 /* and the signal: the status, as of a shell */

static void program_exited(void *ctx, int status);

static void note_start(struct program *program) {
	for(size_t i = PROGRAM_STARTS - 1; i > 0; i--) {
		program->started_ms[i] = program->started_ms[i - 1];
	}
	program->started_ms[0] = program->processes->loop->now_ms;
}

static int start(struct program *program) {
	char **argv = program_place_arguments(&program->place, program->argv);
	char **environment = program_place_environment(&program->place, environ);
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct spawn spawn = {.path = program->path,
		.argv = argv,
		.environment = environment,
		.fd = nothing,
		.standard = program->detached ? PROGRAM_ALL : PROGRAM_INPUT};
	int result = argv && environment ? 0 : -ENOMEM;
	if(result == 0) {
		note_start(program);
		result = process_start(program->processes, &spawn, &program->process);
	}
	if(nothing >= 0) {
		close(nothing);
	}
	free(argv);
	free(environment);
	if(result) {
		log_write(LOG_ERROR, "cannot start %s: %s", program->path, strerror(-result));
		return result;
	}
	process_watch(program->process, program_exited, program);
	log_write(LOG_INFO, "started %s (process %d)", program->path,
		(int)process_pid(program->process));
	return 0;
}

/* ---- starting it again ---- */

/* How long the next start has to wait: not at all unless the last ones came fast. */
static uint64_t next_delay(struct program *program) {
	uint64_t now_ms = program->processes->loop->now_ms;
	uint64_t third_ms = program->started_ms[PROGRAM_STARTS - 1];
	if(third_ms == 0 || now_ms - third_ms >= PROGRAM_PERIOD_MS) {
		program->delay_ms = 0;
	} else if(program->delay_ms == 0) {
		program->delay_ms = PROGRAM_DELAY_MS;
	} else if(program->delay_ms < PROGRAM_DELAY_MAX_MS) {
		program->delay_ms *= 2;
	}
	return program->delay_ms;
}

static void start_later(struct program *program) {
	struct loop *loop = program->processes->loop;
	uint64_t delay_ms = next_delay(program);
	if(delay_ms > 0) {
		log_write(LOG_WARNING, "%s is started too often; the next time in %llu s",
			program->path, (unsigned long long)(delay_ms / 1000));
	}
	loop_timer_set(loop, &program->timer, loop->now_ms + delay_ms);
}

static void timer_due(struct ev_timer *timer) {
	struct program *program = container_of(timer, struct program, timer);
	program_place_renew(&program->place);
	if(start(program)) {
		start_later(program);
	}
}

/* ---- the exit ---- */

static void program_exited(void *ctx, int status) {
	struct program *program = ctx;
	struct process *process = program->process;
	char text[PROCESS_STATUS_TEXT];
	process_format_status(status, text);
	log_write(program->mode == PROGRAM_IGNORE ? LOG_INFO : LOG_NOTICE, "%s (process %d): %s",
		program->path, (int)process_pid(process), text);
	program->process = NULL;
	if(program->mode == PROGRAM_IGNORE) {
		process_leave(process);
		return;
	}
	process_end(process, SIGTERM, true);
	if(program->mode == PROGRAM_RESPAWN) {
		start_later(program);
		return;
	}
	program->fn(program->ctx,
		WIFSIGNALED(status) ? PROGRAM_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status));
}

int program_open(struct program *program, struct process_set *processes,
	struct announced *announced, const struct program_listen *listen, const char *path,
	char *const *argv) {
	program->processes = processes;
	program->argv = argv;
	program->path = strdup(path);
	program->place.reports.fd = -1;
	int result = program->path ? 0 : -ENOMEM;
	if(result == 0) {
		result = loop_timer_open(processes->loop, &program->timer, timer_due);
	}
	if(result) {
		log_write(LOG_ERROR, "cannot start a program: out of memory");
		return result;
	}
	result = program_place_open(&program->place, processes->loop, announced, listen);
	return result ? result : start(program);
}

void program_stop(struct program *program) {
	if(!program->processes || program->stopping) {
		return;
	}
	program->stopping = true;
	loop_timer_cancel(program->processes->loop, &program->timer);
	if(program->process) {
		process_end(program->process, SIGTERM, true);
		program->process = NULL;
	}
	process_set_end_left(program->processes);
}

void program_close(struct program *program) {
	if(!program->processes) {
		return;
	}
	loop_timer_close(program->processes->loop, &program->timer);
	program_place_close(&program->place);
	free(program->path);
	*program = (struct program){0};
}
