/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS streams: data in both directions, cut everywhere, and all ways to end.
 */
#include "network/tls_bench.h"

/*
 * A handshake, data each way, and close_notify, with both directions cut. Returns what has passed.
 */
static void exchange(
	const struct files *files, const char *priority, size_t up, size_t down, size_t passed[2]) {
	struct test test;
	begin(&test, files, priority, true);
	test.up.cut = up;
	test.down.cut = down;
	begin_client(&test);
	run_until_quiet(&test);
	assert_true(test.a.up);
	assert_true(tls_stream_is_active(&test.b.stream));
	assert_int_equal(stream_write(&test.a.stream, "hello", 5), 0);
	run_until_quiet(&test);
	assert_int_equal(test.a.len, 5);
	assert_memory_equal(test.a.got, "hello", 5);
	assert_false(test.b.over);
	stream_finish(&test.a.stream);
	run_until_quiet(&test);
	assert_true(test.b.over);
	assert_int_equal(test.b.end, 0);
	assert_true(test.a.over);
	assert_int_equal(test.a.end, 0);
	passed[0] = test.up.passed;
	passed[1] = test.down.passed;
	end(&test);
}

static void test_cut_everywhere(void **state) {
	for(size_t v = 0; v < 2; v++) {
		size_t passed[2];
		size_t again[2];
		exchange(*state, versions[v], UNCUT, UNCUT, passed);
		assert_true(passed[0] > 200 && passed[1] > 200);
		size_t longest = passed[0] > passed[1] ? passed[0] : passed[1];
		for(size_t at = 1; at < longest; at += CUT_STEP) {
			exchange(*state, versions[v], at, at, again);
		}
	}
}

/* Big data there and back, read in pieces of every kind, once an event. */
static void test_big_data(void **state) {
	static const size_t caps[] = {1000, 16384, 16385, LOOP_SCRATCH_SIZE};
	uint8_t *data = malloc(BIG);
	assert_non_null(data);
	for(size_t i = 0; i < BIG; i++) {
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	}
	for(size_t i = 0; i < 8; i++) {
		struct test test;
		begin(&test, *state, versions[i % 2], i & 4);
		test.a.cap = caps[i / 2];
		test.b.cap = caps[3 - i / 2];
		begin_client(&test);
		run_until_quiet(&test);
		assert_int_equal(stream_write(&test.a.stream, data, BIG), 0);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, BIG);
		assert_memory_equal(test.b.got, data, BIG);
		assert_int_equal(test.a.len, BIG);
		assert_memory_equal(test.a.got, data, BIG);
		end(&test);
	}
	free(data);
}

/* Much is on the wire before the reader takes small pieces: what is kept inside tells of itself. */
static void test_small_reads_of_much(void **state) {
	static uint8_t data[200 * 1024];
	for(size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i ^ i >> 8);
	}
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], false);
		test.b.echo = false;
		test.b.cap = 16384;
		begin_client(&test);
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, false);
		assert_int_equal(stream_write(&test.a.stream, data, sizeof(data)), 0);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, 0);
		stream_want_read(&test.b.stream, true);
		read_once(&test.b);
		size_t first = test.b.len;
		assert_true(first > 0 && first <= 16384);
		/* Paused again: nothing comes by itself, whatever is inside. */
		stream_want_read(&test.b.stream, false);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, first);
		stream_want_read(&test.b.stream, true);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, sizeof(data));
		assert_memory_equal(test.b.got, data, sizeof(data));
		end(&test);
	}
}

/* A read decrypted all records that were there: thousands of a byte each delayed all others. */
static void test_tiny_records(void **state) {
	static uint8_t data[2000];
	for(size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)i;
	}
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], false);
		test.b.echo = false;
		begin_client(&test);
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, false);
		for(size_t i = 0; i < sizeof(data); i++) {
			assert_int_equal(stream_write(&test.a.stream, data + i, 1), 0);
		}
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, true);
		read_once(&test.b);
		assert_true(test.b.len > 0 && test.b.len <= 256);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, sizeof(data));
		assert_memory_equal(test.b.got, data, sizeof(data));
		end(&test);
	}
}

/* Plain bytes on a port that detects arrive as if nothing had happened, however they are cut. */
static void test_plain_is_detected(void **state) {
	static const char text[] = "GET / HTTP/1.1\r\n\r\n";
	for(size_t at = 1; at < sizeof(text); at++) {
		struct test test;
		begin(&test, *state, NULL, true);
		test.up.cut = at;
		assert_int_equal(stream_write(&test.a.stream, text, sizeof(text)), 0);
		test.a.up = true;
		run_until_quiet(&test);
		assert_false(tls_stream_is_active(&test.b.stream));
		assert_int_equal(test.b.len, sizeof(text));
		assert_memory_equal(test.b.got, text, sizeof(text));
		assert_int_equal(test.a.len, sizeof(text));
		end(&test);
	}
}

static void test_plain_is_refused_where_tls_is_required(void **state) {
	struct test test;
	begin(&test, *state, NULL, false);
	assert_int_equal(stream_write(&test.a.stream, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	test.a.up = true;
	run_until_quiet(&test);
	assert_true(test.b.over);
	assert_true(test.b.end < 0);
	assert_int_equal(test.b.len, 0);
	assert_non_null(tls_stream_reason(&test.b.stream));
	end(&test);
}

/*
 * An end without close_notify is an error, as bytes may be missing; those before it are delivered.
 */
static void test_end_without_goodbye(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		run_until_quiet(&test);
		assert_int_equal(stream_write(&test.a.stream, "last", 4), 0);
		run_turn(&test);
		while(way_take(&test.up) || way_give(&test.up)) {
		}
		shutdown(test.up.to, SHUT_WR); /* data and end come at once */
		run_until_quiet(&test);
		assert_int_equal(test.b.len, 4);
		assert_true(test.b.over);
		assert_true(test.b.end < 0);
		end(&test);
	}
}

static void test_write_before_the_handshake(void **state) {
	struct test test;
	begin(&test, *state, NULL, false);
	assert_int_equal(stream_write(&test.b.stream, "x", 1), -ENOTCONN);
	end(&test);
}

/* Of two pairs, the first of which is fine. */
/* How Java ends a session: a warning and then close_notify, here behind data and alone. */
static void test_warning_before_the_goodbye(void **state) {
	for(size_t i = 0; i < 4; i++) {
		struct test test;
		begin(&test, *state, versions[i % 2], true);
		begin_client(&test);
		run_until_quiet(&test);
		if(i & 2) {
			assert_int_equal(stream_write(&test.b.stream, "last", 4), 0);
		}
		/* The session is the first thing that a stream of this kind keeps. */
		gnutls_session_t session;
		memcpy(&session, test.b.stream.state, sizeof(session));
		assert_int_equal(
			gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED), 0);
		stream_finish(&test.b.stream);
		run_until_quiet(&test);
		assert_int_equal(test.a.len, i & 2 ? 4 : 0);
		assert_true(test.a.over);
		assert_int_equal(test.a.end, 0);
		end(&test);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_big_data),
		cmocka_unit_test(test_small_reads_of_much),
		cmocka_unit_test(test_tiny_records),
		cmocka_unit_test(test_plain_is_detected),
		cmocka_unit_test(test_plain_is_refused_where_tls_is_required),
		cmocka_unit_test(test_end_without_goodbye),
		cmocka_unit_test(test_warning_before_the_goodbye),
		cmocka_unit_test(test_write_before_the_handshake),
	};
	return cmocka_run_group_tests_name("tls_stream", tests, make_files, remove_files);
}
