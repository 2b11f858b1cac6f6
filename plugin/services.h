/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The services of the core for one owner: an instance of a backend, or the framings of a plugin.
 * Timers, descriptors and lookups here, streams in service_stream.h.
 */
#ifndef WEBSOCKSY_PLUGIN_SERVICES_H
#define WEBSOCKSY_PLUGIN_SERVICES_H
#include "base/list.h"
#include "base/log_limit.h"
#include "base/loop.h"
#include "network/resolve.h"
#include "network/tls_cache.h"
#include "websocksy_plugin.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the services need of the daemon; its own, outlives all owners. */
struct plugin_host {
	struct loop *loop;
	struct resolver *resolver;
	struct tls_cache *tls_cache;
	uint64_t connect_timeout_ms;
	/* Counts memory towards the limit, as websocksy_core.account. */
	int (*account)(struct plugin_host *host, ptrdiff_t bytes);
};

struct services {
	struct websocksy_core core; /* passed to the plugin; first */
	const char *name; /* of the plugin or backend, for the log */
	bool is_instance; /* embedded in a struct instance */
	struct plugin_host *host; /* NULL: there is no loop yet */
	struct list handles; /* timers, watches, lookups, streams that have not been ended */
	ptrdiff_t memory; /* accounted and not given back */
	struct log_limit limit;
	pthread_t thread;
	/* Nothing is left that calls the plugin, apart from the core itself; NULL: not wanted. */
	void (*idle)(struct services *services);
};

/* Something that a plugin has begun, embedded in it. */
struct service_handle {
	struct list link;
	struct services *services;
	void (*end)(struct service_handle *handle);
};

/* Begins without a host. `core`: the table of functions; `name` outlives it. */
void services_init(struct services *services, const char *name, const struct websocksy_core *core);

/* Ends everything that the plugin has left, which a check build reports. */
void services_close(struct services *services);

/* The services of a table that a plugin passes back. */
struct services *services_of(const struct websocksy_core *core);

/* The same for a call that needs the loop; NULL: there is none yet, or it is another thread. */
struct services *services_enter(const struct websocksy_core *core, const char *function);

/* A mistake of a plugin, for the log, with its name in front: "backend x calls ...". */
void services_blame(struct services *services, const char *mistake);

/* Takes part in services_close(); is ended. */
void service_handle_open(struct service_handle *handle, struct services *services,
	void (*end)(struct service_handle *handle));
void service_handle_close(struct service_handle *handle);

/* The functions of struct websocksy_core. */
void services_log(const struct websocksy_core *core, enum websocksy_level level, const char *format,
	...) __attribute__((format(printf, 3, 4)));
int services_account(const struct websocksy_core *core, ptrdiff_t bytes);
struct websocksy_timer *services_timer(
	const struct websocksy_core *core, uint64_t ms, websocksy_timer_fn *fn, void *ctx);
void services_timer_stop(struct websocksy_timer *timer);
struct websocksy_watch *services_watch(const struct websocksy_core *core, int fd, unsigned events,
	websocksy_watch_fn *fn, void *ctx);
void services_watch_stop(struct websocksy_watch *watch);
struct websocksy_lookup *services_lookup(
	const struct websocksy_core *core, const char *host, websocksy_lookup_fn *fn, void *ctx);
void services_lookup_stop(struct websocksy_lookup *lookup);
#endif
