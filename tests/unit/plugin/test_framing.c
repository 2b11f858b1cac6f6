/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The registry of framings and the adapter for functions of version 1.
 */
#include "objects.h"

#include <errno.h>

static void test_register(void **unused) {
	(void)unused;
	char name[] = "one";
	assert_int_equal(core_register_framing(name, decode_one), 0);
	name[0] = 'X'; /* the name is a copy */
	assert_ptr_equal(core_framing((char[]){"one"}), decode_one);
	const struct websocksy_framing *framing = framings_find("one");
	assert_ptr_equal(framings_function(framing), decode_one);
	assert_ptr_equal(framings_of_function(decode_one, NULL), framing);
	assert_string_equal(framing->name, "one");
	assert_int_equal(framing->flags, 0);
	assert_null(core_framing(name));
}

static void test_register_refuses(void **unused) {
	(void)unused;
	static const char *const bad[] = {"", " ", "a b", "a/b", "../x", "a.b", "\xc3\xa4", "a\n",
		"auto", "binary", "newline"};
	for(size_t i = 0; i < COUNT(bad); i++) {
		char *name = strdup(bad[i]);
		assert_int_equal(core_register_framing(name, decode_one), 1);
		free(name);
	}
	assert_int_equal(core_register_framing(NULL, decode_one), 1);
	assert_int_equal(core_register_framing((char[]){"fine"}, NULL), 1);
	assert_null(framings_find("fine"));
	assert_ptr_not_equal(core_framing((char[]){"auto"}), decode_one);
}

static void test_checks(void **unused) {
	(void)unused;
	assert_int_equal(core_register_framing((char[]){"one"}, decode_one), 0);
	const struct websocksy_framing *framing = framings_find("one");
	assert_null(framing_check(framing, "x"));
	assert_int_equal(core_register_framing_check((char[]){"one"}, check_digit), 0);
	assert_null(framing_check(framing, "5"));
	assert_string_equal(framing_check(framing, "x"), "must be a digit");
	assert_string_equal(framing_check(framing, NULL), "must be a digit");
	assert_int_equal(core_register_framing_check((char[]){"two"}, check_digit), 1);
	assert_int_equal(core_register_framing_check(NULL, check_digit), 1);
}

/* Answers and remembers as its configuration says; counts its calls. */
struct remembered {
	int calls;
	int ends;
};

static struct remembered remembered;

static int64_t decode_as_told(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	remembered.calls++;
	if(!data) {
		assert_int_equal(length + last_read, 0);
		remembered.ends++;
		free(*framing_data);
		*framing_data = NULL;
		return 0;
	}
	assert_true(last_read > 0 && last_read <= length);
	assert_int_equal(*opcode, ws_frame_binary);
	if(!*framing_data) {
		*framing_data = malloc(1);
	}
	*opcode = (ws_operation)atoi(config);
	const char *result = strchr(config, ' ');
	return result ? atoi(result) : 0;
}

static ssize_t decode_told(const char *config, size_t fresh, bool end, ws_operation *type) {
	uint8_t data[] = "data";
	struct websocksy_framing_stream stream;
	struct websocksy_input input = {.data = data, .len = 4, .fresh = fresh, .end = end};
	struct websocksy_message message = {.type = (enum websocksy_type) * type};
	const struct websocksy_framing *framing = framings_find("told");
	assert_int_equal(framing_open(&stream, framing, NULL, strdup(config)), 0);
	ssize_t result = framing->decode(&stream, &input, &message);
	*type = (ws_operation)message.type;
	assert_int_equal(stream.state != NULL, fresh > 0 && !end);
	framing_close(&stream);
	assert_null(stream.state);
	return result;
}

static void test_adapter(void **unused) {
	(void)unused;
	static const struct {
		const char *config;
		ssize_t result;
		ws_operation type;
	} cases[] = {
		{"2 4", 4, ws_frame_binary},
		{"11 4", 4, ws_frame_discard},
		{"11 1", 1, ws_frame_discard},
		{"11 0", 0, ws_frame_discard},
		{"11 5", -ERANGE, 0},
		{"12 4", -EINVAL, 0},
		{"1 4", 4, ws_frame_text},
		{"1 1", 1, ws_frame_text},
		{"2 0", 0, ws_frame_binary},
		{"1 0", 0, ws_frame_text},
		{"2 5", -ERANGE, 0},
		{"2 -1", -EPROTO, 0},
		{"1 -22", -EPROTO, 0},
		{"0 2", -EINVAL, 0},
		{"8 2", -EINVAL, 0},
		{"9 0", -EINVAL, 0},
	};
	assert_int_equal(core_register_framing((char[]){"told"}, decode_as_told), 0);
	for(size_t i = 0; i < COUNT(cases); i++) {
		for(int end = 0; end < 2; end++) {
			ws_operation type = ws_frame_binary;
			remembered = (struct remembered){0};
			assert_int_equal(
				decode_told(cases[i].config, 4, end, &type), cases[i].result);
			if(cases[i].result >= 0) {
				assert_int_equal(type, cases[i].type);
			}
			assert_int_equal(remembered.calls, 2);
			assert_int_equal(remembered.ends, 1);
		}
	}
}

/* Version 1 functions are never asked about the same bytes again: their last answer stands. */
static void test_adapter_at_the_end(void **unused) {
	(void)unused;
	assert_int_equal(core_register_framing((char[]){"told"}, decode_as_told), 0);
	static const ws_operation types[] = {ws_frame_binary, ws_frame_text, ws_frame_discard};
	for(size_t i = 0; i < COUNT(types); i++) {
		ws_operation type = types[i];
		remembered = (struct remembered){0};
		assert_int_equal(decode_told("1 4", 0, true, &type), 0);
		assert_int_equal(type, types[i]);
		assert_int_equal(remembered.calls, 0);
	}
}

static void test_unknown_framing_is_logged(void **unused) {
	(void)unused;
	log_capture();
	ws_framing decode = core_framing((char[]){"seperator"});
	assert_true(log_release("seperator"));
	assert_null(decode);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		TEST(test_register),
		TEST(test_register_refuses),
		TEST(test_checks),
		TEST(test_adapter),
		TEST(test_adapter_at_the_end),
		TEST(test_unknown_framing_is_logged),
	};
	return cmocka_run_group_tests(tests, find_include, NULL);
}
