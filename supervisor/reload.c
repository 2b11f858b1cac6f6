/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A reload of all workers. The first one tries the new configuration; if it refuses, nothing changes
 * anywhere, and otherwise the others follow.
 *
 * Must not know: what the workers read.
 * Invariants: new sockets listen before a worker knows of them; those that are not wanted any more
 * close when the first worker has taken the configuration.
 */
#include "base/log.h"
#include "bridge/renew.h"
#include "config/logging.h"
#include "supervisor/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct worker *first_ready(struct workers *workers) {
	for(size_t i = 0; i < workers->count; i++) {
		if(workers->worker[i].state == WORKER_READY) {
			return &workers->worker[i];
		}
	}
	return NULL;
}

/* Hands over the sockets, then asks for the reload. */
static void ask(struct supervisor *supervisor, struct worker *worker, bool first) {
	struct listener_share *share;
	const struct listeners_change *change = first ? &supervisor->reload.change : NULL;
	int count = listeners_shares(&supervisor->listeners, change, worker->number, &share);
	for(int i = 0; i < count; i++) {
		const struct link_message message = {.kind = LINK_LISTENER,
			.number = share[i].number,
			.tls = share[i].tls,
			.shared = share[i].shared};
		workers_send(worker, &message, share[i].fd);
	}
	if(count >= 0) {
		free(share);
	}
	const struct link_message message = {.kind = LINK_RELOAD, .number = first};
	workers_send(worker, &message, -1);
	worker->asked = true;
	supervisor->reload.waiting++;
}

static void finish(struct supervisor *supervisor) {
	supervisor->reload.active = false;
	notify_send(supervisor->start->notify, "READY=1");
	if(supervisor->reload.wanted) {
		supervisor_reload(supervisor);
	}
}

static void give_up(struct supervisor *supervisor) {
	struct supervisor_reload *reload = &supervisor->reload;
	listeners_abandon(&reload->change);
	config_free(&reload->config);
	log_write(LOG_ERROR, RENEW_FAILED);
	finish(supervisor);
}

/* The log of the supervisor itself. What cannot change has its old value. */
static void use_settings(struct supervisor *supervisor) {
	struct supervisor_reload *reload = &supervisor->reload;
	struct log_sink sink;
	if(reload->read && logging_open(&reload->config, &sink) == 0) {
		logging_use(&reload->config.settings, &sink);
		config_free(&supervisor->config);
		supervisor->config = reload->config;
	} else {
		config_free(&reload->config);
	}
	reload->config = (struct config){0};
}

/* The first worker has taken the configuration, or there is none at present. */
static void commit(struct supervisor *supervisor) {
	struct supervisor_reload *reload = &supervisor->reload;
	struct workers *workers = &supervisor->workers;
	const struct worker *first = reload->first;
	reload->first = NULL;
	listeners_commit(&supervisor->listeners, &reload->change);
	use_settings(supervisor);
	for(size_t i = 0; i < workers->count; i++) {
		struct worker *worker = &workers->worker[i];
		if(worker != first && worker->state != WORKER_NONE) {
			ask(supervisor, worker, false);
		}
	}
	if(reload->waiting == 0) {
		log_write(LOG_NOTICE, RENEW_DONE);
		finish(supervisor);
	}
}

void supervisor_reload(struct supervisor *supervisor) {
	struct supervisor_reload *reload = &supervisor->reload;
	const struct supervisor_start *start = supervisor->start;
	if(reload->active) {
		reload->wanted = true;
		return;
	}
	*reload = (struct supervisor_reload){.active = true};
	list_init(&reload->change.fresh);
	notify_send_reloading(start->notify);
	reload->read = config_peek_again(
			       &reload->config, &supervisor->config, start->argc, start->argv) == 0;
	const struct settings *settings = &reload->config.settings;
	if(reload->read &&
		listeners_prepare(&supervisor->listeners, &reload->change, settings->listens,
			settings->listen, settings->port)) {
		give_up(supervisor);
		return;
	}
	reload->first = first_ready(&supervisor->workers);
	if(reload->first) {
		ask(supervisor, reload->first, true);
	} else {
		commit(supervisor);
	}
}

/* It goes on with the old configuration otherwise, or with none of the sockets. */
static void replace(struct worker *worker) {
	const struct link_message message = {.kind = LINK_STOP};
	log_write(LOG_ERROR, "worker %zu has not taken the new configuration; replacing it",
		worker->number + 1);
	workers_send(worker, &message, -1);
}

void supervisor_reload_answered(struct supervisor *supervisor, struct worker *worker, bool taken) {
	struct supervisor_reload *reload = &supervisor->reload;
	if(!reload->active || !worker->asked) {
		return;
	}
	worker->asked = false;
	reload->waiting--;
	if(reload->first && taken) {
		commit(supervisor);
	} else if(reload->first) {
		give_up(supervisor);
	} else {
		if(!taken && worker->state != WORKER_NONE) {
			replace(worker);
		}
		if(reload->waiting == 0) {
			log_write(LOG_NOTICE, RENEW_DONE);
			finish(supervisor);
		}
	}
}

void supervisor_reload_cancel(struct supervisor *supervisor) {
	struct supervisor_reload *reload = &supervisor->reload;
	if(reload->active) {
		listeners_abandon(&reload->change);
		config_free(&reload->config);
		reload->active = false;
	}
}
