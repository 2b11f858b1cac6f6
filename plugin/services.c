/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The services of the core for plugins of API version 2: log, memory, timers, descriptors, lookups.
 *
 * It must not know backends, framings or connections.
 *
 * Invariants: no function calls the plugin back; memory of an object is freed at the end of the
 * turn, so that it may be ended by its own function.
 */
#include "plugin/services.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "network/candidates.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICES_LOG_MAX 2048 /* a line of a plugin; longer ones are cut */
#define SERVICES_MS_MAX ((uint64_t)INT32_MAX)

/* ---- the owner ---- */

void services_init(struct services *services, const char *name, const struct websocksy_core *core) {
	*services = (struct services){.core = *core, .name = name, .thread = pthread_self()};
	list_init(&services->handles);
}

void services_blame(struct services *services, const char *mistake) {
	log_write(LOG_ERROR, "plugin %s %s", services->name, mistake);
}

void services_close(struct services *services) {
	services->idle = NULL;
#ifdef LOOP_CHECK
	if(!list_is_empty(&services->handles)) {
		services_blame(services, "has left timers, descriptors, lookups or streams open");
	}
	if(services->memory != 0) {
		services_blame(services, "has not given back all memory that it has accounted");
	}
#endif
	while(!list_is_empty(&services->handles)) {
		struct service_handle *handle =
			container_of(services->handles.next, struct service_handle, link);
		handle->end(handle);
	}
	if(services->host && services->memory) {
		services->host->account(services->host, -services->memory);
	}
}

/* The table is embedded in the services, which are not constant. */
struct services *services_of(const struct websocksy_core *core) {
	return container_of((uintptr_t)core, struct services, core);
}

static bool is_own_thread(struct services *services, const char *function) {
#ifdef LOOP_CHECK
	if(!pthread_equal(services->thread, pthread_self())) {
		char mistake[128];
		snprintf(mistake, sizeof(mistake), "calls %s from another thread; ignored",
			function);
		services_blame(services, mistake);
		return false;
	}
#else
	(void)services;
	(void)function;
#endif
	return true;
}

struct services *services_enter(const struct websocksy_core *core, const char *function) {
	struct services *services = services_of(core);
	return is_own_thread(services, function) && services->host ? services : NULL;
}

void service_handle_open(struct service_handle *handle, struct services *services,
	void (*end)(struct service_handle *handle)) {
	handle->services = services;
	handle->end = end;
	list_append(&services->handles, &handle->link);
}

void service_handle_close(struct service_handle *handle) {
	struct services *services = handle->services;
	list_remove(&handle->link);
	if(services->idle && list_is_empty(&services->handles)) {
		services->idle(services);
	}
}

static_assert((int)WEBSOCKSY_DEBUG == (int)LOG_DEBUG, "the levels are equal");

void services_log(
	const struct websocksy_core *core, enum websocksy_level level, const char *format, ...) {
	struct services *services = services_of(core);
	enum log_level own = (unsigned)level < LOG_LEVELS ? (enum log_level)level : LOG_ERROR;
	char text[SERVICES_LOG_MAX];
	if(!is_own_thread(services, "log") || !log_enabled(own) ||
		!log_limit_pass(&services->limit, services->name, clock_ms())) {
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_write(own, "%s: %s", services->name, text);
}

int services_account(const struct websocksy_core *core, ptrdiff_t bytes) {
	struct services *services = services_enter(core, "account");
	if(!services) {
		return 0;
	}
	int result = services->host->account(services->host, bytes);
	services->memory += result == 0 ? bytes : 0;
	return result;
}

/* ---- timers ---- */

struct websocksy_timer {
	struct service_handle handle;
	struct ev_timer timer;
	struct deferred_free dead;
	websocksy_timer_fn *fn;
	void *ctx;
};

static void free_timer(struct deferred_free *dead) {
	free(container_of(dead, struct websocksy_timer, dead));
}

static void timer_end(struct service_handle *handle) {
	struct websocksy_timer *timer = container_of(handle, struct websocksy_timer, handle);
	struct loop *loop = handle->services->host->loop;
	service_handle_close(handle);
	loop_timer_close(loop, &timer->timer);
	timer->dead.free = free_timer;
	loop_defer_free(loop, &timer->dead);
}

static void timer_due(struct ev_timer *ev) {
	struct websocksy_timer *timer = container_of(ev, struct websocksy_timer, timer);
	websocksy_timer_fn *fn = timer->fn;
	void *ctx = timer->ctx;
	timer_end(&timer->handle);
	fn(ctx);
}

struct websocksy_timer *services_timer(
	const struct websocksy_core *core, uint64_t ms, websocksy_timer_fn *fn, void *ctx) {
	struct services *services = services_enter(core, "timer");
	struct websocksy_timer *timer = services ? calloc(1, sizeof(*timer)) : NULL;
	if(!timer) {
		return NULL;
	}
	struct loop *loop = services->host->loop;
	if(loop_timer_open(loop, &timer->timer, timer_due)) {
		free(timer);
		return NULL;
	}
	timer->fn = fn;
	timer->ctx = ctx;
	service_handle_open(&timer->handle, services, timer_end);
	loop_timer_set(
		loop, &timer->timer, loop->now_ms + (ms < SERVICES_MS_MAX ? ms : SERVICES_MS_MAX));
	return timer;
}

void services_timer_stop(struct websocksy_timer *timer) {
	timer_end(&timer->handle);
}

/* ---- descriptors ---- */

struct websocksy_watch {
	struct service_handle handle;
	struct ev_io io;
	struct deferred_free dead;
	websocksy_watch_fn *fn;
	void *ctx;
};

static void free_watch(struct deferred_free *dead) {
	free(container_of(dead, struct websocksy_watch, dead));
}

static void watch_end(struct service_handle *handle) {
	struct websocksy_watch *watch = container_of(handle, struct websocksy_watch, handle);
	struct loop *loop = handle->services->host->loop;
	service_handle_close(handle);
	loop_remove(loop, &watch->io);
	watch->dead.free = free_watch;
	loop_defer_free(loop, &watch->dead);
}

static void watch_ready(struct ev_io *io) {
	struct websocksy_watch *watch = container_of(io, struct websocksy_watch, io);
	unsigned events = (io->ready & LOOP_IN ? WEBSOCKSY_READABLE : 0) |
		(io->ready & LOOP_OUT ? WEBSOCKSY_WRITABLE : 0);
	watch->fn(watch->ctx, events);
}

struct websocksy_watch *services_watch(const struct websocksy_core *core, int fd, unsigned events,
	websocksy_watch_fn *fn, void *ctx) {
	struct services *services = services_enter(core, "watch");
	struct websocksy_watch *watch = services ? calloc(1, sizeof(*watch)) : NULL;
	unsigned want = (events & WEBSOCKSY_READABLE ? LOOP_IN : 0) |
		(events & WEBSOCKSY_WRITABLE ? LOOP_OUT : 0);
	if(!watch) {
		return NULL;
	}
	if(loop_add_level(services->host->loop, &watch->io, fd, want, watch_ready)) {
		free(watch);
		return NULL;
	}
	watch->fn = fn;
	watch->ctx = ctx;
	service_handle_open(&watch->handle, services, watch_end);
	return watch;
}

void services_watch_stop(struct websocksy_watch *watch) {
	watch_end(&watch->handle);
}

/* ---- lookups ---- */

struct websocksy_lookup {
	struct service_handle handle;
	struct candidates candidates;
	struct loop_task task; /* of an address, which needs no lookup */
	struct deferred_free dead;
	union address literal;
	const char *why;
	websocksy_lookup_fn *fn;
	void *ctx;
};

static void free_lookup(struct deferred_free *dead) {
	struct websocksy_lookup *lookup = container_of(dead, struct websocksy_lookup, dead);
	candidates_free(&lookup->candidates);
	free(lookup);
}

static void lookup_end(struct service_handle *handle) {
	struct websocksy_lookup *lookup = container_of(handle, struct websocksy_lookup, handle);
	service_handle_close(handle);
	loop_task_cancel(&lookup->task);
	candidates_cancel(&lookup->candidates);
	lookup->dead.free = free_lookup;
	loop_defer_free(handle->services->host->loop, &lookup->dead);
}

static void lookup_report(
	struct websocksy_lookup *lookup, size_t count, const union address *const *address) {
	char text[CANDIDATES_MAX][ADDRESS_HOST_TEXT];
	const char *list[CANDIDATES_MAX];
	for(size_t i = 0; i < count; i++) {
		address_format_host(&address[i]->any, text[i]);
		list[i] = text[i];
	}
	struct websocksy_addresses addresses = {.count = count, .address = list};
	if(count == 0) {
		addresses.error = lookup->why ? lookup->why : "there is no address of that name";
	}
	websocksy_lookup_fn *fn = lookup->fn;
	void *ctx = lookup->ctx;
	lookup_end(&lookup->handle);
	fn(ctx, &addresses);
}

static void lookup_answered(void *ctx, const struct candidates_answer *answer) {
	struct websocksy_lookup *lookup = ctx;
	const union address *address[CANDIDATES_MAX];
	size_t count = 0;
	/* "No address of this family" must not hide why the other family failed. */
	if(answer->error && (!lookup->why || answer->error != -ENOENT)) {
		lookup->why = answer->why;
	}
	if(candidates_is_waiting(&lookup->candidates)) {
		return;
	}
	while(count < CANDIDATES_MAX && (address[count] = candidates_next(&lookup->candidates))) {
		count++;
	}
	lookup_report(lookup, count, address);
}

static void lookup_literal(struct loop_task *task) {
	struct websocksy_lookup *lookup = container_of(task, struct websocksy_lookup, task);
	const union address *address = &lookup->literal;
	lookup_report(lookup, 1, &address);
}

struct websocksy_lookup *services_lookup(
	const struct websocksy_core *core, const char *host, websocksy_lookup_fn *fn, void *ctx) {
	struct services *services = services_enter(core, "lookup");
	struct websocksy_lookup *lookup = services ? calloc(1, sizeof(*lookup)) : NULL;
	if(!lookup) {
		return NULL;
	}
	lookup->fn = fn;
	lookup->ctx = ctx;
	lookup->task.fn = lookup_literal;
	candidates_init(&lookup->candidates, lookup_answered, lookup);
	if(address_parse(text_slice(host), &lookup->literal) == 0) {
		loop_next_turn(services->host->loop, &lookup->task);
	} else if(candidates_start(&lookup->candidates, services->host->resolver, host, 0)) {
		candidates_free(&lookup->candidates);
		free(lookup);
		return NULL;
	}
	service_handle_open(&lookup->handle, services, lookup_end);
	return lookup;
}

void services_lookup_stop(struct websocksy_lookup *lookup) {
	lookup_end(&lookup->handle);
}
