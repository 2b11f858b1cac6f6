/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loading backends and asking them.
 */
#include "plugin/backend_bench.h"

static void expect_no_backend(const char *name, int result, const char *error) {
	struct backend *backend;
	test.error[0] = 0;
	assert_int_equal(load(name, &backend), result);
	assert_non_null(strstr(test.error, error));
	assert_null(strchr(test.error, '\n'));
}

static void test_backend_names(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x", INIT("1") QUERY(""));
	expect_no_backend("", -EINVAL, "letters, digits");
	expect_no_backend("../x", -EINVAL, "letters, digits");
	expect_no_backend("/x", -EINVAL, "letters, digits");
	expect_no_backend("x.y", -EINVAL, "letters, digits");
	expect_no_backend("y", -ENOENT, "backend_y.so");
	assert_int_equal(backend_load("relative", "x", &backend, test.error), -EINVAL);
	assert_int_equal(load("x", &backend), 0);
	assert_string_equal(backend_name(backend), "x");
	backend_unref(backend);
}

static void test_backends_that_are_none(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	compile("backend_version", INIT("7") QUERY("") "void cleanup(void) { abort(); }");
	compile("backend_noinit", QUERY(""));
	compile("backend_noquery", "uint64_t init(void) { abort(); }");
	compile("backend_link", INIT("1") QUERY("extern void nowhere(void); nowhere();"));
	compile("backend_open", INIT("1") QUERY(""));
	assert_int_equal(chmod(in_root("backend_open.so", path), 0666), 0);
	FILE *file = fopen(in_root("backend_text.so", path), "w");
	assert_non_null(file);
	fputs("no shared object", file);
	fclose(file);
	expect_no_backend("version", -ENOEXEC, "version 7");
	expect_no_backend("version", -ENOEXEC, "version 1");
	expect_no_backend("noinit", -ENOEXEC, "\"init\"");
	expect_no_backend("noquery", -ENOEXEC, "\"query\"");
	expect_no_backend("link", -ENOEXEC, "nowhere");
	expect_no_backend("text", -ENOEXEC, "backend_text.so");
	expect_no_backend("open", -EPERM, "every user may write");
}

/* Says on standard error, which the test has captured, that it is going. */
static void test_cleanup_at_the_last_reference(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x",
		"#include <unistd.h>\n" INIT("1")
			QUERY("") "void cleanup(void) { if(write(2, \"cleaned up\", 10)) {} }"
				  "static void __attribute__((destructor)) gone(void) { "
				  "if(write(2, \"unloaded\", 8)) {} }");
	assert_int_equal(load("x", &backend), 0);
	assert_ptr_equal(backend_ref(backend), backend);
	log_capture();
	backend_unref(backend);
	assert_false(log_release("cleaned up"));
	log_capture();
	backend_unref(backend);
	assert_true(log_release("cleaned upunloaded"));
	backend_unref(NULL);
}

static void test_configure(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x",
		INIT("1") QUERY(
			"") "uint64_t configure(char *key, char *value) { int bad = strcmp(key, "
			    "\"k\") || "
			    "strcmp(value, \"v\"); key[0] = value[0] = 0; return bad ? 3 : 0; }");
	compile("backend_y", INIT("1") QUERY(""));
	assert_int_equal(load("x", &backend), 0);
	assert_int_equal(backend_configure(backend, "k", "v"), 0);
	assert_int_equal(backend_configure(backend, "k", "w"), -EINVAL);
	assert_int_equal(backend_check(backend, test.error), 0);
	backend_unref(backend);
	assert_int_equal(load("y", &backend), 0);
	assert_int_equal(backend_configure(backend, "k", "v"), -ENOTSUP);
	backend_unref(backend);
}

/* The peer that a backend whose query() is `code` answers with. */
static struct backend_answer answer_of(const char *code) {
	char source[4096];
	struct backend *backend;
	snprintf(source, sizeof(source), "%s" QUERY("%s"), INIT("1"), code);
	compile("backend_x", source);
	assert_int_equal(load("x", &backend), 0);
	struct backend_answer answer = ask(backend);
	backend_unref(backend);
	return answer;
}

static void test_query(void **unused) {
	(void)unused;
	struct backend_answer answer = answer_of("peer.transport = peer_udp_client; peer.host = "
						 "strdup(endpoint); peer.port = strdup(\"5\");"
						 "peer.framing = core_framing(\"binary\"); "
						 "peer.framing_config = strdup(header[11].value);"
						 "peer.protocol = protocols - 1;");
	assert_int_equal(answer.peer.transport, peer_udp_client);
	assert_string_equal(answer.peer.host, "/path?query");
	assert_string_equal(answer.peer.port, "5");
	assert_string_equal(answer.peer.framing_config, "value");
	assert_ptr_equal(answer.peer.framing, core_framing((char[]){"binary"}));
	assert_ptr_equal(answer.framing, framings_find("binary"));
	assert_int_equal(answer.peer.protocol, 1);
	backend_answer_free(&answer);
	assert_null(answer.peer.host);
	assert_null(answer.peer.framing_config);
	backend_answer_free(&answer);
}

/* Every field of the view; the answer is the name of the first that is wrong. */
static void test_view(void **unused) {
	(void)unused;
	struct backend_answer answer = answer_of(
		"const char *wrong = 0;"
		"if(ws->ws_fd != 42) { wrong = \"fd\"; }"
		"if(ws->state != ws_http) { wrong = \"state\"; }"
		"if(ws->headers != WS_HEADER_LIMIT || headers != 12) { wrong = \"headers\"; }"
		"if(strcmp(ws->header[9].tag, \"X-Tag\")) { wrong = \"header\"; }"
		"if(ws->request_path != endpoint) { wrong = \"path\"; }"
		"if(ws->websocket_version != 13 || !ws->want_upgrade) { wrong = \"upgrade\"; }"
		"if(strcmp(ws->socket_key, \"a key\")) { wrong = \"key\"; }"
		"if(ws->protocols != 2 || ws->protocol != protocol) { wrong = \"protocol\"; }"
		"if(ws->peer_fd != -1 || ws->peer.host || ws->peer_framing_data) { wrong = "
		"\"peer\"; }"
		"if(ws->read_buffer_offset || ws->read_buffer[0]) { wrong = \"buffer\"; }"
		"peer.host = strdup(wrong ? wrong : \"fine\");");
	assert_string_equal(answer.peer.host, "fine");
	backend_answer_free(&answer);
}

static void test_writing_to_the_view_changes_nothing(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x",
		INIT("1") QUERY("peer.host = strdup(ws->state == ws_http && !ws->read_buffer[5] "
				"? \"fine\" : \"changed\"); memset(ws, 0xff, sizeof(*ws));"));
	assert_int_equal(load("x", &backend), 0);
	for(int i = 0; i < 2; i++) {
		struct backend_answer answer = ask(backend);
		assert_string_equal(answer.peer.host, "fine");
		assert_int_equal(answer.peer.protocol, 0);
		backend_answer_free(&answer);
	}
	backend_unref(backend);
}

static void expect_rejection(const char *code, unsigned status, const char *message) {
	struct backend_answer answer = answer_of(code);
	assert_null(answer.peer.host);
	assert_null(answer.peer.port); /* freed: the leak checker sees if not */
	assert_int_equal(answer.status, status);
	assert_string_equal(answer.message, message);
}

static void test_refusals(void **unused) {
	(void)unused;
	expect_rejection("peer.port = strdup(\"1\"); peer.framing_config = strdup(\"c\");", 403,
		"refused by the backend");
	expect_rejection("core_refuse(ws, 404, \"not here\");", 404, "not here");
	expect_rejection(
		"core_refuse(ws, 404, \"first\"); core_refuse(ws, 599, \"last\");", 599, "last");
	expect_rejection("core_refuse(ws, 200, \"low\");", 403, "low");
	expect_rejection("core_refuse(ws, 600, \"high\");", 403, "high");
	expect_rejection("core_refuse(ws, 500, 0);", 500, "refused by the backend");
	expect_rejection(
		"core_refuse(ws, 400, \"a\\r\\nX: y\\x7f\\xc3\\xa4\");", 400, "a??X: y???");
}

static void test_long_message_is_cut(void **unused) {
	(void)unused;
	struct backend_answer answer =
		answer_of("char text[5000]; memset(text, 'x', sizeof(text)); "
			  "text[4999] = 0; core_refuse(ws, 400, text);");
	assert_int_equal(strlen(answer.message), BACKEND_MESSAGE_MAX - 1);
}

/* A error_response belongs to one query, and a peer counts more than a error_response. */
static void test_refusals_are_forgotten(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x",
		"static int calls; static websocket *kept;" INIT("1")
			QUERY("if(calls++ == 0) { kept = ws; core_refuse(ws, 404, \"first\"); }"
			      "if(calls == 3) { core_refuse(ws, 404, \"but\"); peer.host = "
			      "strdup(\"h\"); }") "void cleanup(void) { core_refuse(kept, 500, "
						  "\"late\"); }");
	assert_int_equal(load("x", &backend), 0);
	struct backend_answer answer = ask(backend);
	assert_int_equal(answer.status, 404);
	answer = ask(backend);
	assert_int_equal(answer.status, 403);
	assert_string_equal(answer.message, "refused by the backend");
	answer = ask(backend);
	assert_string_equal(answer.peer.host, "h");
	assert_int_equal(answer.status, 0);
	backend_answer_free(&answer);
	log_capture();
	backend_unref(backend);
	assert_true(log_release("core_refuse"));
}

static void test_refusing_another_connection(void **unused) {
	(void)unused;
	static websocket other;
	core_refuse(&other, 404, "no");
	core_refuse(NULL, 404, "no");
	expect_rejection(
		"websocket other; core_refuse(&other, 404, \"no\"); core_refuse(0, 404, \"no\");",
		403, "refused by the backend");
}

/* The lines are limited, and on a busy machine another test may have caused one just before. */
static void test_slow_query_is_logged(void **unused) {
	(void)unused;
	bool logged = false;
	for(int i = 0; i < 100 && !logged; i++) {
		log_capture();
		struct backend_answer answer = answer_of(
			"extern int usleep(unsigned); usleep(30000); peer.host = strdup(\"h\");");
		logged = log_release("backend x: query took");
		backend_answer_free(&answer);
	}
	assert_true(logged);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_backend_names),
		TEST(test_backends_that_are_none),
		TEST(test_cleanup_at_the_last_reference),
		TEST(test_configure),
		TEST(test_query),
		TEST(test_view),
		TEST(test_writing_to_the_view_changes_nothing),
		TEST(test_refusals),
		TEST(test_long_message_is_cut),
		TEST(test_refusals_are_forgotten),
		TEST(test_refusing_another_connection),
		TEST(test_slow_query_is_logged),
	};
	return cmocka_run_group_tests_name("backend", tests, find_include, NULL);
}
