/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state of the supervisor, for its files.
 */
#ifndef WEBSOCKSY_SUPERVISOR_INTERNAL_H
#define WEBSOCKSY_SUPERVISOR_INTERNAL_H
#include "base/process.h"
#include "config.h"
#include "http/login_limits.h"
#include "network/announced.h"
#include "network/listeners.h"
#include "service/pid_file.h"
#include "service/program.h"
#include "service/shared.h"
#include "service/workers.h"
#include "supervisor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A reload: the first worker tries the configuration, then the others take it, too. */
struct supervisor_reload {
	bool active;
	bool wanted; /* again, when it is over */
	struct worker *first; /* has been asked; NULL: the others have */
	size_t waiting; /* for the answers of so many */
	bool read; /* `config` is valid; otherwise the first worker says what is wrong */
	struct config config;
	struct listeners_change change;
};

struct supervisor {
	const struct supervisor_start *start;
	struct loop loop;
	struct config config; /* settings alone */
	struct pid_file pid_file;
	struct listeners listeners; /* not accepting */
	struct workers workers;
	struct shared *shared;
	struct login_limits *logins;
	struct process_set processes;
	struct announced announced;
	struct program program;
	struct supervisor_reload reload;
	struct ev_timer watchdog;
	struct ev_timer tickets; /* they get a new secret */
	uint64_t begun_ms;
	size_t fd_limit;
	bool started; /* all workers have been ready */
	bool ending; /* no worker listens any more, and none is started */
	bool stopping; /* and they end their connections */
	bool dropping;
	int status; /* to exit with */
};

/* ---- supervisor/worker.c ---- */

/* Serves in the process of a worker; `fd` is its end of the link. The exit status. */
int supervisor_serve(struct supervisor *supervisor, size_t number, int fd);

/* ---- supervisor/peers.c ---- */

/* The one program for all workers, if there is one. 0, or negative errno after a line in the log. */
int supervisor_start_program(struct supervisor *supervisor, program_fn *ended);

/* Tells a worker the addresses of the program. */
void supervisor_send_addresses(struct supervisor *supervisor, struct worker *worker);

/* ---- supervisor/reload.c ---- */

void supervisor_reload(struct supervisor *supervisor);

/* The answer of a worker; false also if it has ended. */
void supervisor_reload_answered(struct supervisor *supervisor, struct worker *worker, bool taken);

/* The supervisor stops. */
void supervisor_reload_cancel(struct supervisor *supervisor);
#endif
