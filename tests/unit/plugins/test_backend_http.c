/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `http` with a scripted server: options, requests, connections, time.
 */
#include "fake_core.h"

#include "plugins/backend_http.c"
#include "plugins/backend_http/client.c"
#include "plugins/backend_http/response.c"
#include "plugins/backend_http/url.c"
#include "plugins/common/duration.c"
#include "plugins/common/json.c"
#include "plugins/common/json_steps.c"
#include "plugins/common/reply.c"
#include "plugins/common/server.c"
#include "plugins/common/target.c"

#define FIELDS "User-Agent: websocksy\r\nAccept: application/json, text/plain\r\n"
#define FOUND "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na:1"

static void *backend;

/* An instance with these options: pairs of names and values, ended by NULL. */
static void start(const char *const *options) {
	char error[WEBSOCKSY_ERROR_MAX];
	fake_core_reset();
	assert_int_equal(http_backend.open(&fake_core, &backend), 0);
	for(; *options; options += 2) {
		assert_int_equal(http_backend.configure(backend, options[0], options[1], error), 0);
	}
	assert_int_equal(http_backend.check(backend, error), 0);
}

static void start_url(const char *url) {
	const char *options[] = {"url", url, "connections", "2", NULL};
	start(options);
}

static void stop(void) {
	http_backend.close(backend);
	fake_core_check();
}

static void begin(struct fake_query *query, const char *token) {
	*query = (struct fake_query){0};
	fake_set(query, "query:token", token);
	http_backend.query(backend, &query->query);
}

static void reply(size_t stream, const char *text) {
	fake_data(stream, text, strlen(text));
}

static void expect_written(size_t stream, const char *text) {
	assert_int_equal(FAKE.stream[stream].len, strlen(text));
	assert_memory_equal(FAKE.stream[stream].written, text, strlen(text));
	FAKE.stream[stream].len = 0;
}

static void expect_refused(const struct fake_query *query, unsigned status) {
	assert_int_equal(query->state, FAKE_REFUSED);
	assert_int_equal(query->status, status);
}

static void expect_peer(const struct fake_query *query, const char *peer) {
	assert_int_equal(query->state, FAKE_ANSWERED);
	assert_string_equal(query->text, peer);
}

/* ---- options ---- */

struct option_case {
	const char *name, *value;
	bool valid;
};

static const struct option_case options[] = {
	{"url", "http://a/%s", true},
	{"url", "http://a", true},
	{"url", "https://[::1]:8443/x/%token%?y=%path%&z=%2F", true},
	{"url", "https://a?t=%s%s", true},
	{"url", "ftp://a/%s", false},
	{"url", "http:///x", false},
	{"url", "http://user@a/%s", false},
	{"url", "http://a:b/%s", false},
	{"url", "http://%s/", false},
	{"url", "http://a/%path%?x", false},
	{"url", "http://a/%x", false},
	{"url", "http://a/%", false},
	{"url", "http://a/%2", false},
	{"url", "http://a/x y", false},
	{"url", "http://a/x\r\n", false},
	{"url", "http://a/x#y", false},
	{"ca", "/etc/ca.pem", true},
	{"ca", "", false},
	{"pass-header", "Cookie", true},
	{"pass-header", "X-Y_z", true},
	{"pass-header", "", false},
	{"pass-header", "A:", false},
	{"pass-header", "A B", false},
	{"pass-header", "host", false},
	{"pass-header", "Transfer-Encoding", false},
	{"from", "cookie:a", true},
	{"from", "nothing", false},
	{"connections", "4096", true},
	{"connections", "4097", false},
	{"connections", "0", false},
	{"connections", "1x", false},
	{"timeout", "1s", true},
	{"timeout", "0", false},
	{"ttl", "5", true},
	{"ttl", "x", false},
	{"other", "x", false},
};

static void test_options(void **state) {
	char error[WEBSOCKSY_ERROR_MAX];
	(void)state;
	fake_core_reset();
	assert_int_equal(http_backend.open(&fake_core, &backend), 0);
	for(size_t i = 0; i < COUNT(options); i++) {
		error[0] = '\0';
		int result =
			http_backend.configure(backend, options[i].name, options[i].value, error);
		assert_int_equal(result, options[i].valid ? 0 : -EINVAL);
		assert_int_equal(error[0] == '\0', options[i].valid);
	}
	for(size_t i = 2; i < URL_HEADERS_MAX; i++) {
		assert_int_equal(http_backend.configure(backend, "pass-header", "X", error), 0);
	}
	assert_int_equal(http_backend.configure(backend, "pass-header", "X", error), -EINVAL);
	stop();
}

static void check_combination(const char *url, const char *name, const char *value, bool valid) {
	char error[WEBSOCKSY_ERROR_MAX] = "";
	fake_core_reset();
	assert_int_equal(http_backend.open(&fake_core, &backend), 0);
	if(url) {
		assert_int_equal(http_backend.configure(backend, "url", url, error), 0);
	}
	if(name) {
		assert_int_equal(http_backend.configure(backend, name, value, error), 0);
	}
	assert_int_equal(http_backend.check(backend, error), valid ? 0 : -EINVAL);
	assert_int_equal(error[0] == '\0', valid);
	stop();
}

static void test_combinations(void **state) {
	(void)state;
	check_combination(NULL, NULL, NULL, false);
	check_combination("http://a/x", NULL, NULL, false);
	check_combination("http://a/x", "pass-header", "Cookie", true);
	check_combination("http://a/?%path%", NULL, NULL, true);
	check_combination("http://a/%s", "ca", "/ca", false);
	check_combination("https://a/%s", "ca", "/ca", true);
}

/* ---- requests ---- */

struct request_case {
	const char *url, *token;
	const char *target; /* NULL: 404 */
};

static const struct request_case requests[] = {
	{"http://a:8/t/%s", "k1-._~", "/t/k1-._~"},
	{"http://a:8/t/%token%/x", "k", "/t/k/x"},
	{"http://a:8?t=%s", "k", "/?t=k"},
	{"http://a:8/?t=%s&p=%path%", "a&b=c#d", "/?t=a%26b%3Dc%23d&p=%2Fchat%2F%252e"},
	{"http://a:8/?t=%s", "../x", "/?t=..%2Fx"},
	{"http://a:8/%2F/%s", "\r\nX: y", "/%2F/%0D%0AX%3A%20y"},
	{"http://a:8/%s", "\xc3\xa9%", "/%C3%A9%25"},
	{"http://a:8/%s", "..", NULL},
	{"http://a:8/%s", ".", NULL},
	{"http://a:8/%s", "../x", NULL},
	{"http://a:8/%s", "a\\b", NULL},
	{"http://a:8/%s", "...", "/..."},
	{"http://a:8/%s", "", NULL},
};

static void test_requests(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(requests); i++) {
		const char *const values[] = {
			"url", requests[i].url, "pass-header", "X", "connections", "1", NULL};
		struct fake_query query = {0};
		char expected[256];
		start(values);
		fake_set(&query, "query:token", requests[i].token);
		fake_set(&query, "path", "/chat/%2e");
		http_backend.query(backend, &query.query);
		if(!requests[i].target) {
			expect_refused(&query, 404);
			assert_int_equal(FAKE.streams, 0);
		} else {
			snprintf(expected, sizeof(expected),
				"GET %s HTTP/1.1\r\nHost: a:8\r\n" FIELDS "\r\n",
				requests[i].target);
			assert_string_equal(FAKE.stream[0].address, "tcp://a:8");
			fake_connected(0);
			expect_written(0, expected);
			http_backend.cancel(backend, &query.query);
		}
		stop();
	}
}

static void test_header_fields_are_passed_on(void **state) {
	static const char *const values[] = {"url", "https://a/auth", "ca", "/etc/a&b.pem",
		"pass-header", "Cookie", "pass-header", "X-Y", "pass-header", "Z", "ttl", "1",
		NULL};
	struct fake_query query = {0};
	(void)state;
	start(values);
	fake_set(&query, "header:Cookie", "a=b; c=d");
	fake_set(&query, "header:Z", "");
	http_backend.query(backend, &query.query);
	assert_string_equal(FAKE.stream[0].address, "tls://a:443?ca=/etc/a%26b.pem");
	fake_connected(0);
	expect_written(
		0, "GET /auth HTTP/1.1\r\nHost: a\r\n" FIELDS "Cookie: a=b; c=d\r\nZ: \r\n\r\n");
	reply(0, FOUND);
	expect_peer(&query, "tcp://a:1");
	assert_int_equal(query.answer.cache_ms, 1000);
	assert_non_null(strstr(query.cache_key, "Cookie: a=b"));
	stop();
}

static void test_requests_that_are_not_made(void **state) {
	static const char *const values[] = {"url", "http://a/?t=%s", "pass-header", "X", NULL};
	static char long_text[URL_REQUEST_MAX + 1];
	struct fake_query query = {0};
	(void)state;
	start(values);
	http_backend.query(backend, &query.query);
	expect_refused(&query, 404);
	memset(long_text, 'x', sizeof(long_text) - 1);
	begin(&query, long_text);
	expect_refused(&query, 404);
	const char *const fields[] = {"a\r\nY: z", "a\x01", long_text};
	for(size_t i = 0; i < COUNT(fields); i++) {
		query = (struct fake_query){0};
		fake_set(&query, "query:token", "t");
		fake_set(&query, "header:X", fields[i]);
		http_backend.query(backend, &query.query);
		expect_refused(&query, 400);
	}
	assert_int_equal(FAKE.streams, 0);
	stop();
}

/* ---- responses ---- */

struct reply_case {
	const char *reply, *peer;
	unsigned status;
};

static const struct reply_case replies[] = {
	{FOUND, "tcp://a:1", 0},
	{"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"host\r\n12\r\n"
	 "\":\"b\",\"port\":22} \n\r\n0\r\n\r\n",
		"tcp://b:22", 0},
	{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ntls://x", "tls://x", 0},
	{"HTTP/1.1 401 X\r\n\r\n", NULL, 401},
	{"HTTP/1.1 403 X\r\nContent-Length: 99999\r\n\r\n", NULL, 403},
	{"HTTP/1.1 404 X\r\nContent-Length: 1\r\n\r\nx", NULL, 404},
	{"HTTP/1.1 400 X\r\n\r\n", NULL, 502},
	{"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", NULL, 502},
	{"HTTP/1.1 500 X\r\n\r\n", NULL, 502},
	{"HTTP/1.1 204 X\r\n\r\n", NULL, 502},
	{"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", NULL, 502},
	{"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nabc", NULL, 502},
	{"HTTP/1.1 200 X\r\nContent-Length: 9999\r\n\r\n", NULL, 502},
	{"SSH-2.0-OpenSSH_9.2\r\n", NULL, 502},
};

static void test_replies(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(replies); i++) {
		struct fake_query query;
		start_url("http://a/%s");
		begin(&query, "secret");
		fake_connected(0);
		reply(0, replies[i].reply);
		if(replies[i].peer) {
			expect_peer(&query, replies[i].peer);
		} else {
			expect_refused(&query, replies[i].status);
		}
		assert_int_equal(FAKE.log[0] != '\0', replies[i].status == 502);
		assert_null(strstr(FAKE.log, "secret"));
		stop();
	}
}

static void test_half_a_response(void **state) {
	struct fake_query query;
	(void)state;
	for(size_t len = 0; len < strlen(FOUND); len++) {
		start_url("http://a/%s");
		begin(&query, "k");
		fake_connected(0);
		if(len > 0) {
			fake_data(0, FOUND, len);
		}
		fake_end(0, NULL);
		expect_refused(&query, 502);
		assert_int_equal(FAKE.streams, 1);
		stop();
	}
}

static void test_a_body_until_the_end(void **state) {
	static const char *const errors[] = {NULL, "TLS connection cut off"};
	struct fake_query query;
	(void)state;
	for(size_t i = 0; i < COUNT(errors); i++) {
		start_url("http://a/%s");
		begin(&query, "k");
		fake_connected(0);
		reply(0, "HTTP/1.0 200 OK\r\n\r\na:12");
		assert_int_equal(query.state, FAKE_WAITS);
		fake_end(0, errors[i]);
		if(errors[i]) {
			expect_refused(&query, 502);
		} else {
			expect_peer(&query, "tcp://a:12");
		}
		stop();
	}
}

/* ---- connections ---- */

static void test_connections_are_reused(void **state) {
	struct fake_query query;
	(void)state;
	start_url("http://a/%s");
	begin(&query, "a");
	fake_connected(0);
	reply(0, FOUND);
	FAKE.stream[0].len = 0;
	begin(&query, "b");
	assert_int_equal(FAKE.streams, 1);
	expect_written(0, "GET /b HTTP/1.1\r\nHost: a\r\n" FIELDS "\r\n");
	reply(0, FOUND);
	expect_peer(&query, "tcp://a:1");
	/* the server closes it; the next client gets a new one */
	fake_end(0, NULL);
	begin(&query, "c");
	fake_connected(1);
	/* bytes behind the response */
	reply(1, FOUND "HTTP/1.1 200 OK\r\n");
	expect_peer(&query, "tcp://a:1");
	assert_true(FAKE.stream[1].closed);
	begin(&query, "d");
	fake_connected(2);
	reply(2, FOUND);
	reply(2, "HTTP/1.1 408 Timeout\r\n\r\n");
	assert_true(FAKE.stream[2].closed);
	stop();
}

static void test_a_connection_that_was_closed_meanwhile(void **state) {
	struct fake_query query;
	(void)state;
	start_url("http://a/%s");
	begin(&query, "a");
	fake_connected(0);
	reply(0, FOUND);
	begin(&query, "b");
	fake_end(0, "connection reset");
	assert_int_equal(query.state, FAKE_WAITS);
	assert_int_equal(FAKE.streams, 2);
	fake_connected(1);
	fake_end(1, "connection reset");
	expect_refused(&query, 502);
	assert_int_equal(FAKE.streams, 2);
	stop();
}

static void test_lookups_wait_for_connections(void **state) {
	struct fake_query query[5];
	(void)state;
	start_url("http://a/%s");
	for(size_t i = 0; i < COUNT(query); i++) {
		begin(&query[i], "k");
	}
	assert_int_equal(FAKE.streams, 2);
	http_backend.cancel(backend, &query[3].query);
	fake_connected(0);
	/* another client takes the connection */
	reply(0, FOUND);
	expect_peer(&query[0], "tcp://a:1");
	assert_int_equal(FAKE.streams, 2);
	reply(0, FOUND);
	expect_peer(&query[2], "tcp://a:1");
	/* the client of a connection leaves */
	http_backend.cancel(backend, &query[1].query);
	assert_true(FAKE.stream[1].closed);
	reply(0, "HTTP/1.1 404 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	expect_refused(&query[4], 404);
	assert_true(FAKE.stream[0].closed);
	assert_int_equal(FAKE.streams, 2);
	stop();
}

static void test_time(void **state) {
	struct fake_query query[3];
	(void)state;
	start_url("http://a/%s");
	for(size_t i = 0; i < COUNT(query); i++) {
		begin(&query[i], "k");
	}
	assert_int_equal(FAKE.timer[0].ms, 10000);
	fake_fire(2);
	expect_refused(&query[2], 504);
	fake_connected(0);
	fake_fire(0);
	expect_refused(&query[0], 504);
	assert_true(FAKE.stream[0].closed);
	fake_fire(1);
	expect_refused(&query[1], 504);
	stop();
}

static void test_a_server_that_cannot_be_reached(void **state) {
	struct fake_query query;
	(void)state;
	start_url("https://a/%s");
	begin(&query, "secret");
	fake_end(0, "the certificate is self-signed");
	expect_refused(&query, 502);
	assert_string_equal(FAKE.log,
		"https://a: the certificate is self-signed; the client is refused with 502\n");
	stop();
}

static void test_no_memory(void **state) {
	struct fake_query query;
	(void)state;
	start_url("http://a/%s");
	FAKE.no_memory = true;
	begin(&query, "k");
	expect_refused(&query, 503);
	stop();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_header_fields_are_passed_on),
		cmocka_unit_test(test_requests_that_are_not_made),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_half_a_response),
		cmocka_unit_test(test_a_body_until_the_end),
		cmocka_unit_test(test_connections_are_reused),
		cmocka_unit_test(test_a_connection_that_was_closed_meanwhile),
		cmocka_unit_test(test_lookups_wait_for_connections),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_a_server_that_cannot_be_reached),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
