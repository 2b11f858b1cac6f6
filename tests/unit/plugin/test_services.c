/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Services for plugins of API version 2: timers, descriptors, lookups of addresses, memory.
 */
#include "host_bench.h"

#include <sys/socket.h>

static const struct websocksy_backend backend = {
	.size = sizeof(backend), .name = "scripted", .query = bench_query, .close = bench_closed};

static unsigned calls;

static void called(void *ctx) {
	assert_ptr_equal(ctx, &calls);
	calls++;
	bench.loop.stop = true;
}

static int setup(void **unused) {
	(void)unused;
	calls = 0;
	bench_open(&backend);
	return 0;
}

static int teardown(void **unused) {
	(void)unused;
	bench_close();
	return 0;
}

static void test_timer(void **unused) {
	(void)unused;
	assert_non_null(bench.core->timer(bench.core, 1, called, &calls));
	assert_int_equal(calls, 0);
	bench_wait();
	assert_int_equal(calls, 1);
	struct websocksy_timer *stopped = bench.core->timer(bench.core, 0, called, &calls);
	bench.core->timer_stop(stopped);
	bench_turns(3);
	assert_int_equal(calls, 1);
	/* Too long for a clock that is added to: just long. */
	assert_non_null(bench.core->timer(bench.core, UINT64_MAX, called, &calls));
	bench_turns(3);
	assert_int_equal(calls, 1);
}

/* Before the loop runs there are none. */
static void test_no_loop_yet(void **unused) {
	(void)unused;
	bench.instance.services.host = NULL;
	assert_null(bench.core->timer(bench.core, 1, called, &calls));
	assert_null(bench.core->watch(bench.core, 0, WEBSOCKSY_READABLE, NULL, NULL));
	assert_null(bench.core->lookup(bench.core, "127.0.0.1", NULL, NULL));
	assert_null(bench.core->connect(bench.core, "tcp://127.0.0.1:1", NULL, NULL));
	assert_int_equal(bench.core->account(bench.core, 1), 0);
	bench.instance.services.host = &bench.host;
}

static struct websocksy_watch *watch;
static unsigned seen;

/* Stops itself, which it may. */
static void ready(void *ctx, unsigned events) {
	seen = events;
	calls++;
	bench.core->watch_stop(watch);
	watch = NULL;
	bench.loop.stop = true;
	(void)ctx;
}

static void test_watch(void **unused) {
	int fds[2];
	(void)unused;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	watch = bench.core->watch(bench.core, fds[0], WEBSOCKSY_READABLE, ready, NULL);
	assert_non_null(watch);
	bench_turns(2);
	assert_int_equal(calls, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	bench_wait();
	assert_int_equal(seen, WEBSOCKSY_READABLE);
	bench_turns(2);
	assert_int_equal(calls, 1);
	watch = bench.core->watch(bench.core, fds[1], WEBSOCKSY_WRITABLE, ready, NULL);
	bench_wait();
	assert_int_equal(seen, WEBSOCKSY_WRITABLE);
	assert_null(bench.core->watch(bench.core, -1, WEBSOCKSY_READABLE, ready, NULL));
	close(fds[0]);
	close(fds[1]);
}

static char found[64];

static void looked_up(void *ctx, const struct websocksy_addresses *addresses) {
	assert_null(addresses->error);
	assert_int_equal(addresses->count, 1);
	snprintf(found, sizeof(found), "%s", addresses->address[0]);
	calls++;
	bench.loop.stop = true;
	(void)ctx;
}

static void test_lookup_of_addresses(void **unused) {
	static const char *const cases[] = {"127.0.0.1", "2001:db8::1"};
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		calls = 0;
		assert_non_null(bench.core->lookup(bench.core, cases[i], looked_up, NULL));
		assert_int_equal(calls, 0);
		bench_wait();
		assert_int_equal(calls, 1);
		assert_string_equal(found, cases[i]);
	}
	struct websocksy_lookup *lookup =
		bench.core->lookup(bench.core, "127.0.0.1", looked_up, NULL);
	bench.core->lookup_stop(lookup);
	bench_turns(2);
	assert_int_equal(calls, 1);
}

static void test_memory(void **unused) {
	(void)unused;
	bench.memory_max = 100;
	assert_int_equal(bench.core->account(bench.core, 60), 0);
	assert_int_equal(bench.core->account(bench.core, 60), -ENOMEM);
	assert_int_equal(bench.memory, 60);
	assert_int_equal(bench.core->account(bench.core, -20), 0);
	assert_int_equal(bench.memory, 40);
	/* The rest is given back when the instance is closed, see bench_close(). */
}

/* What a plugin leaves is ended with its instance. */
static void test_leftovers(void **unused) {
	int fds[2];
	(void)unused;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_non_null(bench.core->timer(bench.core, 0, called, &calls));
	assert_non_null(bench.core->watch(bench.core, fds[0], WEBSOCKSY_WRITABLE, ready, NULL));
	assert_non_null(bench.core->lookup(bench.core, "127.0.0.1", looked_up, NULL));
	assert_non_null(bench.core->connect(bench.core, "tcp://127.0.0.1", NULL, NULL));
	bench_close();
	assert_int_equal(calls, 0);
	close(fds[0]);
	close(fds[1]);
	bench_open(&backend);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_loop_yet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lookup_of_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leftovers, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
