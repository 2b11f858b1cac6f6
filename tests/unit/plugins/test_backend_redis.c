/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `redis` with a scripted server: options, pipelining, lost connections, time.
 */
#include "fake_core.h"

#include "plugins/backend_redis.c"
#include "plugins/backend_redis/pool.c"
#include "plugins/backend_redis/resp.c"
#include "plugins/common/duration.c"
#include "plugins/common/json.c"
#include "plugins/common/json_steps.c"
#include "plugins/common/reply.c"
#include "plugins/common/server.c"
#include "plugins/common/target.c"

#define ASK(key) "*2\r\n$3\r\nGET\r\n$1\r\n" key "\r\n"

static void *backend;

/* An instance with these options: pairs of names and values, ended by NULL. */
static void start(const char *const *options) {
	char error[WEBSOCKSY_ERROR_MAX];
	fake_core_reset();
	assert_int_equal(redis_backend.open(&fake_core, &backend), 0);
	for(; *options; options += 2) {
		assert_int_equal(
			redis_backend.configure(backend, options[0], options[1], error), 0);
	}
	assert_int_equal(redis_backend.check(backend, error), 0);
}

static const char *const plain[] = {"server", "db.example.org", "connections", "1", NULL};

static void stop(void) {
	redis_backend.close(backend);
	fake_core_check();
}

static struct fake_query ask(const char *token) {
	struct fake_query query = {0};
	if(token) {
		fake_set(&query, "query:token", token);
	}
	return query;
}

static void begin(struct fake_query *query, const char *token) {
	*query = ask(token);
	redis_backend.query(backend, &query->query);
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
	{"server", "localhost", true},
	{"server", "localhost:1", true},
	{"server", "[::1]:6380", true},
	{"server", "tls://a?ca=/etc/ca.pem", true},
	{"server", "unix:/run/redis.sock", true},
	{"server", "unix:///run/redis.sock", true},
	{"server", "", false},
	{"server", "a:b", false},
	{"server", "redis://a", false},
	{"server", "unix:redis.sock", false},
	{"server", "a b", false},
	{"password", "x", true},
	{"password", "", false},
	{"db", "0", true},
	{"db", "65535", true},
	{"db", "65536", false},
	{"db", "-1", false},
	{"db", "0x1", false},
	{"namespace", "ns", true},
	{"namespace", "", false},
	{"from", "cookie:a", true},
	{"from", "nothing", false},
	{"connections", "64", true},
	{"connections", "65", false},
	{"connections", "0", false},
	{"timeout", "500ms", true},
	{"timeout", "0", false},
	{"ttl", "0", true},
	{"ttl", "x", false},
	{"other", "x", false},
};

static void test_options(void **state) {
	char error[WEBSOCKSY_ERROR_MAX];
	(void)state;
	fake_core_reset();
	assert_int_equal(redis_backend.open(&fake_core, &backend), 0);
	for(size_t i = 0; i < COUNT(options); i++) {
		error[0] = '\0';
		int result =
			redis_backend.configure(backend, options[i].name, options[i].value, error);
		assert_int_equal(result, options[i].valid ? 0 : -EINVAL);
		assert_int_equal(error[0] == '\0', options[i].valid);
	}
	stop();
}

static void test_server_addresses(void **state) {
	static const struct {
		const char *value, *address;
	} servers[] = {
		{"localhost", "tcp://localhost:6379"},
		{"tls://a", "tls://a:6379"},
		{"tls://a:1?ca=/x", "tls://a:1?ca=/x"},
		{"unix:/run/a?b", "unix:///run/a%3Fb"},
	};
	char out[SERVER_MAX];
	(void)state;
	for(size_t i = 0; i < COUNT(servers); i++) {
		assert_true(redis_address(out, servers[i].value));
		assert_string_equal(out, servers[i].address);
	}
}

static void test_combinations(void **state) {
	char error[WEBSOCKSY_ERROR_MAX] = "";
	(void)state;
	fake_core_reset();
	assert_int_equal(redis_backend.open(&fake_core, &backend), 0);
	assert_int_equal(redis_backend.check(backend, error), -EINVAL);
	assert_memory_equal(error, "server", 6);
	redis_backend.configure(backend, "server", "a", error);
	redis_backend.configure(backend, "user", "u", error);
	assert_int_equal(redis_backend.check(backend, error), -EINVAL);
	assert_memory_equal(error, "user", 4);
	stop();
}

/* ---- lookups ---- */

static void test_tokens_that_are_not_looked_up(void **state) {
	static char too_long[REDIS_TOKEN_MAX + 2];
	struct fake_query query;
	(void)state;
	start(plain);
	begin(&query, NULL);
	expect_refused(&query, 404);
	begin(&query, "");
	expect_refused(&query, 404);
	memset(too_long, 'x', sizeof(too_long) - 1);
	begin(&query, too_long);
	expect_refused(&query, 404);
	assert_int_equal(FAKE.streams, 0);
	stop();
}

static void test_replies_in_order(void **state) {
	static const char *const tokens[] = {"a", "b", "\r\n", "d", "e", "f"};
	struct fake_query query[COUNT(tokens)];
	(void)state;
	start(plain);
	for(size_t i = 0; i < COUNT(query); i++) {
		begin(&query[i], tokens[i]);
	}
	assert_string_equal(FAKE.stream[0].address, "tcp://db.example.org:6379");
	assert_int_equal(FAKE.streams, 1);
	fake_connected(0);
	expect_written(0,
		ASK("a") ASK("b") "*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n" ASK("d") ASK("e") ASK("f"));
	reply(0, "$10\r\n10.0.0.1:7\r\n$19\r\n{\"host\":\"a.b:5900\"}\r\n$-1\r\n");
	expect_peer(&query[0], "tcp://10.0.0.1:7");
	expect_refused(&query[2], 404);
	reply(0, "-WRONGTYPE d\r\n$4\r\nabcd\r\n$0\r\n\r\n");
	for(size_t i = 3; i < COUNT(query); i++) {
		expect_refused(&query[i], 502);
	}
	assert_non_null(strstr(FAKE.log, "error WRONGTYPE"));
	assert_null(strstr(FAKE.log, "abcd"));
	stop();
}

static void test_options_of_lookups(void **state) {
	static const char *const all[] = {"server", "unix:/run/x", "password", "secret", "user",
		"me", "db", "3", "namespace", "ns", "from", "cookie:id", "ttl", "5", NULL};
	struct fake_query query = {0};
	(void)state;
	start(all);
	fake_set(&query, "cookie:id", "k");
	redis_backend.query(backend, &query.query);
	assert_string_equal(FAKE.stream[0].address, "unix:///run/x");
	fake_connected(0);
	expect_written(0,
		"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n"
		"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
	reply(0, "+OK\r\n");
	expect_written(0, "");
	reply(0, "+OK\r\n");
	expect_written(0, "*2\r\n$3\r\nGET\r\n$4\r\nns:k\r\n");
	reply(0, "$3\r\na:1\r\n");
	expect_peer(&query, "tcp://a:1");
	assert_string_equal(query.cache_key, "k");
	assert_int_equal(query.answer.cache_ms, 5000);
	stop();
}

static void test_a_refused_login(void **state) {
	static const char *const login[] = {"server", "a", "password", "secret", NULL};
	struct fake_query query;
	(void)state;
	start(login);
	begin(&query, "k");
	fake_connected(0);
	reply(0, "-WRONGPASS invalid secret\r\n");
	expect_refused(&query, 502);
	assert_non_null(strstr(FAKE.log, "WRONGPASS"));
	assert_null(strstr(FAKE.log, "secret"));
	assert_true(FAKE.stream[0].closed);
	stop();
}

static void test_a_server_that_cannot_be_reached(void **state) {
	struct fake_query query[2];
	(void)state;
	start(plain);
	begin(&query[0], "a");
	begin(&query[1], "b");
	fake_end(0, "connection refused");
	expect_refused(&query[0], 502);
	expect_refused(&query[1], 502);
	assert_int_equal(FAKE.streams, 1);
	assert_non_null(strstr(FAKE.log, "connection refused"));
	/* the next client tries again */
	begin(&query[0], "a");
	assert_int_equal(FAKE.streams, 2);
	fake_connected(1);
	reply(1, "$3\r\na:1\r\n");
	expect_peer(&query[0], "tcp://a:1");
	stop();
}

static void test_a_restart_of_the_server(void **state) {
	struct fake_query query[2];
	(void)state;
	start(plain);
	begin(&query[0], "a");
	fake_connected(0);
	reply(0, "$3\r\na:");
	begin(&query[1], "b");
	fake_end(0, NULL);
	assert_int_equal(query[0].state, FAKE_WAITS);
	assert_int_equal(FAKE.streams, 2);
	fake_connected(1);
	expect_written(1, ASK("a") ASK("b"));
	reply(1, "$3\r\na:1\r\n");
	expect_peer(&query[0], "tcp://a:1");
	/* not a third time */
	fake_end(1, "connection reset");
	expect_refused(&query[1], 502);
	assert_int_equal(FAKE.streams, 2);
	stop();
}

static void test_a_server_without_replies(void **state) {
	struct fake_query query[2];
	(void)state;
	start(plain);
	begin(&query[0], "a");
	begin(&query[1], "b");
	fake_connected(0);
	assert_int_equal(FAKE.timer[0].ms, 10000);
	redis_backend.cancel(backend, &query[1].query);
	fake_fire(0);
	expect_refused(&query[0], 504);
	assert_int_equal(query[1].state, FAKE_WAITS);
	assert_true(FAKE.stream[0].closed);
	assert_int_equal(FAKE.streams, 1);
	stop();
}

static void test_cancelled_lookups(void **state) {
	struct fake_query query[3];
	(void)state;
	start(plain);
	begin(&query[0], "a");
	redis_backend.cancel(backend, &query[0].query);
	begin(&query[1], "b");
	fake_connected(0);
	expect_written(0, ASK("b"));
	redis_backend.cancel(backend, &query[1].query);
	begin(&query[2], "c");
	reply(0, "$3\r\nb:1\r\n$3\r\nc:1\r\n");
	assert_int_equal(query[1].state, FAKE_WAITS);
	expect_peer(&query[2], "tcp://c:1");
	stop();
}

static void test_garbage(void **state) {
	static const char *const garbage[] = {
		"HTTP/1.1 400 Bad Request\r\n", "*0\r\n", "+OK\r\n", ":1\r\n", "$x\r\n", "\r\n"};
	(void)state;
	for(size_t i = 0; i < COUNT(garbage); i++) {
		struct fake_query query;
		start(plain);
		begin(&query, "a");
		fake_connected(0);
		reply(0, garbage[i]);
		/* a second try */
		assert_int_equal(FAKE.streams, 2);
		fake_connected(1);
		reply(1, garbage[i]);
		expect_refused(&query, 502);
		assert_int_equal(FAKE.streams, 2);
		stop();
	}
}

static void test_an_idle_connection(void **state) {
	struct fake_query query;
	(void)state;
	start(plain);
	begin(&query, "a");
	fake_connected(0);
	reply(0, "$3\r\na:1\r\n");
	/* a reply without a question */
	reply(0, "$3\r\na:1\r\n");
	assert_true(FAKE.stream[0].closed);
	begin(&query, "a");
	fake_connected(1);
	reply(1, "$3\r\na:1\r\n");
	fake_end(1, NULL);
	assert_int_equal(FAKE.streams, 2);
	stop();
}

static void test_further_connections(void **state) {
	static const char *const two[] = {"server", "a", "connections", "2", NULL};
	static struct fake_query query[2 * POOL_BUSY];
	(void)state;
	start(two);
	begin(&query[0], "a");
	fake_connected(0);
	for(size_t i = 1; i < POOL_BUSY; i++) {
		begin(&query[i], "a");
	}
	assert_int_equal(FAKE.streams, 2);
	fake_connected(1);
	begin(&query[POOL_BUSY], "b");
	expect_written(1, ASK("b"));
	/* the server does not want more of them */
	fake_end(1, "connection reset");
	assert_int_equal(FAKE.streams, 3);
	fake_end(2, "connection refused");
	assert_int_equal(FAKE.streams, 3);
	begin(&query[POOL_BUSY + 1], "c");
	assert_int_equal(FAKE.streams, 3);
	assert_int_equal(query[POOL_BUSY].state, FAKE_WAITS);
	for(size_t i = 0; i < POOL_BUSY + 2; i++) {
		redis_backend.cancel(backend, &query[i].query);
	}
	stop();
}

static void test_the_end_of_the_instance(void **state) {
	struct fake_query query;
	(void)state;
	start(plain);
	begin(&query, "a");
	redis_backend.cancel(backend, &query.query);
	stop();
	start(plain);
	begin(&query, "a");
	fake_connected(0);
	redis_backend.cancel(backend, &query.query);
	stop();
}

static void test_no_memory(void **state) {
	struct fake_query query;
	(void)state;
	start(plain);
	FAKE.no_memory = true;
	begin(&query, "a");
	expect_refused(&query, 502);
	FAKE.no_memory = false;
	begin(&query, "a");
	FAKE.no_memory = true;
	fake_connected(0);
	expect_refused(&query, 502);
	stop();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_server_addresses),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_tokens_that_are_not_looked_up),
		cmocka_unit_test(test_replies_in_order),
		cmocka_unit_test(test_options_of_lookups),
		cmocka_unit_test(test_a_refused_login),
		cmocka_unit_test(test_a_server_that_cannot_be_reached),
		cmocka_unit_test(test_a_restart_of_the_server),
		cmocka_unit_test(test_a_server_without_replies),
		cmocka_unit_test(test_cancelled_lookups),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_an_idle_connection),
		cmocka_unit_test(test_further_connections),
		cmocka_unit_test(test_the_end_of_the_instance),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
