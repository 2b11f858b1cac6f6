/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parsing of request heads: valid, incomplete and invalid ones, and its cost.
 */
#include "http/heads.h"

/* Complete heads: the target and minor version that they hold and what follows them. */
static const struct {
	const char *input;
	size_t len;
	const char *target;
	int minor;
	size_t rest;
} good[] = {
	{TEXT("GET / HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\n" HOST "\r\n\x81\x85\r\n\r\n\xff\x00"), "/", 1, 8},
	{TEXT("GET / HTTP/1.1\r\n" HOST "\r\n\r\n\r\n"), "/", 1, 4},
	{TEXT("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET /a/b?c=d&e HTTP/1.1\r\n" HOST "\r\n"), "/a/b?c=d&e", 1, 0},
	{TEXT("GET //x HTTP/1.1\r\n" HOST "\r\n"), "//x", 1, 0},
	{TEXT("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"), "/\xc3\xa4", 1, 0},
	{TEXT("GET /%00%0d HTTP/1.1\r\n" HOST "\r\n"), "/%00%0d", 1, 0},
	{TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "*", 1, 0},
	{TEXT("BREW /pot HTTP/1.1\r\n" HOST "\r\n"), "/pot", 1, 0},
	{TEXT("get / HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.0\r\n\r\n"), "/", 0, 0},
	{TEXT("GET / HTTP/1.0\r\n" HOST "\r\n"), "/", 0, 0},
	{TEXT("GET / HTTP/1.2\r\n" HOST "\r\n"), "/", 2, 0},
	{TEXT("GET / HTTP/1.9\r\n" HOST "\r\n"), "/", 9, 0},
	{TEXT("GET http://example.com/x?y HTTP/1.1\r\n" HOST "\r\n"), "/x?y", 1, 0},
	{TEXT("GET HTTPS://example.com:443/ HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET ws://example.com HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET wss://[::1]:8001 HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET http://example.com?x=1 HTTP/1.1\r\n" HOST "\r\n"), "?x=1", 1, 0},
	{TEXT("GET ws://example.com:81?a/b HTTP/1.1\r\n" HOST "\r\n"), "?a/b", 1, 0},
	{TEXT("GET http://ex%C3%a4mple/ HTTP/1.1\r\n" HOST "\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: exa%2Dmple:1\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nhost:example.com\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHOST: \t example.com:8001\t \r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]:1\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: 127.0.0.1:65535\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: a_b.example.\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\n" HOST "X:\r\nY: \r\nZ:\t\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\n" HOST "X: a\tb\x80\xff:;\"\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), "/", 1, 0},
	{TEXT("GET / HTTP/1.1\r\n" HOST "Content-Length: 0, 00\r\ncontent-length: 0\r\n\r\n"), "/",
		1, 0},
	{TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"), "/", 1, 3},
	{TEXT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "/", 1, 5},
};

static void test_good_heads(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(good); i++) {
		for(size_t way = 0; way < cut_ways(good[i].len); way++) {
			struct reading reading = read_way(good[i].input, good[i].len, way);
			if(reading.result != REQUEST_DONE) {
				fail_msg("case %zu, way %zu: result %d, %u %s", i, way,
					(int)reading.result, reading.error.status,
					reading.error.message);
			}
			assert_int_equal(reading.head_len, good[i].len - good[i].rest);
			assert_slice(reading.request.target, good[i].target);
			assert_int_equal(reading.request.minor, good[i].minor);
			guard_free(&reading.guard);
		}
	}
}

/* A head is incomplete until its last byte has been received. */
static void test_incomplete_heads(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(good); i++) {
		for(size_t len = 0; len < good[i].len - good[i].rest; len++) {
			struct reading reading = read_whole(good[i].input, len);
			assert_int_equal(reading.result, REQUEST_MORE);
			guard_free(&reading.guard);
		}
	}
}

/* Malformed heads; `seen` is the number of bytes after which the error is reported. */
static const struct {
	const char *input;
	size_t len;
	unsigned status;
	size_t seen;
} bad[] = {
	/* Line ends and control characters: at once. */
	{TEXT("GET / HTTP/1.1\n" HOST "\r\n"), 400, 15},
	{TEXT("GET / HTTP/1.1\r\rHost: a\r\n\r\n"), 400, 16},
	{TEXT("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400, 16},
	{TEXT("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400, 24},
	{TEXT("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"), 400, 25},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\n\rX"), 400, 27},
	{TEXT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, 1},
	{TEXT("\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, 2},
	{TEXT("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, 10},
	{TEXT("GET / HTTP/1.1\r\nX: a\0b\r\n"), 400, 21},
	{TEXT("GET / HTTP/1.1\r\nX: a\x01\r\n"), 400, 21},
	{TEXT("GET / HTTP/1.1\r\nX: a\x1b[31m\r\n"), 400, 21},
	{TEXT("GET / HTTP/1.1\r\nX: a\x7f\r\n"), 400, 21},
	{TEXT("GET / HTTP/1.1\r\nX\x0b: a\r\n"), 400, 18},
	{TEXT("GET /\x7f HTTP/1.1\r\n"), 400, 6},
	{TEXT("GET /\0 HTTP/1.1\r\n"), 400, 6},
	{TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, 1},
	/* Request line. */
	{TEXT("hello\r\n"), 400, 7},
	{TEXT(" GET / HTTP/1.1\r\n"), 400, 17},
	{TEXT("G(T / HTTP/1.1\r\n"), 400, 16},
	{TEXT("G\xc3\xa4T / HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET\r\n"), 400, 5},
	{TEXT("GET \r\n"), 400, 6},
	{TEXT("GET /\r\n"), 400, 7},
	{TEXT("GET / \r\n"), 400, 8},
	{TEXT("GET  / HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET /  HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET\t/\tHTTP/1.1\r\n"), 400, 16},
	{TEXT("GET /\tx HTTP/1.1\r\n"), 400, 18},
	{TEXT("GET / HTTP/1.1 \r\n"), 400, 17},
	{TEXT("GET / x HTTP/1.1\r\n"), 400, 18},
	{TEXT("GET x HTTP/1.1\r\n"), 400, 16},
	{TEXT("GET ?x HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET ** HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET /a#b HTTP/1.1\r\n"), 400, 19},
	{TEXT("CONNECT example.com:80 HTTP/1.1\r\n"), 400, 33},
	{TEXT("GET ftp://example.com/ HTTP/1.1\r\n"), 400, 33},
	{TEXT("GET http:// HTTP/1.1\r\n"), 400, 22},
	{TEXT("GET http:///x HTTP/1.1\r\n"), 400, 24},
	{TEXT("GET http:/x HTTP/1.1\r\n"), 400, 22},
	{TEXT("GET * HTTP/1.1\r\n"), 400, 16},
	{TEXT("HEAD * HTTP/1.1\r\n"), 400, 17},
	{TEXT("GET http://u@a/ HTTP/1.1\r\n"), 400, 26},
	{TEXT("GET http://a:b/ HTTP/1.1\r\n"), 400, 26},
	{TEXT("GET ws://[::1/ HTTP/1.1\r\n"), 400, 25},
	/* Version. */
	{TEXT("GET / http/1.1\r\n"), 400, 16},
	{TEXT("GET / HTTP/1\r\n"), 400, 14},
	{TEXT("GET / HTTP/1.\r\n"), 400, 15},
	{TEXT("GET / HTTP/1.10\r\n"), 400, 17},
	{TEXT("GET / HTTP/11.1\r\n"), 400, 17},
	{TEXT("GET / HTTP/1,1\r\n"), 400, 16},
	{TEXT("GET / HTTP/a.1\r\n"), 400, 16},
	{TEXT("GET / HTTP/1.a\r\n"), 400, 16},
	{TEXT("GET / HTTQ/1.1\r\n"), 400, 16},
	{TEXT("GET / HTTP/0.9\r\n"), 505, 16},
	{TEXT("GET / HTTP/2.0\r\n"), 505, 16},
	{TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, 16},
	/* Fields. */
	{TEXT("GET / HTTP/1.1\r\nHost : a\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nHost\t: a\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\n Host: a\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nX: a\r\n b\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nX: a\r\n\tb\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nX: a\r\n \r\n"), 400, 25},
	{TEXT("GET / HTTP/1.1\r\nHost\r\n"), 400, 22},
	{TEXT("GET / HTTP/1.1\r\n: a\r\n"), 400, 21},
	{TEXT("GET / HTTP/1.1\r\nX Y: a\r\n"), 400, 24},
	{TEXT("GET / HTTP/1.1\r\nX(: a\r\n"), 400, 23},
	{TEXT("GET / HTTP/1.1\r\nX\xe4: a\r\n"), 400, 23},
	/* Host: when the head is complete. */
	{TEXT("GET / HTTP/1.1\r\n\r\n"), 400, 18},
	{TEXT("GET / HTTP/1.5\r\n\r\n"), 400, 18},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), 400, 36},
	{TEXT("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), 400, 36},
	{TEXT("GET http://a/ HTTP/1.1\r\n\r\n"), 400, 26},
	{TEXT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400, 25},
	{TEXT("GET / HTTP/1.0\r\nHost:\r\n\r\n"), 400, 25},
	{TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), 400, 31},
	{TEXT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), 400, 33},
	{TEXT("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, 30},
	{TEXT("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400, 32},
	{TEXT("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"), 400, 31},
	{TEXT("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), 400, 28},
	{TEXT("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"), 400, 28},
	{TEXT("GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"), 400, 30},
	{TEXT("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"), 400, 29},
	{TEXT("GET / HTTP/1.1\r\nHost: %\r\n\r\n"), 400, 27},
	/* Bodies. */
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"), 400, 46},
	{TEXT("HEAD / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\n"), 400, 47},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n"), 400, 47},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n"), 400, 47},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"), 400, 44},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ,\r\n\r\n"), 400, 46},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 1\r\n\r\n"), 400, 49},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n"), 400, 48},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\n"), 400,
		65},
	{TEXT("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, 55},
	{TEXT("GET / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n"), 400, 47},
	{TEXT("POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n"), 400, 59},
};

static void test_bad_heads(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(bad); i++) {
		for(size_t way = 0; way < cut_ways(bad[i].len); way++) {
			struct reading reading = read_way(bad[i].input, bad[i].len, way);
			if(reading.result != REQUEST_BAD || reading.error.status != bad[i].status) {
				fail_msg("case %zu (%s), way %zu: result %d, status %u", i,
					bad[i].input, way, (int)reading.result,
					reading.error.status);
			}
			assert_non_null(reading.error.message);
			assert_null(strchr(reading.error.message, '\n'));
			if(way == 1 && reading.have != bad[i].seen) {
				fail_msg("case %zu (%s): seen after %zu bytes instead of %zu", i,
					bad[i].input, reading.have, bad[i].seen);
			}
			guard_free(&reading.guard);
		}
	}
}

/* Changes good heads at random places: however they are cut, the answer and its reason stay the
 * same. */
static void test_changed_heads(void **state) {
	static const char marks[] = "\r\n\r\n \t:/?,[]%\0\x7f\x80\xff"
				    "0H";
	uint32_t random = 1;
	char text[256];
	(void)state;
	for(size_t round = 0; round < 4000; round++) {
		size_t i = round % COUNT(good);
		memcpy(text, good[i].input, good[i].len);
		for(size_t change = 0; change < 1 + round % 3; change++) {
			random = random * 1664525u + 1013904223u;
			text[(random >> 8) % good[i].len] =
				marks[(random >> 24) % (sizeof(marks) - 1)];
		}
		struct reading whole = read_whole(text, good[i].len);
		for(size_t way = 1; way < cut_ways(good[i].len); way += way == 1 ? 1 : 7) {
			struct reading cut = read_way(text, good[i].len, way);
			assert_int_equal(cut.result, whole.result);
			assert_true(cut.result != REQUEST_BAD ||
				cut.error.message == whole.error.message);
			assert_true(cut.result != REQUEST_DONE || cut.head_len == whole.head_len);
			guard_free(&cut.guard);
		}
		guard_free(&whole.guard);
	}
}

/* It decides between 414 and 431. Empty lines in front are not the request line. */
static void test_end_of_request_line(void **state) {
	static const struct {
		const char *input;
		bool complete;
	} cases[] = {
		{"", false},
		{"GET /", false},
		{"GET / HTTP/1.1\r", false},
		{"GET / HTTP/1.1\r\n", true},
		{"\r\n\r\nGET /", false},
		{"\r\n\r\nGET / HTTP/1.1\r\nX", true},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(request_line_is_complete(cases[i].input, strlen(cases[i].input)),
			cases[i].complete);
	}
}

/* Of heads that are refused, too. */
static void test_method_of_a_beginning(void **state) {
	static const struct {
		const char *input;
		bool is_head;
	} cases[] = {
		{"", false},
		{"HEAD", false},
		{"HEAD ", true},
		{"HEAD * HTTP/1.1\r\n", true},
		{"\r\n\r\nHEAD /", true},
		{" HEAD /", false},
		{"HEADS /", false},
		{"head /", false},
		{"GET HEAD ", false},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].input);
		assert_int_equal(
			request_begins_with_method(cases[i].input, len, "HEAD"), cases[i].is_head);
	}
}

/* Writes a head with `fields` fields, Host first and Cookie last. */
static size_t write_fields(char *out, size_t cap, size_t fields) {
	size_t len = (size_t)snprintf(out, cap, "GET / HTTP/1.1\r\n" HOST);
	for(size_t i = 1; i + 1 < fields; i++) {
		len += (size_t)snprintf(out + len, cap - len, "x-%zu: %zu\r\n", i, i);
	}
	return len + (size_t)snprintf(out + len, cap - len, "cookie: token=abc\r\n\r\n");
}

static void test_many_fields(void **state) {
	static const size_t counts[] = {50, REQUEST_HEADERS_MAX - 1, REQUEST_HEADERS_MAX};
	char input[4096];
	(void)state;
	for(size_t i = 0; i < COUNT(counts); i++) {
		size_t len = write_fields(input, sizeof(input), counts[i]);
		for(size_t way = 0; way < cut_ways(len); way++) {
			struct reading reading = read_way(input, len, way);
			assert_int_equal(reading.result, REQUEST_DONE);
			assert_int_equal(reading.request.headers, counts[i]);
			assert_slice(reading.request.header[counts[i] - 1].name, "cookie");
			assert_slice(request_find_header(&reading.request, "Cookie", 0)->value,
				"token=abc");
			guard_free(&reading.guard);
		}
	}
}

static void test_too_many_fields(void **state) {
	char input[4096];
	size_t len = write_fields(input, sizeof(input), REQUEST_HEADERS_MAX + 1);
	(void)state;
	for(size_t way = 0; way < cut_ways(len); way++) {
		struct reading reading = read_way(input, len, way);
		assert_int_equal(reading.result, REQUEST_BAD);
		assert_int_equal(reading.error.status, 431);
		guard_free(&reading.guard);
	}
}

/* The functions of AddressSanitizer that stand in for memrchr() look at all of it for each byte. */
#ifdef __SANITIZE_ADDRESS__
#define LONG_HEAD ((size_t)1 << 20)
#else
#define LONG_HEAD ((size_t)4 << 20)
#endif

static void test_linear_time(void **state) {
	static const char head[] = "GET / HTTP/1.1\r\n" HOST "X: ";
	const size_t len = LONG_HEAD;
	char *input = malloc(len);
	struct request request;
	(void)state;
	assert_non_null(input);
	memset(input, 'x', len);
	memcpy(input, head, sizeof(head) - 1);
	memcpy(input + len - 4, "\r\n\r\n", 4);
	assert_int_equal(read_slowly(input, len, &request), REQUEST_DONE);
	assert_int_equal(request.headers, 2);
	free(input);
}

/* As many short lines as fit: no line is checked twice while they arrive. */
static void test_linear_time_lines(void **state) {
	static const char head[] = "GET / HTTP/1.1\r\n" HOST;
	const size_t lines = LONG_HEAD / 4;
	const size_t len = sizeof(head) - 1 + lines * 4 + 2;
	char *input = malloc(len);
	struct request request;
	(void)state;
	assert_non_null(input);
	memcpy(input, head, sizeof(head) - 1);
	for(size_t i = 0; i < lines; i++) {
		memcpy(input + sizeof(head) - 1 + i * 4, "x:\r\n", 4);
	}
	memcpy(input + len - 2, "\r\n", 2);
	assert_int_equal(read_slowly(input, len - 2, &request), REQUEST_MORE);
	assert_int_equal(read_slowly(input, len, &request), REQUEST_BAD);
	free(input);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_heads),
		cmocka_unit_test(test_incomplete_heads),
		cmocka_unit_test(test_bad_heads),
		cmocka_unit_test(test_changed_heads),
		cmocka_unit_test(test_end_of_request_line),
		cmocka_unit_test(test_method_of_a_beginning),
		cmocka_unit_test(test_many_fields),
		cmocka_unit_test(test_too_many_fields),
		cmocka_unit_test(test_linear_time),
		cmocka_unit_test(test_linear_time_lines),
	};
	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
