/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The prelude and the peer's reply, over a socket pair, the reply in pieces of any size.
 */
#include "bridge/prelude.h"

#include "bench.h"
#include "bridge/handshake.h"
#include "bridge/handshake_state.h"
#include "plugin/terms.h"

#define PRELUDE "CONNECT x\r\n\r\n"
#define REPLY "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
#define BEHIND "hello"

static void open_peer(
	struct bench *bench, const char *prelude, const char *reply_end, const char *reply_has) {
	static const char *const peer[] = {"tcp://peer:1"};
	const struct websocksy_answer answer = {.size = sizeof(answer),
		.peer = peer,
		.peers = 1,
		.session = "key", /* so that there are terms in any case */
		.prelude = prelude,
		.prelude_len = prelude ? strlen(prelude) : 0,
		.reply_end = reply_end,
		.reply_has = reply_has};
	int fds[2];
	bench_open(bench);
	handshake_begin(bench->connection, 1);
	bench_pair(fds);
	bench->peer = fds[0];
	assert_int_equal(stream_open(&bench->connection->peer, &bench->loop, fds[1],
				 &stream_unix_ops, connection_peer_event),
		0);
	assert_int_equal(terms_make(&answer, &bench->connection->handshake->terms), 0);
}

static void test_without_a_reply(void **state) {
	struct bench bench;
	(void)state;
	open_peer(&bench, NULL, "\n", NULL);
	assert_int_equal(prelude_send(bench.connection), 0);
	assert_false(prelude_is_waiting(bench.connection));
	bench_expect_nothing(bench.peer);
	bench_close(&bench);
	open_peer(&bench, PRELUDE, NULL, NULL);
	assert_int_equal(prelude_send(bench.connection), 0);
	assert_false(prelude_is_waiting(bench.connection));
	bench_expect(bench.peer, PRELUDE, strlen(PRELUDE));
	bench_close(&bench);
}

static void feed(void *ctx, size_t offset, size_t length) {
	struct bench *bench = ctx;
	const char *why = NULL;
	bench_send(bench->peer, &(REPLY BEHIND)[offset], length);
	if(prelude_is_waiting(bench->connection)) {
		bool complete = offset + length >= strlen(REPLY);
		assert_int_equal(prelude_read(bench->connection, &why), complete ? 0 : -EAGAIN);
	}
}

/* What came with the end of the reply, and what is left in the socket, follow each other. */
static void expect_behind(struct bench *bench) {
	struct connection *c = bench->connection;
	char got[sizeof(BEHIND)];
	assert_false(prelude_is_waiting(c));
	assert_true(c->partial.len < sizeof(got));
	assert_int_equal(c->unseen, c->partial.len);
	if(c->partial.len > 0) {
		memcpy(got, c->partial.data, c->partial.len);
		assert_true(c->partial.cap > c->partial.len); /* for the NUL */
	}
	ssize_t rest = stream_read(&c->peer, (uint8_t *)got + c->partial.len, sizeof(got));
	assert_int_equal(c->partial.len + (rest > 0 ? (size_t)rest : 0), strlen(BEHIND));
	assert_memory_equal(got, BEHIND, strlen(BEHIND));
}

static void test_reply_is_removed(void **state) {
	struct bench bench;
	size_t len = strlen(REPLY BEHIND);
	(void)state;
	for(size_t way = 0; way < cut_ways(len); way++) {
		open_peer(&bench, PRELUDE, "\r\n\r\n", " 200 ");
		assert_int_equal(prelude_send(bench.connection), -EAGAIN);
		assert_true(prelude_is_waiting(bench.connection));
		bench_expect(bench.peer, PRELUDE, strlen(PRELUDE));
		cut_feed(len, way, feed, &bench);
		expect_behind(&bench);
		bench_close(&bench);
	}
}

static void test_other_replies(void **state) {
	static char large[PRELUDE_REPLY_MAX];
	static const struct {
		const char *reply; /* NULL: too long */
		int result;
	} cases[] = {
		{"HTTP/1.1 403 No\r\n\r\n", -EPROTO},
		{"HTTP/1.1 403 No\r\nA: 200\r\n\r\n", -EPROTO},
		{"\r\n\r\n", -EPROTO},
		{"HTTP/1.1 200 OK\r\n", -EAGAIN},
		{"HTTP/1.1 200 OK\r\n\r\n", 0},
		{NULL, -EPROTO},
	};
	(void)state;
	memset(large, 'x', sizeof(large));
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct bench bench;
		const char *why = "";
		open_peer(&bench, PRELUDE, "\r\n\r\n", "200");
		assert_int_equal(prelude_send(bench.connection), -EAGAIN);
		assert_int_equal(prelude_read(bench.connection, &why), -EAGAIN);
		if(cases[i].reply) {
			bench_send(bench.peer, cases[i].reply, strlen(cases[i].reply));
		} else {
			bench_send(bench.peer, large, sizeof(large));
			assert_int_equal(prelude_read(bench.connection, &why), -EAGAIN);
			bench_send(bench.peer, "x", 1);
		}
		assert_int_equal(prelude_read(bench.connection, &why), cases[i].result);
		bench_close(&bench);
	}
}

static void test_peer_that_closes(void **state) {
	struct bench bench;
	const char *why = "";
	(void)state;
	open_peer(&bench, PRELUDE, "\r\n\r\n", NULL);
	assert_int_equal(prelude_send(bench.connection), -EAGAIN);
	bench_expect(bench.peer, PRELUDE, strlen(PRELUDE)); /* unread data would reset */
	bench_send(bench.peer, "HTTP", 4);
	bench_close_fd(&bench.peer);
	assert_int_equal(prelude_read(bench.connection, &why), -EAGAIN);
	assert_int_equal(prelude_read(bench.connection, &why), -ECONNRESET);
	assert_string_equal(why, "the peer has closed before its reply was complete");
	bench_close(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_reply),
		cmocka_unit_test(test_reply_is_removed),
		cmocka_unit_test(test_other_replies),
		cmocka_unit_test(test_peer_that_closes),
	};
	return cmocka_run_group_tests(tests, bench_register, bench_unregister);
}
