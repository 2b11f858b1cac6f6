/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The global limit on memory.
 *
 * Must not know: the use of the buffers.
 * Invariants: `held` is the sum of the capacities of all buffers that were made here and not freed.
 */
#include "bridge/memory.h"

#include "base/machine.h"
#include "bridge/connection.h"
#include "service/shared.h"

#include <assert.h>
#include <errno.h>

#define MEMORY_ROOM_KEPT (1024 * 1024)
#define MEMORY_TELL_MS 100 /* how old the number is that others have of a worker that shrinks */

size_t memory_limit(size_t max_memory) {
	return max_memory > 0 ? max_memory : machine_memory() / MEMORY_DEFAULT_DIVISOR;
}

static size_t own_used(const struct connection_env *env) {
	return env->memory.held + env->loop->pool.used * sizeof(struct bufq_chunk);
}

/* ---- several workers ---- */

/* While this worker holds something, it tells the others how much. */
static void tell(struct connection_env *env) {
	struct memory *memory = &env->memory;
	size_t used = own_used(env);
	if(used != memory->told_used) {
		memory->told_used = used;
		shared_hold(env->shared, env->worker, used);
	}
	if(used > 0 && memory->told.slot == 0) {
		loop_timer_set(env->loop, &memory->told, env->loop->now_ms + MEMORY_TELL_MS);
	}
}

static void tell_due(struct ev_timer *timer) {
	tell(container_of(timer, struct connection_env, memory.told));
}

int memory_share(struct connection_env *env) {
	return loop_timer_open(env->loop, &env->memory.told, tell_due);
}

void memory_leave(struct connection_env *env) {
	if(env->shared) {
		loop_timer_close(env->loop, &env->memory.told);
	}
}

/* ---- the limit ---- */

static size_t memory_used(const struct connection_env *env) {
	if(!env->shared) {
		return own_used(env);
	}
	/* Only what it has told changes. */
	tell((struct connection_env *)(uintptr_t)env);
	return shared_held(env->shared);
}

void memory_empty_room(struct connection_env *env) {
	env->room.len = 0;
	if(env->room.cap > MEMORY_ROOM_KEPT) {
		framing_output_free(&env->room);
	}
}

bool memory_is_exhausted(const struct connection_env *env) {
	return env->memory.limit > 0 && memory_used(env) >= env->memory.limit;
}

/* May the buffer grow? Its capacity will at least double. */
static bool memory_allows(const struct connection_env *env, const struct dynbuf *buf, size_t more) {
	size_t need = buf->len + more;
	size_t limit = env->memory.limit;
	if(limit == 0 || need <= buf->cap || need <= MEMORY_SPARED) {
		return true;
	}
	size_t used = memory_used(env);
	size_t growth = more > buf->cap ? more : buf->cap;
	return used < limit && growth <= limit - used;
}

int memory_reserve(struct connection_env *env, struct dynbuf *buf, size_t more) {
	size_t before = buf->cap;
	if(!memory_allows(env, buf, more)) {
		return -EDQUOT;
	}
	int result = dynbuf_reserve(buf, more);
	env->memory.held += buf->cap - before;
	return result;
}

int memory_append(struct connection_env *env, struct dynbuf *buf, const void *data, size_t len) {
	int result = len > 0 ? memory_reserve(env, buf, len) : 0;
	return result ? result : dynbuf_append(buf, data, len);
}

void memory_free(struct connection_env *env, struct dynbuf *buf) {
	if(!buf->data) {
		return;
	}
	assert(env->memory.held >= buf->cap);
	env->memory.held -= buf->cap;
	dynbuf_free(buf);
}

int memory_account(struct plugin_host *host, ptrdiff_t bytes) {
	struct connection_env *env = container_of(host, struct connection_env, host);
	size_t limit = env->memory.limit;
	if(bytes < 0) {
		assert(env->memory.held >= (size_t)-bytes);
		env->memory.held -= (size_t)-bytes;
		return 0;
	}
	size_t used = memory_used(env);
	if(limit > 0 && (used >= limit || (size_t)bytes > limit - used)) {
		return -ENOMEM;
	}
	env->memory.held += (size_t)bytes;
	return 0;
}
