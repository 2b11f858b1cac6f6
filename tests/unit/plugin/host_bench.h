/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tests of plugin API version 2 share: an instance of a backend that the test scripts, and
 * a loop for its services. Functions that the core calls later end a run of the loop.
 */
#ifndef WEBSOCKSY_TESTS_HOST_BENCH_H
#define WEBSOCKSY_TESTS_HOST_BENCH_H
#include "plugin/core_table.h"
#include "plugin/instance.h"
#include "plugin/pending.h"
#include "support.h"

#include <errno.h>

static struct {
	struct loop loop;
	struct loop_task stopper;
	struct plugin_host host;
	struct instance instance;
	const struct websocksy_core *core; /* of the instance */
	ptrdiff_t memory; /* accounted */
	ptrdiff_t memory_max;
	unsigned cancelled;
	unsigned closed;
	void (*ask)(struct websocksy_query *query); /* the script of query(); NULL: nothing */
} bench;

static inline void bench_stop(struct loop_task *task) {
	(void)task;
	bench.loop.stop = true;
}

/* Turns that do not wait for the kernel. */
static inline void bench_turns(int turns) {
	for(int i = 0; i < turns; i++) {
		bench.loop.stop = false;
		loop_next_turn(&bench.loop, &bench.stopper);
		assert_int_equal(loop_run(&bench.loop), 0);
	}
}

/* Until a function sets loop.stop. */
static inline void bench_wait(void) {
	bench.loop.stop = false;
	assert_int_equal(loop_run(&bench.loop), 0);
}

static inline int bench_account(struct plugin_host *host, ptrdiff_t bytes) {
	assert_ptr_equal(host, &bench.host);
	if(bytes > 0 && bench.memory + bytes > bench.memory_max) {
		return -ENOMEM;
	}
	bench.memory += bytes;
	return 0;
}

static inline void bench_query(void *state, struct websocksy_query *query) {
	(void)state;
	if(bench.ask) {
		bench.ask(query);
	}
}

static inline void bench_cancel(void *state, struct websocksy_query *query) {
	(void)state;
	(void)query;
	bench.cancelled++;
}

static inline void bench_closed(void *state) {
	(void)state;
	bench.closed++;
}

/* An instance of `backend` that can use the services. */
static inline void bench_open(const struct websocksy_backend *backend) {
	memset(&bench, 0, sizeof(bench));
	bench.stopper.fn = bench_stop;
	assert_int_equal(loop_open(&bench.loop), 0);
	bench.host = (struct plugin_host){
		.loop = &bench.loop, .connect_timeout_ms = 60000, .account = bench_account};
	assert_int_equal(instance_open(&bench.instance, backend, &core_table, "test"), 0);
	bench.instance.services.host = &bench.host;
	bench.core = &bench.instance.services.core;
}

static inline void bench_close(void) {
	instance_free(&bench.instance);
	pending_clear(&bench.instance);
	bench_turns(1);
	loop_close(&bench.loop);
	assert_int_equal(bench.memory, 0);
}
#endif
