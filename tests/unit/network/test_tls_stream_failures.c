/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS streams: failures that GnuTLS reports once, late, or not at all. Sessions of GnuTLS send data
 * that a stream never sends, and GnuTLS itself is made to fail (the linker puts the functions of
 * the test in front, see the Makefile).
 */
#include "network/tls_bench.h"

/* A session of GnuTLS at the other end of a stream's wire, in the place of one side. */
struct raw {
	struct test *test;
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	struct way *in;
	struct way *out;
};

static ssize_t raw_pull(gnutls_transport_ptr_t ptr, void *data, size_t cap) {
	struct raw *raw = ptr;
	struct way *way = raw->in;
	way_take(way);
	size_t len = way->held_len < cap ? way->held_len : cap;
	if(len == 0) {
		gnutls_transport_set_errno(raw->session, EAGAIN);
		return -1;
	}
	memcpy(data, way->held, len);
	memmove(way->held, way->held + len, way->held_len - len);
	way->held_len -= len;
	return (ssize_t)len;
}

/* What is sent waits on the wire until way_give(). */
static ssize_t raw_push(gnutls_transport_ptr_t ptr, const void *data, size_t len) {
	struct way *way = ((struct raw *)ptr)->out;
	way->held = grow(way->held, way->held_len, len);
	memcpy(way->held + way->held_len, data, len);
	way->held_len += len;
	return (ssize_t)len;
}

static void raw_open(struct raw *raw, struct test *test, const struct files *files, bool client) {
	*raw = (struct raw){.test = test};
	raw->in = client ? &test->down : &test->up;
	raw->out = client ? &test->up : &test->down;
	assert_int_equal(gnutls_certificate_allocate_credentials(&raw->credentials), 0);
	assert_int_equal(gnutls_certificate_set_x509_key_file(
				 raw->credentials, files->cert, files->key, GNUTLS_X509_FMT_PEM),
		0);
	unsigned flags = client ? GNUTLS_CLIENT : GNUTLS_SERVER;
	assert_int_equal(gnutls_init(&raw->session, flags | GNUTLS_NONBLOCK), 0);
	assert_int_equal(
		gnutls_priority_set_direct(raw->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), 0);
	assert_int_equal(
		gnutls_credentials_set(raw->session, GNUTLS_CRD_CERTIFICATE, raw->credentials), 0);
	gnutls_handshake_set_timeout(raw->session, GNUTLS_INDEFINITE_TIMEOUT);
	gnutls_transport_set_ptr(raw->session, raw);
	gnutls_transport_set_pull_function(raw->session, raw_pull);
	gnutls_transport_set_push_function(raw->session, raw_push);
}

static void raw_handshake(struct raw *raw) {
	int status = GNUTLS_E_AGAIN;
	for(int i = 0; i < 20; i++) {
		status = status == 0 ? 0 : gnutls_handshake(raw->session);
		assert_true(status == 0 || status == GNUTLS_E_AGAIN);
		way_give(raw->out);
		run_turn(raw->test);
	}
	assert_int_equal(status, 0);
}

static void raw_close(struct raw *raw) {
	gnutls_deinit(raw->session);
	gnutls_certificate_free_credentials(raw->credentials);
}

ssize_t __real_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap);
ssize_t __wrap_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap);
size_t __real_gnutls_record_check_pending(gnutls_session_t session);
size_t __wrap_gnutls_record_check_pending(gnutls_session_t session);

static struct {
	bool armed;
	unsigned calls; /* so many calls go through first */
	int status; /* then one returns this, and the others GNUTLS_E_AGAIN; nothing is consumed */
	bool always; /* the others return it, too */
	size_t pending; /* what GnuTLS says it holds from then on */
} fault;

ssize_t __wrap_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap) {
	if(!fault.armed || fault.calls > 0) {
		fault.calls -= fault.armed;
		return __real_gnutls_record_recv(session, data, cap);
	}
	int status = fault.status;
	fault.status = fault.always ? status : GNUTLS_E_AGAIN;
	return status;
}

size_t __wrap_gnutls_record_check_pending(gnutls_session_t session) {
	size_t pending = __real_gnutls_record_check_pending(session);
	return fault.armed && fault.calls == 0 && fault.pending > 0 ? fault.pending : pending;
}

/* A few turns, then `side` has what came in front of the failure, and the failure. */
static void expect_verdict(struct test *test, struct side *side, size_t len) {
	for(int i = 0; i < VERDICT_TURNS; i++) {
		run_turn(test);
	}
	assert_int_equal(side->len, len);
	assert_true(side->over);
	assert_true(side->end < 0);
	assert_non_null(tls_stream_reason(&side->stream));
	/* And for ever. */
	assert_int_equal(stream_read(&side->stream, test->loop.scratch, side->cap), side->end);
}

/*
 * One read brings data and then more new keys than GnuTLS takes. It reports that once, and then
 * waits for input as if nothing had happened.
 */
static void test_too_many_keys_behind_data(void **state) {
	for(int client = 0; client < 2; client++) {
		struct test test;
		struct raw raw;
		alarm(HANG_SECONDS);
		begin(&test, *state, NULL, true);
		test.b.echo = false;
		raw_open(&raw, &test, *state, client);
		if(client) {
			test.a.up = true; /* its place is taken */
		} else {
			begin_client(&test);
		}
		struct side *side = client ? &test.b : &test.a;
		raw_handshake(&raw);
		assert_false(tls_stream_in_handshake(&side->stream));
		for(int i = 0; i < KEY_UPDATES; i++) {
			assert_int_equal(gnutls_session_key_update(raw.session, 0), 0);
		}
		assert_int_equal(gnutls_record_send(raw.session, "data", 4), 4);
		assert_int_equal(gnutls_session_key_update(raw.session, 0), 0);
		assert_true(way_give(raw.out));
		assert_int_equal(raw.out->held_len, 0);
		expect_verdict(&test, side, 4);
		assert_memory_equal(side->got, "data", 4);
		raw_close(&raw);
		end(&test);
		alarm(0);
	}
}

/* What GnuTLS reports in the `calls`-th call, with input behind it that it never takes. */
static void expect_end_of_fault(
	const struct files *files, int status, unsigned calls, bool always) {
	struct test test;
	alarm(HANG_SECONDS);
	begin(&test, files, NULL, true);
	test.b.echo = false;
	begin_client(&test);
	run_until_quiet(&test);
	assert_int_equal(stream_write(&test.a.stream, "data", 4), 0);
	assert_int_equal(stream_write(&test.a.stream, "more", 4), 0);
	while(way_take(&test.up)) {
	}
	assert_true(way_give(&test.up));
	fault.armed = true;
	fault.calls = calls;
	fault.status = status;
	fault.always = always;
	expect_verdict(&test, &test.b, calls * 4);
	memset(&fault, 0, sizeof(fault));
	end(&test);
	alarm(0);
}

static void test_failures_that_are_not_repeated(void **state) {
	static const int statuses[] = {GNUTLS_E_MEMORY_ERROR, GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS,
		GNUTLS_E_DECRYPTION_FAILED, GNUTLS_E_UNEXPECTED_PACKET, GNUTLS_E_REHANDSHAKE,
		GNUTLS_E_WARNING_ALERT_RECEIVED, GNUTLS_E_INTERRUPTED, GNUTLS_E_AGAIN};
	for(size_t i = 0; i < COUNT(statuses); i++) {
		for(unsigned calls = 0; calls < 2; calls++) {
			expect_end_of_fault(*state, statuses[i], calls, false);
			expect_end_of_fault(*state, statuses[i], calls, true);
		}
	}
}

/* Plaintext inside GnuTLS that it does not hand out. */
static void test_pending_that_never_comes(void **state) {
	fault.pending = 4;
	expect_end_of_fault(*state, GNUTLS_E_AGAIN, 2, false);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_many_keys_behind_data),
		cmocka_unit_test(test_failures_that_are_not_repeated),
		cmocka_unit_test(test_pending_that_never_comes),
	};
	return cmocka_run_group_tests_name("tls_stream_failures", tests, make_files, remove_files);
}
