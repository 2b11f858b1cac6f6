/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The planned end of the daemon.
 *
 * Must not know: connections, or how the daemon stops.
 * Invariants: `open` is the number of WebSocket connections; no timer is armed for an option that is
 * not set; opening and closing connections arms none.
 */
#include "bridge/lifetime.h"

#include "service/shared.h"

#include <assert.h>

static void after_due(struct ev_timer *timer) {
	struct lifetime *lifetime = container_of(timer, struct lifetime, after);
	lifetime->closed = true;
	lifetime->stop_listening(lifetime, "exit-after");
}

static void end_with(struct lifetime *lifetime, const char *option) {
	if(!lifetime->over) {
		lifetime_end(lifetime);
		lifetime->stop(lifetime, option);
	}
}

/*
 * exit-idle: measures the time since the last WebSocket connection has ended; plain requests do not
 * prolong it. While connections are open, the timer only looks again.
 */
static void idle_due(struct ev_timer *timer) {
	struct lifetime *lifetime = container_of(timer, struct lifetime, idle);
	uint64_t now_ms = lifetime->loop->now_ms;
	uint64_t since_ms = lifetime->open > 0 ? now_ms : lifetime->idle_ms;
	if(lifetime->shared) {
		uint64_t any_ms = shared_idle_since(lifetime->shared, now_ms);
		since_ms = any_ms > since_ms ? any_ms : since_ms;
	}
	uint64_t due_ms = since_ms + lifetime->limits.idle_ms;
	if(due_ms > now_ms) {
		loop_timer_set(lifetime->loop, timer, due_ms);
	} else {
		end_with(lifetime, "exit-idle");
	}
}

static void once_due(struct loop_task *task) {
	end_with(container_of(task, struct lifetime, once), "run-once");
}

int lifetime_open(struct lifetime *lifetime, struct loop *loop, lifetime_fn *stop_listening,
	lifetime_fn *stop) {
	*lifetime = (struct lifetime){
		.loop = loop,
		.stop_listening = stop_listening,
		.stop = stop,
		.begun_ms = loop->now_ms,
		.idle_ms = loop->now_ms,
		.once.fn = once_due,
	};
	int result = loop_timer_open(loop, &lifetime->after, after_due);
	return result ? result : loop_timer_open(loop, &lifetime->idle, idle_due);
}

void lifetime_close(struct lifetime *lifetime) {
	loop_timer_close(lifetime->loop, &lifetime->after);
	loop_timer_close(lifetime->loop, &lifetime->idle);
	loop_task_cancel(&lifetime->once);
}

static void arm(
	struct lifetime *lifetime, struct ev_timer *timer, uint64_t since_ms, uint64_t time_ms) {
	loop_timer_cancel(lifetime->loop, timer);
	if(time_ms > 0 && !lifetime->over) {
		loop_timer_set(lifetime->loop, timer, since_ms + time_ms);
	}
}

void lifetime_set(struct lifetime *lifetime, const struct lifetime_limits *limits) {
	lifetime->limits = *limits;
	arm(lifetime, &lifetime->after, lifetime->begun_ms,
		lifetime->closed ? 0 : limits->after_ms);
	arm(lifetime, &lifetime->idle, lifetime->idle_ms, limits->idle_ms);
}

void lifetime_end(struct lifetime *lifetime) {
	lifetime->over = true;
	loop_timer_cancel(lifetime->loop, &lifetime->after);
	loop_timer_cancel(lifetime->loop, &lifetime->idle);
	loop_task_cancel(&lifetime->once);
}

bool lifetime_is_taken(const struct lifetime *lifetime) {
	return lifetime->limits.once && lifetime->served;
}

static void share(const struct lifetime *lifetime) {
	if(lifetime->shared) {
		shared_set_open(
			lifetime->shared, lifetime->worker, lifetime->open, lifetime->loop->now_ms);
	}
}

void lifetime_enter(struct lifetime *lifetime) {
	lifetime->open++;
	lifetime->served = true;
	share(lifetime);
}

/* The connection is being closed: the daemon stops in the next turn. */
void lifetime_leave(struct lifetime *lifetime) {
	assert(lifetime->open > 0);
	lifetime->open--;
	share(lifetime);
	if(lifetime->open > 0) {
		return;
	}
	lifetime->idle_ms = lifetime->loop->now_ms;
	if(lifetime->limits.once && !lifetime->over) {
		loop_next_turn(lifetime->loop, &lifetime->once);
	}
}
