/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The handshake of TLS streams, cut off at every byte.
 */
#include "network/tls_bench.h"

/* The end together with half a handshake is met, although no further event will come. */
static void test_end_within_the_handshake(void **state) {
	for(size_t at = 1; at < 250; at += CUT_STEP) {
		struct test test;
		begin(&test, *state, NULL, at % 2);
		test.up.cut = at;
		begin_client(&test);
		while(way_take(&test.up) || way_give(&test.up)) {
		}
		shutdown(test.up.to, SHUT_WR);
		for(int i = 0; i < QUIET_TURNS; i++) {
			run_turn(&test);
		}
		assert_true(test.b.over);
		assert_true(test.b.end < 0);
		end(&test);
	}
}

/* So far the wire lets the client's bytes pass; then it ends. */
static void end_after(const struct files *files, const char *priority, size_t at, bool reset) {
	struct test test;
	begin(&test, files, priority, at % 2);
	test.up.cut = at;
	begin_client(&test);
	for(unsigned quiet = 0; quiet < QUIET_TURNS;) {
		quiet = one_round(&test) ? 0 : quiet + 1;
	}
	assert_int_equal(test.up.passed, at);
	assert_false(test.b.over);
	shutdown(test.up.to, reset ? SHUT_RDWR : SHUT_WR);
	for(int i = 0; i < QUIET_TURNS; i++) {
		run_turn(&test);
	}
	assert_true(test.b.over);
	assert_true(test.b.end < 0);
	assert_int_equal(test.b.len, 0);
	end(&test);
}

/* A client may vanish behind any byte of its handshake, that of its last flight included. */
static void test_end_at_every_byte(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		run_until_quiet(&test);
		assert_true(test.a.up);
		size_t whole = test.up.passed;
		end(&test);
		for(size_t at = 1; at < whole - 8; at += CUT_STEP) {
			end_after(*state, versions[v], at, at % 3 == 0);
		}
	}
}

/* The handshake of a client that has left is not computed: nothing is sent. */
static void test_abandoned_handshake(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		assert_true(way_take(&test.up));
		assert_true(way_give(&test.up));
		shutdown(test.up.to, SHUT_WR);
		for(int i = 0; i < 4; i++) {
			run_turn(&test);
		}
		assert_true(test.b.over);
		assert_string_equal(tls_stream_reason(&test.b.stream),
			"the connection ended within the handshake");
		assert_false(way_take(&test.down));
		end(&test);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end_within_the_handshake),
		cmocka_unit_test(test_end_at_every_byte),
		cmocka_unit_test(test_abandoned_handshake),
	};
	return cmocka_run_group_tests_name("tls_handshake", tests, make_files, remove_files);
}
