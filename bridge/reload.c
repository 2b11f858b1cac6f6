/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A reload, connection by connection.
 *
 * Must not know: what a connection does about it.
 * Invariants: in the list of connections those that have not been told are in front; each turn tells
 * one at least.
 */
#include "bridge/reload.h"

#include "base/clock.h"
#include "bridge/connection.h"

#define RELOAD_TURN_US 4000 /* in one turn */

/* The first connection that has not been told, which goes behind the others. NULL: none is left. */
static struct connection *take_next(struct connection_env *env) {
	struct list *first = env->connections.next;
	struct connection *connection = container_of(first, struct connection, link);
	if(first == &env->connections || connection->reloads == env->reloads) {
		return NULL;
	}
	connection->reloads = env->reloads;
	list_remove(first);
	list_append(&env->connections, first);
	return connection;
}

static void reload_some(struct loop_task *task) {
	struct connection_env *env = container_of(task, struct reload, task)->env;
	uint64_t begin_us = clock_us();
	struct connection *connection;
	while((connection = take_next(env))) {
		const struct phase *phase = &env->phases[connection->phase];
		if(phase->reload) {
			phase->reload(connection);
		}
		if(clock_us() - begin_us >= RELOAD_TURN_US) {
			loop_next_turn(env->loop, task);
			return;
		}
	}
}

void reload_connections(struct reload *reload, struct connection_env *env) {
	reload->env = env;
	reload->task.fn = reload_some;
	env->reloads++;
	reload_some(&reload->task);
}

bool reload_is_running(const struct reload *reload) {
	return list_is_linked(&reload->task.link);
}

void reload_cancel(struct reload *reload) {
	loop_task_cancel(&reload->task);
}
