/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The time and the key of an answer: an open connection over socket pairs, and one that comes after
 * it with the same key.
 */
#include "bridge/session_terms.h"

#include "bench.h"
#include "bridge/handshake_state.h"
#include "bridge/relay.h"
#include "bridge/sessions.h"
#include "plugin/terms.h"

#define KEY "alice"

/* An open connection without terms. */
static void open_first(struct bench *bench) {
	int fds[2];
	bench_open(bench);
	sessions_init(&bench->env.sessions);
	struct connection *c = bench->connection;
	bench_pair(fds);
	bench->peer = fds[0];
	assert_int_equal(stream_open(&c->peer, &bench->loop, fds[1], &stream_unix_ops,
				 connection_peer_event),
		0);
	assert_int_equal(framing_open(&c->to_client.framing, framings_find("auto"), NULL, NULL), 0);
	assert_int_equal(connection_name_peer(c, "the peer"), 0);
	c->phase = CONNECTION_QUERY; /* as after a handshake */
	relay_open(c, NULL, 0);
	assert_int_equal(bench_phase(bench), CONNECTION_OPEN);
}

/* The answer to the connection has this time and key. */
static enum session_terms_result enter(struct connection *c, int64_t expires, const char *key) {
	struct terms terms = {.expires = expires, .session = (char *)(uintptr_t)key};
	struct handshake handshake = {.terms = expires || key ? &terms : NULL};
	c->handshake = &handshake;
	enum session_terms_result result = session_terms_enter(c);
	c->handshake = NULL;
	return result;
}

/* The client gets a close frame with 1008. */
static void expect_policy(struct bench *bench) {
	uint8_t frame[128];
	bench_run(bench, 2);
	assert_int_equal(bench_phase(bench), CONNECTION_CLOSING);
	assert_true(recv(bench->client, frame, sizeof(frame), 0) > 4);
	assert_int_equal(frame[0], 0x88);
	assert_int_equal(frame[2] << 8 | frame[3], 1008);
}

static void test_answers_without_terms(void **state) {
	struct bench bench;
	(void)state;
	open_first(&bench);
	assert_int_equal(enter(bench.connection, 0, NULL), SESSION_TERMS_FINE);
	assert_false(bench.connection->bound);
	bench_close(&bench);
}

static void test_expiry(void **state) {
	struct bench bench;
	size_t count;
	(void)state;
	open_first(&bench);
	assert_int_equal(enter(bench.connection, 1, KEY), SESSION_TERMS_OVER);
	assert_false(bench.connection->bound);
	/* Further away than any timer. */
	assert_int_equal(enter(bench.connection, INT64_MAX, KEY), SESSION_TERMS_FINE);
	assert_true(bench.connection->bound);
	struct session *session = sessions_find(bench.connection, KEY, &count);
	assert_int_equal(count, 1);
	bench_run(&bench, 2);
	assert_int_equal(bench_phase(&bench), CONNECTION_OPEN);
	session->expiry.fn(&session->expiry);
	expect_policy(&bench);
	session->expiry.fn(&session->expiry); /* of no effect */
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	bench_close(&bench);
}

static void check_second(int action, size_t max, const char *key,
	enum session_terms_result expected, enum connection_phase first) {
	struct bench bench;
	open_first(&bench);
	struct connection second = {.env = &bench.env, .id = 2, .phase = CONNECTION_OPEN};
	bench.settings.max_per_key = max;
	bench.settings.per_key_action = action;
	assert_int_equal(enter(bench.connection, 0, KEY), SESSION_TERMS_FINE);
	assert_int_equal(enter(&second, 0, key), expected);
	assert_int_equal(second.bound, expected == SESSION_TERMS_FINE);
	if(first == CONNECTION_CLOSING) {
		expect_policy(&bench);
	}
	assert_int_equal(bench_phase(&bench), first);
	sessions_leave(&second);
	bench_close(&bench);
}

static void test_keys(void **state) {
	(void)state;
	const int refuse = SETTINGS_PER_KEY_REFUSE;
	const int evict = SETTINGS_PER_KEY_EVICT;
	check_second(refuse, 0, KEY, SESSION_TERMS_FINE, CONNECTION_OPEN);
	check_second(refuse, 1, KEY, SESSION_TERMS_FULL, CONNECTION_OPEN);
	check_second(refuse, 1, "bob", SESSION_TERMS_FINE, CONNECTION_OPEN);
	check_second(refuse, 2, KEY, SESSION_TERMS_FINE, CONNECTION_OPEN);
	check_second(evict, 1, KEY, SESSION_TERMS_FINE, CONNECTION_CLOSING);
	check_second(evict, 1, "bob", SESSION_TERMS_FINE, CONNECTION_OPEN);
	check_second(evict, 2, KEY, SESSION_TERMS_FINE, CONNECTION_OPEN);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_without_terms),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_keys),
	};
	return cmocka_run_group_tests(tests, bench_register, bench_unregister);
}
