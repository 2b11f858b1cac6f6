/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Access to the fields and the target of a request.
 */
#include "http/heads.h"

static void test_fields(void **state) {
	static const char input[] = "GET /x HTTP/1.1\r\n"
				    "hOsT:a\r\n"
				    "X-Empty:\r\n"
				    "X-Trim: \t a  b\t \r\n"
				    "x-list: one\r\n"
				    "X-List: two , \"a,b\\\",c\" ,, three\r\n"
				    "\r\n";
	(void)state;
	for(size_t way = 0; way < cut_ways(sizeof(input) - 1); way++) {
		struct reading reading = read_way(input, sizeof(input) - 1, way);
		const struct request *request = &reading.request;
		assert_int_equal(reading.result, REQUEST_DONE);
		assert_slice(request->method, "GET");
		assert_int_equal(request->headers, 5);
		assert_slice(request->header[0].name, "hOsT");
		assert_slice(request_find_header(request, "HOST", 0)->value, "a");
		assert_slice(request_find_header(request, "x-empty", 0)->value, "");
		assert_slice(request_find_header(request, "X-TRIM", 0)->value, "a  b");
		assert_slice(request_find_header(request, "X-List", 0)->value, "one");
		assert_slice(request_find_header(request, "X-List", 1)->name, "X-List");
		assert_null(request_find_header(request, "X-List", 2));
		assert_null(request_find_header(request, "X-Lis", 0));
		assert_null(request_find_header(request, "X-Listt", 0));
		assert_int_equal(request_count_headers(request, "x-LIST"), 2);
		assert_int_equal(request_count_headers(request, "x"), 0);
		assert_true(request_has_token(request, "X-List", "ONE"));
		assert_true(request_has_token(request, "X-List", "two"));
		assert_true(request_has_token(request, "X-List", "three"));
		assert_false(request_has_token(request, "X-List", "b"));
		assert_false(request_has_token(request, "X-List", "tw"));
		assert_false(request_has_token(request, "X-Empty", ""));
		guard_free(&reading.guard);
	}
}

/* Neither "noupgrade" nor "upgrade-insecure" is the token that a handshake needs. */
static void test_connection_tokens(void **state) {
	static const struct {
		const char *value;
		bool upgrade;
	} cases[] = {
		{"Upgrade", true},
		{"upgrade", true},
		{"keep-alive, Upgrade", true},
		{"keep-alive,UPGRADE,x", true},
		{" ,, upgrade\t,", true},
		{"noupgrade", false},
		{"upgrade-insecure", false},
		{"upgrade x", false},
		{"\"upgrade\"", false},
		{"keep-alive", false},
		{"", false},
	};
	char input[128];
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		int len = snprintf(input, sizeof(input),
			"GET / HTTP/1.1\r\n" HOST "Connection: %s\r\n\r\n", cases[i].value);
		struct reading reading = read_whole(input, (size_t)len);
		assert_int_equal(reading.result, REQUEST_DONE);
		assert_int_equal(request_has_token(&reading.request, "connection", "upgrade"),
			cases[i].upgrade);
		guard_free(&reading.guard);
	}
}

/* RFC 9112, 3.2.2: the target's authority wins over the field. */
static void test_absolute_target_replaces_host(void **state) {
	static const char input[] =
		"GET ws://real.example:81/p HTTP/1.1\r\nHost: other.example\r\n\r\n";
	(void)state;
	for(size_t way = 0; way < cut_ways(sizeof(input) - 1); way++) {
		struct reading reading = read_way(input, sizeof(input) - 1, way);
		assert_int_equal(reading.result, REQUEST_DONE);
		assert_slice(reading.request.target, "/p");
		assert_slice(
			request_find_header(&reading.request, "Host", 0)->value, "real.example:81");
		guard_free(&reading.guard);
	}
}

static void test_path_and_query(void **state) {
	static const struct {
		const char *input;
		const char *path;
		const char *query;
	} cases[] = {
		{"GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", "/a", "?b?c"},
		{"GET /a HTTP/1.1\r\n" HOST "\r\n", "/a", ""},
		{"GET /? HTTP/1.1\r\n" HOST "\r\n", "/", "?"},
		{"GET http://h HTTP/1.1\r\n" HOST "\r\n", "/", ""},
		{"GET http://h?x=1 HTTP/1.1\r\n" HOST "\r\n", "/", "?x=1"},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "*", ""},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct reading reading = read_whole(cases[i].input, strlen(cases[i].input));
		assert_int_equal(reading.result, REQUEST_DONE);
		assert_slice(request_path(&reading.request), cases[i].path);
		assert_slice(request_query(&reading.request), cases[i].query);
		guard_free(&reading.guard);
	}
}

static void test_elements(void **state) {
	static const struct {
		struct slice list;
		const char *elements[4];
	} cases[] = {
		{{TEXT("")}, {NULL}},
		{{TEXT(" , \t,,")}, {NULL}},
		{{TEXT("a")}, {"a"}},
		{{TEXT(" a ,\tb\t,c d")}, {"a", "b", "c d"}},
		{{TEXT("a,")}, {"a"}},
		{{TEXT(",a")}, {"a"}},
		{{TEXT("a;q=\"1,2\",b")}, {"a;q=\"1,2\"", "b"}},
		{{TEXT("\"\\\",\",b")}, {"\"\\\",\"", "b"}},
		{{TEXT("\"a,b")}, {"\"a,b"}},
		{{TEXT("\"a\\")}, {"\"a\\"}},
		{{TEXT("a\\,b")}, {"a\\", "b"}},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct guard guard = guard_new(cases[i].list.at, cases[i].list.len);
		struct slice list = {.at = (char *)guard.data, .len = cases[i].list.len};
		struct slice element;
		for(size_t index = 0; cases[i].elements[index]; index++) {
			assert_true(request_next_element(&list, &element));
			assert_slice(element, cases[i].elements[index]);
		}
		assert_false(request_next_element(&list, &element));
		assert_int_equal(list.len, 0);
		guard_free(&guard);
	}
}

static void test_persistence(void **state) {
	static const struct {
		const char *head;
		bool persists;
	} heads[] = {
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"GET / HTTP/1.2\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: a,close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: a\r\nConnection: close\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nHost: x\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(heads); i++) {
		struct request request;
		struct request_error error;
		size_t scanned = 0;
		size_t head_len;
		assert_int_equal(request_parse(heads[i].head, strlen(heads[i].head), &scanned,
					 &request, &head_len, &error),
			REQUEST_DONE);
		assert_int_equal(request_is_persistent(&request), heads[i].persists);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_connection_tokens),
		cmocka_unit_test(test_absolute_target_replaces_host),
		cmocka_unit_test(test_path_and_query),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_persistence),
	};
	return cmocka_run_group_tests_name("request_fields", tests, NULL, NULL);
}
