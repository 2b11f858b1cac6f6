/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS sessions: the names of peers, resumption.
 */
#include "network/tls_bench.h"

/* The certificate is for server.example: what comes of a host that is called like this? */
static void expect_host(const struct files *files, const char *host, bool fine, const char *word) {
	struct test test;
	begin(&test, files, NULL, true);
	begin_client_for(&test, host);
	run_until_quiet(&test);
	assert_true(test.a.up == fine);
	assert_true(test.a.over == !fine);
	const char *reason = tls_stream_reason(&test.a.stream);
	if(fine ? reason != NULL : !reason || !strstr(reason, word)) {
		fail_msg("%s: \"%s\"", host, reason ? reason : "(none)");
	}
	assert_true(fine || strcmp(stream_reason(&test.a.stream, -EPROTO), reason) == 0);
	end(&test);
}

static void test_hosts(void **state) {
	expect_host(*state, "server.example", true, NULL);
	expect_host(*state, "SERVER.example", true, NULL);
	expect_host(*state, "server.example.", true, NULL); /* the root's dot */
	expect_host(*state, "other.example", false, "for another name");
	expect_host(*state, "www.server.example", false, "for another name");
	expect_host(*state, "example", false, "for another name");
	expect_host(*state, ".", false, "for another name");
	expect_host(*state, "127.0.0.1", false, "for another name");
	expect_host(*state, "fe80::1%lo", false, "for another name");
}

static time_t shown_time;

static time_t show_time(time_t *out) {
	if(out) {
		*out = shown_time;
	}
	return shown_time;
}

/*
 * Both sides show the certificate of `files`. The client resumes the session in `data`, if there is
 * one, and the new one is there afterwards. True: the server has accepted both.
 */
static bool connect_again(
	const struct files *files, struct tls_credentials *server, gnutls_datum_t *data) {
	struct tls_client_options client = {
		.ca = files->cert, .cert = files->cert, .key = files->key};
	char error[TLS_ERROR_MAX];
	struct test test = {0};
	assert_int_equal(loop_open(&test.loop), 0);
	test.server = tls_credentials_ref(server);
	assert_int_equal(tls_credentials_open_client(&test.client, &client, error), 0);
	side_open(&test, &test.a, true, &test.up, &test.down);
	side_open(&test, &test.b, false, &test.down, &test.up);
	test.b.echo = true;
	assert_int_equal(tls_session_accept(&test.b.stream, server, false), 0);
	assert_int_equal(tls_session_connect(&test.a.stream, test.client, "server.example"), 0);
	gnutls_session_t session = tls_of(&test.a.stream)->session;
	bool resumes = data->data != NULL;
	if(resumes) {
		assert_int_equal(gnutls_session_set_data(session, data->data, data->size), 0);
		gnutls_free(data->data);
		*data = (gnutls_datum_t){0};
	}
	try_handshake(&test.a);
	run_until_quiet(&test);
	bool accepted = test.a.up && !test.b.over;
	if(accepted) {
		assert_int_equal(stream_write(&test.a.stream, "hello", 5), 0);
		run_until_quiet(&test);
		assert_int_equal(test.a.len, 5);
		assert_int_equal(gnutls_session_is_resumed(session) != 0, resumes);
		assert_int_equal(gnutls_session_get_data2(session, data), 0);
	} else {
		assert_non_null(strstr(tls_stream_reason(&test.b.stream), "has expired"));
	}
	end(&test);
	return accepted;
}

/* A session ticket does not prolong the certificate of the client that it was given to. */
static void test_resumption_with_an_expired_certificate(void **state) {
	const struct files *files = *state;
	struct tls_pair pair = {files->cert, files->key};
	struct tls_server_options options = {
		.pairs = 1, .pair = &pair, .client_ca = files->cert, .verify = TLS_VERIFY_REQUIRED};
	time_t expires = time(NULL) + 86400; /* or a little earlier */
	gnutls_global_set_time_function(show_time);
	for(size_t v = 0; v < 2; v++) {
		gnutls_datum_t session = {0};
		struct tls_credentials *server;
		struct tls_error error;
		options.priority = versions[v];
		assert_int_equal(tls_credentials_open_server(&server, &options, &error), 0);
		shown_time = expires - 7200;
		assert_true(connect_again(files, server, &session));
		shown_time = expires - 3600;
		assert_true(connect_again(files, server, &session));
		shown_time = expires + 60;
		assert_false(connect_again(files, server, &session));
		tls_credentials_unref(server);
	}
	gnutls_global_set_time_function(time);
}

/* The key of session tickets is replaced after a day, and not before. */
static void test_ticket_key_is_replaced(void **state) {
	const struct files *files = *state;
	struct tls_pair pair = {files->cert, files->key};
	struct tls_server_options options = {.pairs = 1, .pair = &pair};
	struct tls_credentials *server;
	struct tls_error error;
	uint8_t first[256];
	assert_int_equal(tls_credentials_open_server(&server, &options, &error), 0);
	const gnutls_datum_t *key = tls_credentials_ticket_key(server, 5);
	assert_true(key->size > 0 && key->size <= sizeof(first));
	memcpy(first, key->data, key->size);
	key = tls_credentials_ticket_key(server, 5 + TLS_TICKET_KEY_MS - 1);
	assert_memory_equal(first, key->data, key->size);
	key = tls_credentials_ticket_key(server, 5 + TLS_TICKET_KEY_MS);
	assert_memory_not_equal(first, key->data, key->size);
	tls_credentials_unref(server);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_resumption_with_an_expired_certificate),
		cmocka_unit_test(test_ticket_key_is_replaced),
	};
	return cmocka_run_group_tests_name("tls_session", tests, make_files, remove_files);
}
