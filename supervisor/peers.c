/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program that is the peer of the clients of all workers.
 *
 * Must not know: clients.
 * Invariants: the workers know the addresses that the supervisor knows.
 */
#include "base/log.h"
#include "config/wrap.h"
#include "supervisor/internal.h"

#include <errno.h>

void supervisor_send_addresses(struct supervisor *supervisor, struct worker *worker) {
	const struct announced *announced = &supervisor->announced;
	struct link_message message = {.kind = LINK_FORGET};
	if(!supervisor->program.processes) {
		return;
	}
	workers_send(worker, &message, -1);
	message.kind = LINK_ADDRESS;
	for(size_t i = announced->count; i > 0; i--) {
		message.address = announced->address[i - 1];
		workers_send(worker, &message, -1);
	}
}

static void addresses_changed(struct announced *announced) {
	struct supervisor *supervisor = container_of(announced, struct supervisor, announced);
	for(size_t i = 0; i < supervisor->workers.count; i++) {
		supervisor_send_addresses(supervisor, &supervisor->workers.worker[i]);
	}
}

int supervisor_start_program(struct supervisor *supervisor, program_fn *ended) {
	struct config *config = &supervisor->config;
	if(!config->program || config->settings.wrap == SETTINGS_WRAP_STDIO) {
		return 0;
	}
	/* The workers have found it, too. */
	if(spawn_find(config->program[0], &config->program_path)) {
		log_write(LOG_ERROR, "cannot find %s any more", config->program[0]);
		return -ENOENT;
	}
	process_set_reserve(&supervisor->processes);
	supervisor->processes.patience_ms = config->settings.close_timeout_ms;
	supervisor->announced.changed = addresses_changed;
	supervisor->program.fn = ended;
	supervisor->program.ctx = supervisor;
	return wrap_start(
		config, &supervisor->program, &supervisor->processes, &supervisor->announced);
}
