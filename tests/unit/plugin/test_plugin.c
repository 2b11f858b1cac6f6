/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loading the framing plugins of a directory, and the small functions that plugins may call.
 */
#include "objects.h"
#include "plugin/descriptor.h"

#include <errno.h>

static int load_directory(const char *directory) {
	size_t loaded;
	return plugin_load_directory(directory, &loaded);
}

static int64_t call(const char *name) {
	uint8_t data[8] = "1234567";
	ws_operation opcode = ws_frame_binary;
	void *framing_data = NULL;
	const struct websocksy_framing *framing = framings_find(name);
	return framing ? framings_function(framing)(data, 7, 7, &opcode, &framing_data, "") : -99;
}

static void test_directory(void **unused) {
	(void)unused;
	char from[PATH_MAX];
	char to[PATH_MAX];
	compile("b-last", FRAMING("both", "2"));
	compile("a-first", FRAMING("both", "1"));
	compile("single", FRAMING("single", "3"));
	compile("backend_x", FRAMING("of-backend", "4"));
	compile("broken",
		"void no_such_function(void);"
		"static void __attribute__((constructor)) start(void) { no_such_function(); }");
	compile("other", FRAMING("other", "5"));
	assert_int_equal(rename(in_root("other.so", from), in_root("other.so.1", to)), 0);
	compile("hidden", FRAMING("hidden", "6"));
	assert_int_equal(rename(in_root("hidden.so", from), in_root(".hidden.so", to)), 0);
	assert_int_equal(mkdir(in_root("directory.so", to), 0700), 0);
	log_capture();
	int result = load_directory(test.root);
	assert_true(log_release("no_such_function"));
	assert_int_equal(result, 0);
	assert_int_equal(call("both"), 1); /* sorted: the first has the name */
	assert_int_equal(call("single"), 3);
	assert_int_equal(call("of-backend"), -99);
	assert_int_equal(call("other"), -99);
	assert_int_equal(call("hidden"), -99);
}

static int64_t decode_all(struct websocksy_framing_stream *stream, struct websocksy_input *input,
	struct websocksy_message *message) {
	(void)stream;
	(void)message;
	return (int64_t)input->len;
}

/* Backends of version 1 can choose so many framings of version 2; the log names the others. */
static void test_framings_beyond_version_1(void **unused) {
	static struct websocksy_framing framing[FRAMINGS_FOR_VERSION1 + 1];
	static char name[COUNT(framing)][8];
	const struct websocksy_framing *list[COUNT(framing) + 1] = {NULL};
	const struct websocksy_plugin plugin = {
		WEBSOCKSY_PLUGIN_API, sizeof(plugin), "many", "1", NULL, list, NULL};
	(void)unused;
	for(size_t i = 0; i < COUNT(framing); i++) {
		snprintf(name[i], sizeof(name[i]), "many%zu", i);
		framing[i] = (struct websocksy_framing){
			.size = sizeof(framing[i]), .name = name[i], .decode = decode_all};
		list[i] = &framing[i];
	}
	log_capture();
	int result = descriptor_register(&plugin, "many.so");
	assert_true(log_release("plugin many.so: framing \"many16\": backends of API version 1"));
	assert_int_equal(result, 0);
	assert_non_null(core_framing(name[0]));
	assert_non_null(core_framing(name[COUNT(framing) - 2]));
	assert_null(core_framing(name[COUNT(framing) - 1]));
	assert_non_null(framings_find(name[COUNT(framing) - 1]));
}

static void test_directory_again_loads_what_is_new(void **unused) {
	(void)unused;
	compile("one", FRAMING("one", "1"));
	assert_int_equal(load_directory(test.root), 0);
	compile("two", FRAMING("two", "2"));
	log_capture();
	int result = load_directory(test.root);
	assert_false(log_release("taken"));
	assert_int_equal(result, 0);
	assert_int_equal(call("one"), 1);
	assert_int_equal(call("two"), 2);
}

static void test_unloading_what_was_loaded_last(void **unused) {
	(void)unused;
	size_t loaded;
	compile("one", FRAMING("one", "1"));
	assert_int_equal(plugin_load_directory(test.root, &loaded), 0);
	assert_int_equal(loaded, 1);
	compile("two", FRAMING("two", "2"));
	compile("three", FRAMING("three", "3"));
	for(int i = 0; i < 2; i++) {
		assert_int_equal(plugin_load_directory(test.root, &loaded), 0);
		assert_int_equal(loaded, 2);
		assert_int_equal(call("two"), 2);
		assert_int_equal(call("three"), 3);
		plugin_unload(loaded);
		assert_null(framings_find("two"));
		assert_null(framings_find("three"));
		assert_int_equal(call("one"), 1);
	}
	compile("two", FRAMING("two", "4"));
	assert_int_equal(plugin_load_directory(test.root, &loaded), 0);
	assert_int_equal(call("two"), 4);
	assert_int_equal(plugin_load_directory(test.root, &loaded), 0);
	assert_int_equal(loaded, 0);
}

/* Its constructor runs again when it is loaded again. */
static void test_plugin_that_cannot_be_unloaded(void **unused) {
	(void)unused;
	size_t loaded;
	compile_with("one", "-Wl,-z,nodelete", FRAMING("one", "1"));
	for(int i = 0; i < 3; i++) {
		assert_int_equal(plugin_load_directory(test.root, &loaded), 0);
		assert_int_equal(loaded, 1);
		assert_int_equal(call("one"), 1);
		plugin_unload(loaded);
		assert_null(framings_find("one"));
	}
}

static void test_directory_must_be_absolute(void **unused) {
	(void)unused;
	char before[PATH_MAX];
	compile("one", FRAMING("one", "1"));
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(test.root), 0);
	assert_int_equal(load_directory("."), -EINVAL);
	assert_int_equal(load_directory(""), -EINVAL);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(call("one"), -99);
}

static void test_directory_missing(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	log_capture();
	int result = load_directory(in_root("none", path));
	assert_false(log_release("none"));
	assert_int_equal(result, 0);
}

/* ---- who may have written a plugin ---- */

static void test_world_writable_file(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	compile("one", FRAMING("one", "1"));
	assert_int_equal(chmod(in_root("one.so", path), 0777), 0);
	log_capture();
	int result = load_directory(test.root);
	assert_true(log_release("every user may write"));
	assert_int_equal(result, 0);
	assert_int_equal(call("one"), -99);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(load_directory(test.root), 0);
	assert_int_equal(call("one"), 1);
}

static void test_world_writable_directory(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	compile("one", FRAMING("one", "1"));
	assert_int_equal(chmod(test.root, 0777), 0);
	assert_int_equal(load_directory(test.root), 0);
	assert_int_equal(call("one"), -99);
	/* Sticky: the files of root and of ourselves are safe there, those of others are not. */
	assert_int_equal(chmod(test.root, 01777), 0);
	if(geteuid() == 0) {
		assert_int_equal(chown(in_root("one.so", path), 65534, 65534), 0);
		assert_int_equal(load_directory(test.root), 0);
		assert_int_equal(call("one"), -99);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_int_equal(load_directory(test.root), 0);
	assert_int_equal(call("one"), 1);
}

static void test_log_of_plugins(void **unused) {
	(void)unused;
	compile("one",
		"static void __attribute__((constructor)) start(void) {"
		"core_log(ws_log_error, \"error %d of %s\", 1, \"plugin\\n\"); }");
	log_capture();
	assert_int_equal(load_directory(test.root), 0);
	assert_true(log_release("error: error 1 of plugin?\n"));
	log_capture();
	core_log((ws_log_level)99, "wrong level");
	assert_true(log_release("error: wrong level\n"));
	log_capture();
	core_log(ws_log_debug, "too detailed");
	assert_false(log_release("too detailed"));
}

static void test_log_of_plugins_is_limited(void **unused) {
	(void)unused;
	log_capture();
	for(int i = 0; i < 1000; i++) {
		core_log(ws_log_error, "line %d", i);
	}
	assert_false(log_release("line 999"));
}

static void test_lower(void **unused) {
	(void)unused;
	char text[] = "Ab-Z[@`\xc3\x84";
	assert_ptr_equal(xstr_lower(text), text);
	assert_string_equal(text, "ab-z[@`\xc3\x84");
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		TEST(test_lower),
		TEST(test_directory),
		TEST(test_framings_beyond_version_1),
		TEST(test_directory_again_loads_what_is_new),
		TEST(test_unloading_what_was_loaded_last),
		TEST(test_plugin_that_cannot_be_unloaded),
		TEST(test_directory_must_be_absolute),
		TEST(test_directory_missing),
		TEST(test_log_of_plugins),
		TEST(test_log_of_plugins_is_limited),
		TEST(test_world_writable_file),
		TEST(test_world_writable_directory),
	};
	return cmocka_run_group_tests(tests, find_include, NULL);
}
