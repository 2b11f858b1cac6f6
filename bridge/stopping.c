/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The end of all connections.
 *
 * Must not know: listening sockets, signals.
 * Invariants: the state only advances; one turn closes a bounded number of open connections, unless
 * all are to be closed at once; in STOPPING_CLOSES the open connections are in front of the list, in
 * the order in which they are closed.
 */
#include "bridge/stopping.h"

#include "base/log.h"
#include "bridge/connection.h"
#include "bridge/reload.h"

#include <assert.h>
#include <sys/random.h>

#define STOPPING_TURN 256 /* closes in one turn if the loop is late */
#define STOPPING_PARTS 10 /* of drain-time, with a line in the log about each */
#define STOPPING_CLASSES 65 /* of idle times: numbers of binary digits */

static void set_state(struct stopping *stopping, enum stopping_state state) {
	assert(state > stopping->state);
	stopping->state = state;
}

/* ---- one connection ---- */

static void shut_down(struct connection *connection) {
	const struct phase *phase = &connection->env->phases[connection->phase];
	if(phase->shutdown) {
		phase->shutdown(connection);
	}
}

static void shut_down_all(struct connection_env *env) {
	for(struct list *at = env->connections.next; at != &env->connections;) {
		struct connection *connection = container_of(at, struct connection, link);
		at = at->next;
		shut_down(connection);
	}
}

/* ---- the order ---- */

static unsigned idle_class(const struct connection *connection) {
	uint64_t now_ms = connection->env->loop->now_ms;
	uint64_t data_ms = connection->activity.data_ms;
	uint64_t idle_ms = now_ms > data_ms ? now_ms - data_ms : 0;
	return idle_ms > 0 ? 64 - (unsigned)__builtin_clzll(idle_ms) : 0;
}

/*
 * Puts the open connections in front, those that have been idle for long first. Classes of idle
 * times are enough for that, and sorting would take longer. How many these are.
 */
static size_t order_open(struct connection_env *env) {
	struct list classes[STOPPING_CLASSES];
	struct list others;
	size_t count = 0;
	list_init(&others);
	for(size_t i = 0; i < STOPPING_CLASSES; i++) {
		list_init(&classes[i]);
	}
	while(!list_is_empty(&env->connections)) {
		struct list *first = env->connections.next;
		struct connection *connection = container_of(first, struct connection, link);
		bool is_open = connection->phase == CONNECTION_OPEN;
		list_remove(first);
		list_append(is_open ? &classes[idle_class(connection)] : &others, first);
		count += is_open;
	}
	for(size_t i = STOPPING_CLASSES; i-- > 0;) {
		list_join(&env->connections, &classes[i]);
	}
	list_join(&env->connections, &others);
	return count;
}

/* The first open connection, which goes behind the others. NULL: there is none any more. */
static struct connection *take_open(struct connection_env *env) {
	const struct list *skipped = NULL;
	while(!list_is_empty(&env->connections) && env->connections.next != skipped) {
		struct list *first = env->connections.next;
		struct connection *connection = container_of(first, struct connection, link);
		list_remove(first);
		list_append(&env->connections, first);
		if(connection->phase == CONNECTION_OPEN) {
			return connection;
		}
		skipped = skipped ? skipped : first;
	}
	return NULL;
}

/* ---- the steps ---- */

static void begin_grace(struct stopping *stopping) {
	struct connection_env *env = stopping->env;
	set_state(stopping, STOPPING_GRACE);
	env->drain_remaining = 0;
	connection_check_end(env);
	if(!env->loop->stop) {
		loop_timer_set(
			env->loop, &stopping->timer, env->loop->now_ms + env->settings->grace_ms);
	}
}

/* At the end of each part of the time, counted by the times at which the closes were due. */
static void log_progress(const struct drain *drain, unsigned part) {
	if(drain_part(drain, STOPPING_PARTS) > part) {
		log_write(LOG_NOTICE, "drain: %zu of %zu connections have been asked to end",
			drain->done, drain->count);
	}
}

static void close_one(struct stopping *stopping, struct connection *connection) {
	struct drain *drain = &stopping->drain;
	unsigned part = drain_part(drain, STOPPING_PARTS);
	shut_down(connection);
	drain->done++;
	stopping->env->drain_remaining--;
	log_progress(drain, part);
}

static void close_due(struct stopping *stopping) {
	struct loop *loop = stopping->env->loop;
	struct drain *drain = &stopping->drain;
	for(int i = 0; i < STOPPING_TURN && !drain_is_over(drain); i++) {
		if(drain_due_ms(drain) > loop->now_ms) {
			break;
		}
		struct connection *connection = take_open(stopping->env);
		if(!connection) {
			drain->count = drain->done; /* the others have ended by themselves */
			break;
		}
		close_one(stopping, connection);
	}
	if(drain_is_over(drain)) {
		begin_grace(stopping);
	} else {
		loop_timer_set(loop, &stopping->timer, drain_due_ms(drain));
	}
}

/* Those that are not open end at once; a request is answered with 503. */
static void begin_closes(struct stopping *stopping) {
	struct connection_env *env = stopping->env;
	uint64_t seed = 0;
	size_t count = order_open(env);
	struct list *at = env->connections.next;
	for(size_t i = 0; i < count; i++) {
		at = at->next;
	}
	while(at != &env->connections) {
		struct connection *connection = container_of(at, struct connection, link);
		at = at->next;
		shut_down(connection);
	}
	if(getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0) {
		seed = env->loop->now_ms;
	}
	drain_begin(&stopping->drain, count, env->settings->drain_time_ms, seed, env->loop->now_ms);
	env->drain_remaining = count;
	log_write(LOG_NOTICE, "drain: %zu connection%s to be asked to end (drain-time)", count,
		count == 1 ? "" : "s");
	close_due(stopping);
}

static void stop_listening(struct stopping *stopping) {
	struct connection_env *env = stopping->env;
	env->draining = true;
	env->ending = true;
	stopping->end_listening(stopping);
}

static void delay_over(struct stopping *stopping) {
	if(stopping->env->settings->drain_time_ms == 0) {
		stopping_at_once(stopping);
		return;
	}
	stop_listening(stopping);
	set_state(stopping, STOPPING_CLOSES);
	loop_timer_set(stopping->env->loop, &stopping->timer, stopping->env->loop->now_ms);
}

static void grace_over(struct stopping *stopping) {
	size_t count = stopping->env->admission.count;
	log_write(LOG_NOTICE, "%zu connection%s not ended in time (grace); closing", count,
		count == 1 ? " has" : "s have");
	connection_close_all(stopping->env);
}

static void timer_due(struct ev_timer *timer) {
	struct stopping *stopping = container_of(timer, struct stopping, timer);
	struct loop *loop = stopping->env->loop;
	if(stopping->state == STOPPING_DELAY) {
		delay_over(stopping);
	} else if(stopping->state == STOPPING_GRACE) {
		grace_over(stopping);
	} else if(stopping->drain.count > 0) {
		close_due(stopping);
	} else if(reload_is_running(stopping->reload)) {
		loop_timer_set(loop, timer, loop->now_ms + 1); /* it needs the order of the list */
	} else {
		begin_closes(stopping);
	}
}

/* ---- public ---- */

int stopping_open(struct stopping *stopping, struct connection_env *env,
	const struct reload *reload, stopping_fn *end_listening) {
	*stopping = (struct stopping){.env = env, .reload = reload, .end_listening = end_listening};
	return loop_timer_open(env->loop, &stopping->timer, timer_due);
}

void stopping_drain(struct stopping *stopping) {
	struct connection_env *env = stopping->env;
	/* Without a socket that listens there is no connection to wait for. */
	uint64_t delay_ms = env->ending ? 0 : env->settings->drain_delay_ms;
	if(stopping->state != STOPPING_NOT) {
		return;
	}
	lifetime_end(&env->lifetime);
	set_state(stopping, STOPPING_DELAY);
	if(delay_ms == 0) {
		delay_over(stopping);
		return;
	}
	env->leaving = true;
	loop_timer_set(env->loop, &stopping->timer, env->loop->now_ms + delay_ms);
}

void stopping_at_once(struct stopping *stopping) {
	if(stopping->state == STOPPING_GRACE) {
		return;
	}
	lifetime_end(&stopping->env->lifetime);
	stop_listening(stopping);
	shut_down_all(stopping->env);
	begin_grace(stopping);
}

void stopping_drop(struct stopping *stopping) {
	struct connection_env *env = stopping->env;
	stopping_at_once(stopping);
	process_set_kill(&env->processes);
	connection_close_all(env);
}

void stopping_close(struct stopping *stopping) {
	if(stopping->env) {
		loop_timer_close(stopping->env->loop, &stopping->timer);
	}
}
