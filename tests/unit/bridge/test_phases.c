/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of phases, and the ways through it from the request to the end, over a socket pair.
 */
#include "bench.h"
#include "bridge/handshake.h"
#include "bridge/phases.h"
#include "plugin.h"
#include "plugin/services.h"

#define UPGRADE                                                                                    \
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"               \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define ACCEPTED                                                                                   \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"        \
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static void test_table(void **state) {
	(void)state;
	for(int i = 0; i < CONNECTION_PHASES; i++) {
		bool has_events = i != CONNECTION_DEAD;
		bool has_handshake = i <= CONNECTION_RESPONSE;
		assert_non_null(phases[i].name);
		assert_true(!phases[i].client == !has_events);
		assert_true(!phases[i].deadline == !has_events);
		assert_true(!phases[i].leave == !has_handshake);
		/* Every phase can end at once, and none follows itself. */
		assert_true(i == CONNECTION_DEAD || phases[i].next & (1u << CONNECTION_DEAD));
		assert_false(phases[i].next & (1u << i));
	}
	assert_int_equal(phases[CONNECTION_DEAD].next, 0);
}

static void test_reachable(void **state) {
	(void)state;
	unsigned reached = 1u << CONNECTION_HEAD;
	for(int pass = 0; pass < CONNECTION_PHASES; pass++) {
		for(int i = 0; i < CONNECTION_PHASES; i++) {
			reached |= reached & (1u << i) ? phases[i].next : 0;
		}
	}
	assert_int_equal(reached, (1u << CONNECTION_PHASES) - 1);
}

/* With the built-in backend, which answers at once, and echo:// as its peer. */
static void open_echo(struct bench *bench) {
	static struct plugin_host host;
	char error[BACKEND_ERROR_MAX];
	bench_open(bench);
	assert_int_equal(backend_load("/", NULL, &bench->env.backend, error), 0);
	assert_int_equal(backend_configure(bench->env.backend, "host", "echo://"), 0);
	assert_int_equal(backend_check(bench->env.backend, error), 0);
	backend_start(bench->env.backend, &host);
	handshake_begin(bench->connection, 1);
	assert_int_equal(bench_phase(bench), CONNECTION_HEAD);
}

static void close_echo(struct bench *bench) {
	bench_close(bench);
	backend_unref(bench->env.backend);
}

static void feed(void *ctx, size_t offset, size_t length) {
	struct bench *bench = ctx;
	bench_send(bench->client, &UPGRADE[offset], length);
	bench_run(bench, 3);
}

static void test_upgrade(void **state) {
	(void)state;
	struct bench bench;
	for(size_t way = 0; way < cut_ways(strlen(UPGRADE)); way++) {
		open_echo(&bench);
		cut_feed(strlen(UPGRADE), way, feed, &bench);
		bench_expect(bench.client, ACCEPTED, strlen(ACCEPTED));
		assert_int_equal(bench_phase(&bench), CONNECTION_OPEN);
		assert_null(bench.connection->handshake);
		close_echo(&bench);
	}
}

/* Behind the request in the same read. */
static void test_early_data(void **state) {
	(void)state;
	struct bench bench;
	uint8_t data[sizeof(UPGRADE) + 32];
	size_t len = strlen(UPGRADE);
	open_echo(&bench);
	memcpy(data, UPGRADE, len);
	len += bench_frame(data + len, 1, "early", 5);
	bench_send(bench.client, data, len);
	bench_run(&bench, 3);
	bench_expect(bench.client,
		ACCEPTED "\x81\x05"
			 "early",
		strlen(ACCEPTED) + 7);
	close_echo(&bench);
}

static void test_refusal(void **state) {
	(void)state;
	struct bench bench;
	char answer[1024];
	open_echo(&bench);
	bench_send(bench.client, "BAD\r\n\r\n", 7);
	bench_run(&bench, 3);
	assert_true(recv(bench.client, answer, sizeof(answer), 0) > 12);
	assert_memory_equal(answer, "HTTP/1.1 400", 12);
	assert_int_equal(bench_phase(&bench), CONNECTION_LINGER);
	assert_null(bench.connection->handshake);
	bench_close_fd(&bench.client);
	bench_run(&bench, 3);
	assert_true(list_is_empty(&bench.env.connections));
	close_echo(&bench);
}

static void test_over_limit(void **state) {
	(void)state;
	struct bench bench;
	char answer[1024];
	open_echo(&bench);
	bench.connection->over_limit = true;
	bench.env.admission.over_limit++;
	bench_send(bench.client, UPGRADE, strlen(UPGRADE));
	bench_run(&bench, 3);
	assert_true(recv(bench.client, answer, sizeof(answer), 0) > 12);
	assert_memory_equal(answer, "HTTP/1.1 503", 12);
	close_echo(&bench);
}

static void test_head_deadline(void **state) {
	(void)state;
	struct bench bench;
	char answer[1024];
	open_echo(&bench);
	bench_send(bench.client, "GET / HT", 8);
	bench_run(&bench, 2);
	bench_deadline(&bench, 1000);
	assert_true(recv(bench.client, answer, sizeof(answer), 0) > 12);
	assert_memory_equal(answer, "HTTP/1.1 408", 12);
	close_echo(&bench);
}

static void test_shutdown(void **state) {
	(void)state;
	struct bench bench;
	open_echo(&bench);
	phases[CONNECTION_HEAD].shutdown(bench.connection);
	assert_true(list_is_empty(&bench.env.connections));
	close_echo(&bench);
	open_echo(&bench);
	bench_send(bench.client, UPGRADE, strlen(UPGRADE));
	bench_run(&bench, 3);
	bench_expect(bench.client, ACCEPTED, strlen(ACCEPTED));
	phases[CONNECTION_OPEN].shutdown(bench.connection);
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	close_echo(&bench);
}

/* The loop stops with the last connection of a bridge that drains. */
static void test_drained(void **state) {
	(void)state;
	struct bench bench;
	open_echo(&bench);
	bench.env.ending = true;
	bench.loop.stop = false;
	connection_close(bench.connection);
	assert_true(bench.loop.stop);
	close_echo(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_reachable),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_early_data),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_over_limit),
		cmocka_unit_test(test_head_deadline),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_drained),
	};
	return cmocka_run_group_tests(tests, bench_register, bench_unregister);
}
