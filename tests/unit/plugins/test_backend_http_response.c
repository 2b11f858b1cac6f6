/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP responses: each stream whole, byte by byte, cut at every offset, and cut off.
 */
#include "support.h"

#include "plugins/backend_http/response.c"

struct reading {
	const uint8_t *input;
	struct response response;
	enum response_result result;
	size_t used;
};

static void feed(void *ctx, size_t offset, size_t length) {
	struct reading *reading = ctx;
	struct guard guard = guard_new(reading->input + offset, length);
	if(reading->result == RESPONSE_MORE) {
		size_t used;
		reading->result = response_take(&reading->response, guard.data, length, &used);
		assert_true(used <= length);
		assert_true(used == length || reading->result != RESPONSE_MORE);
		reading->used += used;
	}
	guard_free(&guard);
}

static void read_stream(struct reading *reading, const char *input, size_t len, size_t way) {
	memset(reading, 0, sizeof(*reading));
	reading->input = (const uint8_t *)input;
	reading->result = RESPONSE_MORE;
	response_start(&reading->response);
	cut_feed(len, way, feed, reading);
}

struct response_case {
	const char *input;
	unsigned status; /* 0: invalid */
	const char *body; /* NULL: none is read */
	bool persistent;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

/* Nothing follows behind the response. */
static const struct response_case complete[] = {
	{OK "Content-Length: 3\r\n\r\na:1", 200, "a:1", true},
	{OK "content-length:3 \r\nX: y\r\n\r\na:1", 200, "a:1", true},
	{"HTTP/1.1 200\nContent-Length: 3\n\na:1", 200, "a:1", true},
	{OK "Content-Length: 3\r\nContent-Length: 3\r\n\r\na:1", 200, "a:1", true},
	{OK "Connection: keep-alive, Close\r\nContent-Length: 3\r\n\r\na:1", 200, "a:1", false},
	{"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\na:1", 200, "a:1", false},
	{OK CHUNKED "3\r\na:1\r\n0\r\n\r\n", 200, "a:1", true},
	{OK CHUNKED "1\r\na\r\n2;x=y\r\n:1\r\n00\r\nTrailer: x\r\n\r\n", 200, "a:1", true},
	{OK CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", 200, "0123456789", true},
	{"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 3\r\n\r\na:1", 200, "a:1", true},
	{"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK CHUNKED "0\r\n\r\n", 200, "", true},
	{"HTTP/1.1 204 No Content\r\n\r\n", 204, NULL, true},
	{"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, NULL, true},
	{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, NULL, true},
	{"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno", 403, "no", true},
	{"HTTP/1.1 401 No\r\n\r\n", 401, NULL, false},
	{"HTTP/1.1 404 No\r\nContent-Length: 99999\r\n\r\n", 404, NULL, false},
	{"HTTP/1.1 404 No\r\n" CHUNKED, 404, NULL, false},
};

static const char *const invalid[] = {
	"HTTP/2 200 OK\r\n\r\n",
	"HTTP/1.1 20 OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 099 OK\r\n\r\n",
	"HTTP/1.1 600 OK\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	"HTTP/1.1  200 OK\r\n\r\n",
	"ICY 200 OK\r\n\r\n",
	"+OK\r\n-ERR\r\n",
	"\r\n",
	OK "Content-Length: -1\r\n\r\n",
	OK "Content-Length: 1, 1\r\n\r\n",
	OK "Content-Length:\r\n\r\n",
	OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
	OK "Content-Length: 4097\r\n\r\n",
	OK "Content-Length: 99999999999999999999\r\n\r\n",
	OK "Transfer-Encoding: gzip, chunked\r\n\r\n",
	OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	OK "No field\r\n\r\n",
	OK ": x\r\n\r\n",
	OK "X : y\r\n\r\n",
	OK "X: y\r\n folded\r\n\r\n",
	OK "X: y\rz\r\n\r\n",
	OK CHUNKED "x\r\n",
	OK CHUNKED "\r\n",
	OK CHUNKED "1001\r\n",
	OK CHUNKED "fffffffffffffffff\r\n",
	OK CHUNKED "1\r\nab\r\n",
	OK CHUNKED "-1\r\n",
};

static void test_complete_responses(void **state) {
	struct reading reading;
	(void)state;
	for(size_t i = 0; i < COUNT(complete); i++) {
		const struct response_case *expected = &complete[i];
		size_t len = strlen(expected->input);
		for(size_t way = 0; way < cut_ways(len); way++) {
			read_stream(&reading, expected->input, len, way);
			assert_int_equal(reading.result, RESPONSE_DONE);
			assert_int_equal(reading.used, len);
			assert_int_equal(reading.response.status, expected->status);
			assert_int_equal(reading.response.persistent, expected->persistent);
			assert_int_equal(reading.response.body != NULL, expected->body != NULL);
			if(expected->body) {
				assert_int_equal(reading.response.len, strlen(expected->body));
				assert_memory_equal(reading.response.body, expected->body,
					reading.response.len);
			}
			response_free(&reading.response);
		}
	}
}

static void test_prefixes_are_incomplete(void **state) {
	struct reading reading;
	(void)state;
	for(size_t i = 0; i < COUNT(complete); i++) {
		for(size_t len = 0; len < strlen(complete[i].input); len++) {
			read_stream(&reading, complete[i].input, len, 0);
			assert_int_equal(reading.result, RESPONSE_MORE);
			assert_false(response_end(&reading.response));
			response_free(&reading.response);
		}
	}
}

static void test_invalid_responses(void **state) {
	struct reading reading;
	(void)state;
	for(size_t i = 0; i < COUNT(invalid); i++) {
		size_t len = strlen(invalid[i]);
		for(size_t way = 0; way < cut_ways(len); way++) {
			read_stream(&reading, invalid[i], len, way);
			assert_int_equal(reading.result, RESPONSE_BAD);
			response_free(&reading.response);
		}
	}
	read_stream(&reading, OK "X: \0\r\n", sizeof(OK "X: \0\r\n") - 1, 0);
	assert_int_equal(reading.result, RESPONSE_BAD);
}

static void test_bodies_until_the_end(void **state) {
	static char input[RESPONSE_BODY_MAX + 64] = OK "\r\n";
	size_t head = strlen(input);
	struct reading reading;
	(void)state;
	memset(input + head, 'x', RESPONSE_BODY_MAX + 1);
	read_stream(&reading, input, head + RESPONSE_BODY_MAX, 0);
	assert_int_equal(reading.result, RESPONSE_MORE);
	assert_true(response_end(&reading.response));
	assert_false(reading.response.persistent);
	assert_int_equal(reading.response.len, RESPONSE_BODY_MAX);
	response_free(&reading.response);
	read_stream(&reading, input, head + RESPONSE_BODY_MAX + 1, 0);
	assert_int_equal(reading.result, RESPONSE_BAD);
	response_free(&reading.response);
	read_stream(&reading, input, head + RESPONSE_BODY_MAX + 1, 1);
	assert_int_equal(reading.result, RESPONSE_BAD);
	response_free(&reading.response);
}

static void test_chunks_up_to_the_limit(void **state) {
	static char input[RESPONSE_BODY_MAX + 128];
	struct reading reading;
	(void)state;
	size_t len = (size_t)snprintf(input, sizeof(input), OK CHUNKED "fff\r\n%04095d\r\n", 0);
	memcpy(input + len, "1\r\nx\r\n0\r\n\r\n", 12);
	read_stream(&reading, input, strlen(input), 0);
	assert_int_equal(reading.result, RESPONSE_DONE);
	assert_int_equal(reading.response.len, RESPONSE_BODY_MAX);
	response_free(&reading.response);
	memcpy(input + len, "2\r\nxy\r\n0\r\n\r\n", 13);
	read_stream(&reading, input, strlen(input), 0);
	assert_int_equal(reading.result, RESPONSE_BAD);
	response_free(&reading.response);
}

static void test_endless_heads(void **state) {
	static char input[RESPONSE_HEAD_MAX + 64] = OK "X: ";
	struct reading reading;
	(void)state;
	size_t head = strlen(input);
	memset(input + head, 'x', sizeof(input) - head);
	read_stream(&reading, input, sizeof(input), 0);
	assert_int_equal(reading.result, RESPONSE_BAD);
	/* A long field is not looked at. */
	static const char end[] = "\r\nContent-Length: 1\r\n\r\ny";
	memcpy(input + RESPONSE_HEAD_MAX / 2, end, sizeof(end));
	read_stream(&reading, input, strlen(input), 0);
	assert_int_equal(reading.result, RESPONSE_DONE);
	response_free(&reading.response);
	/* Interim responses count. */
	memset(input, 0, sizeof(input));
	for(size_t at = 0; at + 27 < sizeof(input); at += 25) {
		memcpy(input + at, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	read_stream(&reading, input, strlen(input), 0);
	assert_int_equal(reading.result, RESPONSE_BAD);
}

static void test_any_bytes(void **state) {
	static const char base[] = OK CHUNKED "3\r\na:1\r\n0\r\n\r\n";
	struct reading reading;
	char input[sizeof(base)];
	(void)state;
	for(size_t at = 0; at < sizeof(base) - 1; at++) {
		for(unsigned byte = 0; byte < 256; byte++) {
			memcpy(input, base, sizeof(base));
			input[at] = (char)byte;
			read_stream(&reading, input, sizeof(base) - 1, 0);
			response_free(&reading.response);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete_responses),
		cmocka_unit_test(test_prefixes_are_incomplete),
		cmocka_unit_test(test_invalid_responses),
		cmocka_unit_test(test_bodies_until_the_end),
		cmocka_unit_test(test_chunks_up_to_the_limit),
		cmocka_unit_test(test_endless_heads),
		cmocka_unit_test(test_any_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
