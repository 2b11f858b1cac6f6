/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loading backends and asking them, and the framings that they bring.
 */
#include "base/log.h"
#include "objects.h"

#include <errno.h>

static int64_t decode_one(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)data;
	(void)last_read;
	(void)opcode;
	(void)framing_data;
	(void)config;
	return length > 0;
}

static const char *check_digit(const char *config) {
	return *config >= '0' && *config <= '9' ? NULL : "must be a digit";
}

/* ---- loading a backend ---- */

#define INIT(version) "uint64_t init(void) { return " version "; }"
#define QUERY(code)                                                                                \
	"ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers, "   \
	"ws_http_header *header, websocket *ws) { ws_peer_info peer = {0}; " code                  \
	" return peer; }"

static int load(const char *name, struct backend **out) {
	return backend_load(test.root, name, out, test.error);
}

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

/* ---- configuring ---- */

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

/* ---- asking ---- */

static struct backend_answer ask(struct backend *backend) {
	char endpoint[] = "/path?query";
	char key[] = "a key";
	char first[] = "p0";
	char second[] = "p1";
	char *protocol[] = {first, second};
	char tag[] = "X-Tag";
	char value[] = "value";
	ws_http_header header[WS_HEADER_LIMIT + 2];
	for(size_t i = 0; i < COUNT(header); i++) {
		header[i] = (ws_http_header){tag, value};
	}
	struct backend_request request = {
		42, {{0}}, endpoint, key, 2, protocol, COUNT(header), header};
	struct backend_answer answer;
	assert_int_equal(backend_query(backend, &request, &answer), 0);
	return answer;
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
	assert_ptr_equal(answer.framing, framing_find("binary"));
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

static void expect_refusal(const char *code, unsigned status, const char *message) {
	struct backend_answer answer = answer_of(code);
	assert_null(answer.peer.host);
	assert_null(answer.peer.port); /* freed: the leak checker sees if not */
	assert_int_equal(answer.status, status);
	assert_string_equal(answer.message, message);
}

static void test_refusals(void **unused) {
	(void)unused;
	expect_refusal("peer.port = strdup(\"1\"); peer.framing_config = strdup(\"c\");", 403,
		"refused by the backend");
	expect_refusal("core_refuse(ws, 404, \"not here\");", 404, "not here");
	expect_refusal(
		"core_refuse(ws, 404, \"first\"); core_refuse(ws, 599, \"last\");", 599, "last");
	expect_refusal("core_refuse(ws, 200, \"low\");", 403, "low");
	expect_refusal("core_refuse(ws, 600, \"high\");", 403, "high");
	expect_refusal("core_refuse(ws, 500, 0);", 500, "refused by the backend");
	expect_refusal("core_refuse(ws, 400, \"a\\r\\nX: y\\x7f\\xc3\\xa4\");", 400, "a??X: y???");
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
	expect_refusal(
		"websocket other; core_refuse(&other, 404, \"no\"); core_refuse(0, 404, \"no\");",
		403, "refused by the backend");
}

static void test_slow_query_is_logged(void **unused) {
	(void)unused;
	log_capture();
	struct backend_answer answer =
		answer_of("extern int usleep(unsigned); usleep(30000); peer.host = strdup(\"h\");");
	assert_true(log_release("backend x: query took"));
	backend_answer_free(&answer);
}

/* ---- two instances of one backend ---- */

#define COUNTER                                                                                    \
	"static char *value; char *exported;" INIT(                                                \
		"1") "uint64_t configure(char *key, char *v) { free(value); exported = value = "   \
		     "strdup(v); return 0; }" QUERY("peer.host = strdup(value && exported == "     \
						    "value ? value : \"unset\");") "void "         \
										   "cleanup(void)" \
										   " { "           \
										   "free(value); " \
										   "}"

static void expect_answer(struct backend *backend, const char *host) {
	struct backend_answer answer = ask(backend);
	assert_string_equal(answer.peer.host, host);
	backend_answer_free(&answer);
}

static void test_instances_have_their_own_globals(void **unused) {
	(void)unused;
	struct backend *backend[4];
	compile("backend_x", COUNTER);
	for(size_t i = 0; i < COUNT(backend); i++) {
		char value[2] = {(char)('a' + i), 0};
		assert_int_equal(load("x", &backend[i]), 0);
		expect_answer(backend[i], "unset");
		assert_int_equal(backend_configure(backend[i], "k", value), 0);
	}
	backend_unref(backend[1]);
	backend_unref(backend[0]);
	expect_answer(backend[2], "c");
	assert_int_equal(load("x", &backend[0]), 0);
	expect_answer(backend[0], "unset");
	expect_answer(backend[3], "d");
	backend_unref(backend[3]);
	backend_unref(backend[0]);
	backend_unref(backend[2]);
}

/* A file that was replaced under the same path is the new one, not what the linker remembers. */
static void test_replaced_file_is_loaded(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	struct backend *old;
	struct backend *new;
	compile("backend_x", INIT("1") QUERY("peer.host = strdup(\"old\");"));
	assert_int_equal(load("x", &old), 0);
	assert_int_equal(unlink(in_root("backend_x.so", path)), 0);
	compile("backend_x", INIT("1") QUERY("peer.host = strdup(\"new\");"));
	assert_int_equal(load("x", &new), 0);
	expect_answer(old, "old");
	expect_answer(new, "new");
	backend_unref(old);
	expect_answer(new, "new");
	backend_unref(new);
}

/* An object that never leaves memory must not hand its globals to the next instance. */
static void test_object_that_cannot_be_unloaded(void **unused) {
	(void)unused;
	struct backend *backend;
	compile_with("backend_x", "-Wl,-z,nodelete", COUNTER);
	for(int i = 0; i < 4; i++) {
		assert_int_equal(load("x", &backend), 0);
		expect_answer(backend, "unset");
		assert_int_equal(backend_configure(backend, "k", "v"), 0);
		expect_answer(backend, "v");
		backend_unref(backend);
	}
}

/* The framing that a query of the backend leads to. */
static const struct framing *framing_of(struct backend *backend) {
	struct backend_answer answer = ask(backend);
	const struct framing *framing = answer.framing;
	backend_answer_free(&answer);
	return framing;
}

static void test_framing_of_a_backend_goes_with_it(void **unused) {
	(void)unused;
	struct backend *old;
	struct backend *new;
	compile("backend_x",
		FRAMING("own", "3") INIT("1")
			QUERY("peer.host = strdup(\"h\"); peer.framing = core_framing(\"own\");"));
	assert_int_equal(load("x", &old), 0);
	assert_int_equal(core_register_framing((char[]){"own"}, decode_one), 1);
	const struct framing *framing = framing_of(old);
	assert_string_equal(framing->name, "own");
	assert_int_equal(load("x", &new), 0);
	assert_ptr_not_equal(framing_of(new), framing);
	assert_ptr_equal(framing_of(old), framing);
	backend_unref(new);
	assert_ptr_equal(framing_of(old), framing);
	assert_int_equal(load("x", &new), 0);
	backend_unref(old);
	assert_string_equal(framing_of(new)->name, "own");
	backend_unref(new);
	assert_int_equal(core_register_framing((char[]){"own"}, decode_one), 0);
}

/* Its code goes with the backend, so nothing else may come to use it. */
static void test_framing_of_a_backend_is_its_own(void **unused) {
	(void)unused;
	struct backend *backend;
	compile("backend_x", FRAMING("own", "3") INIT("1") QUERY(""));
	assert_int_equal(load("x", &backend), 0);
	assert_null(framing_find("own"));
	assert_int_equal(core_register_framing_check((char[]){"own"}, check_digit), 1);
	backend_unref(backend);
}

static void test_unregistered_function(void **unused) {
	(void)unused;
	struct backend *backend;
	struct backend *other;
	compile("backend_x",
		"static int64_t f(uint8_t *d, size_t l, size_t r, ws_operation *o, void **p, const "
		"char *c) { return 2; }" INIT("1")
			QUERY("peer.host = strdup(\"h\"); peer.framing = f;"));
	assert_int_equal(load("x", &backend), 0);
	const struct framing *framing = framing_of(backend);
	assert_non_null(framing);
	assert_ptr_equal(framing_of(backend), framing);
	assert_null(framing_find(framing->name));
	assert_null(framing_check(framing, "anything"));
	uint8_t data[] = "data";
	ws_operation type = ws_frame_binary;
	struct framing_stream stream;
	assert_int_equal(framing_open(&stream, framing, NULL), 0);
	assert_int_equal(
		framing->decode(&stream, &(struct framing_input){data, 4, 4, false}, &type), 2);
	framing_close(&stream);
	assert_int_equal(load("x", &other), 0);
	assert_ptr_not_equal(framing_of(other), framing);
	backend_unref(other);
	backend_unref(backend);
}

static void test_backend_cannot_take_a_builtin_name(void **unused) {
	(void)unused;
	struct backend *backend;
	ws_framing before = core_framing(NULL);
	compile("backend_x", FRAMING("auto", "3") INIT("1") QUERY(""));
	assert_int_equal(load("x", &backend), 0);
	assert_ptr_equal(core_framing(NULL), before);
	backend_unref(backend);
	assert_ptr_equal(core_framing(NULL), before);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
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
		TEST(test_instances_have_their_own_globals),
		TEST(test_replaced_file_is_loaded),
		TEST(test_object_that_cannot_be_unloaded),
		TEST(test_framing_of_a_backend_goes_with_it),
		TEST(test_framing_of_a_backend_is_its_own),
		TEST(test_unregistered_function),
		TEST(test_backend_cannot_take_a_builtin_name),
	};
	return cmocka_run_group_tests(tests, find_include, NULL);
}
