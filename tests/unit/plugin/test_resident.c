/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two instances of one backend, and the framings that backends bring.
 */
#include "plugin/backend_bench.h"

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
static const struct websocksy_framing *framing_of(struct backend *backend) {
	struct backend_answer answer = ask(backend);
	const struct websocksy_framing *framing = answer.framing;
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
	const struct websocksy_framing *framing = framing_of(old);
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
	assert_null(framings_find("own"));
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
	const struct websocksy_framing *framing = framing_of(backend);
	assert_non_null(framing);
	assert_ptr_equal(framing_of(backend), framing);
	assert_null(framings_find(framing->name));
	assert_null(framing_check(framing, "anything"));
	uint8_t data[] = "data";
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	struct websocksy_framing_stream stream;
	assert_int_equal(framing_open(&stream, framing, NULL, NULL), 0);
	assert_int_equal(
		framing->decode(&stream,
			&(struct websocksy_input){.data = data, .len = 4, .fresh = 4}, &message),
		2);
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
	const struct CMUnitTest tests[] = {
		TEST(test_instances_have_their_own_globals),
		TEST(test_replaced_file_is_loaded),
		TEST(test_object_that_cannot_be_unloaded),
		TEST(test_framing_of_a_backend_goes_with_it),
		TEST(test_framing_of_a_backend_is_its_own),
		TEST(test_unregistered_function),
		TEST(test_backend_cannot_take_a_builtin_name),
	};
	return cmocka_run_group_tests_name("resident", tests, find_include, NULL);
}
