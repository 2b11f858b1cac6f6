/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in framings auto, binary and text.
 */
#include "plugin/framing_bench.h"

static const struct input text_inputs[] = {
	INPUT("hello"),
	INPUT("z\xc3\xa4h, \xe2\x82\xac 5, \xf0\x9f\x98\x80!"),
	INPUT("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80"),
	INPUT("\0\x7f\0"),
	INPUT("\xc0\x80"),
	INPUT("a\xed\xa0\x80z"),
	INPUT("\xf4\x90\x80\x80"),
	INPUT("ab\xff"),
	INPUT("\xe2\x82"),
	INPUT("ok\xe2\x82"),
	INPUT("\xe2\x82\x41"),
	INPUT("\x80\x80"),
	INPUT("\xf8\x88\x80\x80\x80"),
};

struct pieces {
	size_t pieces;
	size_t len[64];
};

static void count_piece(void *ctx, size_t offset, size_t length) {
	struct pieces *pieces = ctx;
	(void)offset;
	pieces->len[pieces->pieces++] = length;
}

/* Each read is one message at once; `typed`: its type follows its content. */
static void check_immediate(const char *name, bool typed) {
	for(size_t i = 0; i < COUNT(text_inputs); i++) {
		const struct input *input = &text_inputs[i];
		for(size_t way = 0; way < cut_ways(input->len); way++) {
			struct stream stream = stream_run(name, "", input, way);
			struct pieces pieces = {0};
			cut_feed(input->len, way, count_piece, &pieces);
			assert_int_equal(stream.messages, pieces.pieces);
			for(size_t n = 0; n < stream.messages; n++) {
				const struct message *message = &stream.message[n];
				bool text = typed &&
					naive_is_text(stream.input + message->at, message->len);
				assert_int_equal(message->len, pieces.len[n]);
				assert_int_equal(
					message->type, text ? ws_frame_text : ws_frame_binary);
			}
		}
	}
}

static void test_auto(void **unused) {
	(void)unused;
	check_immediate("auto", true);
}

static void test_binary(void **unused) {
	(void)unused;
	check_immediate("binary", false);
}

/* What they call text is checked for these wherever a test feeds them, see stream_feed(). */
static void test_who_validates_text(void **unused) {
	(void)unused;
	static const char *const prove[] = {"auto", "text", "newline"};
	static const char *const do_not[] = {"binary", "separator"};
	for(size_t i = 0; i < COUNT(prove); i++) {
		assert_true(framings_find(prove[i])->flags & WEBSOCKSY_TEXT_IS_VALID);
	}
	for(size_t i = 0; i < COUNT(do_not); i++) {
		assert_false(framings_find(do_not[i])->flags & WEBSOCKSY_TEXT_IS_VALID);
	}
}

static void test_auto_is_the_default(void **unused) {
	(void)unused;
	assert_ptr_equal(framings_find(NULL), framings_find("auto"));
	assert_ptr_equal(core_framing(NULL), core_framing((char[]){"auto"}));
	assert_ptr_equal(framings_of_function(core_framing(NULL), NULL), framings_find("auto"));
	assert_null(framings_find("none-such"));
}

/* Valid text is text however it is cut; invalid text is never typed as text. */
static void test_text_every_cut(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(text_inputs); i++) {
		const struct input *input = &text_inputs[i];
		bool valid = naive_is_text((const uint8_t *)input->data, input->len);
		for(size_t way = 0; way < cut_ways(input->len); way++) {
			struct stream stream = stream_run("text", "", input, way);
			bool all_text = true;
			for(size_t n = 0; n < stream.messages; n++) {
				const struct message *message = &stream.message[n];
				bool text = naive_is_text(stream.input + message->at, message->len);
				assert_int_equal(
					message->type, text ? ws_frame_text : ws_frame_binary);
				all_text = all_text && text;
			}
			assert_int_equal(all_text, valid);
		}
	}
}

static void test_text_holds_a_cut_character_back(void **unused) {
	(void)unused;
	static const struct input input = INPUT("ab\xe2\x82\xac"
						"c");
	struct stream stream = stream_start("text", "", (const uint8_t *)input.data);
	stream_feed(&stream, 0, 3);
	assert_int_equal(stream.messages, 1);
	assert_int_equal(stream.message[0].len, 2);
	stream_feed(&stream, 3, 1);
	assert_int_equal(stream.messages, 1);
	stream_feed(&stream, 4, 2);
	assert_int_equal(stream.messages, 2);
	assert_int_equal(stream.message[1].len, 4);
	assert_int_equal(stream.message[1].type, ws_frame_text);
	stream_end(&stream);
	assert_int_equal(stream.messages, 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_who_validates_text),
		cmocka_unit_test(test_auto_is_the_default),
		cmocka_unit_test(test_text_every_cut),
		cmocka_unit_test(test_text_holds_a_cut_character_back),
	};
	return cmocka_run_group_tests_name("builtins", tests, setup, teardown);
}
