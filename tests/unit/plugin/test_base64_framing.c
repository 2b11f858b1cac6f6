/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in framing base64: messages of the client in parts, messages of the peer.
 */
#include "plugin/framing_bench.h"

struct base64_run {
	struct websocksy_framing_stream stream;
	const char *text;
	size_t len;
	struct websocksy_output out;
	int result;
};

static void base64_start(struct base64_run *run, const char *text, size_t len) {
	*run = (struct base64_run){.text = text, .len = len, .out = {.reserve = framing_reserve}};
	assert_int_equal(framing_open(&run->stream, framings_find("base64"), NULL, NULL), 0);
}

/* A part of the message. Its memory ends at an unreadable page. */
static void base64_part(void *ctx, size_t offset, size_t length) {
	struct base64_run *run = ctx;
	struct guard guard = guard_new(run->text + offset, length);
	struct websocksy_part part = {.data = guard.data,
		.len = length,
		.first = offset == 0,
		.last = offset + length == run->len,
		.type = WEBSOCKSY_TEXT,
		.total = WEBSOCKSY_UNKNOWN};
	if(run->result == 0) {
		run->result = run->stream.framing->encode(&run->stream, &part, &run->out);
	}
	guard_free(&guard);
}

static void base64_end(struct base64_run *run) {
	framing_output_free(&run->out);
	framing_close(&run->stream);
}

static void test_base64_of_the_client(void **unused) {
	static const struct {
		const char *text;
		const char *bytes;
		int result;
	} cases[] = {
		{"", "", 0},
		{"QQ==", "A", 0},
		{"QUI=", "AB", 0},
		{"QUJD", "ABC", 0},
		{"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w",
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop", 0},
		{"QUJDR", "", -EBADMSG},
		{"QUJD=", "", -EBADMSG},
		{"QQ==QQ==", "", -EBADMSG},
		{"QU\n=", "", -EBADMSG},
	};
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		for(size_t way = 0; way < cut_ways(len); way++) {
			struct base64_run run;
			base64_start(&run, cases[i].text, len);
			cut_feed(len, way, base64_part, &run);
			assert_int_equal(run.result, cases[i].result);
			if(run.result == 0) {
				assert_int_equal(run.out.len, strlen(cases[i].bytes));
				assert_memory_equal(run.out.data, cases[i].bytes, run.out.len);
			}
			base64_end(&run);
		}
	}
}

/* Twice: nothing of a message is left for the next one. */
static void test_base64_in_three_parts(void **unused) {
	static const char text[] = "MDEyMzQ1Njc4OQ==";
	size_t len = sizeof(text) - 1;
	(void)unused;
	for(size_t first = 1; first < len; first++) {
		for(size_t second = first + 1; second <= len; second++) {
			struct base64_run run;
			base64_start(&run, text, len);
			for(int message = 0; message < 2; message++) {
				base64_part(&run, 0, first);
				base64_part(&run, first, second - first);
				if(second < len) {
					base64_part(&run, second, len - second);
				}
			}
			assert_int_equal(run.result, 0);
			assert_int_equal(run.out.len, 20);
			assert_memory_equal(run.out.data, "01234567890123456789", 20);
			base64_end(&run);
		}
	}
}

/* No message needs a length of 64 bits, unless it is a datagram. */
static void test_base64_of_the_peer(void **unused) {
	static const char *const texts[] = {"QQ==", "QUI=", "QUJD", "QUJDRA=="};
	static uint8_t bytes[70000] = "ABCD";
	const struct websocksy_framing *framing = framings_find("base64");
	struct websocksy_framing_stream stream;
	struct websocksy_output room = {.reserve = framing_reserve};
	struct websocksy_input input = {.data = bytes, .room = &room};
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	(void)unused;
	assert_int_equal(framing_open(&stream, framing, NULL, NULL), 0);
	for(size_t len = 1; len <= COUNT(texts); len++) {
		input.len = len;
		assert_int_equal(framing->decode(&stream, &input, &message), len);
		assert_int_equal(message.type, WEBSOCKSY_TEXT);
		assert_ptr_equal(message.data, room.data);
		assert_int_equal(message.len, strlen(texts[len - 1]));
		assert_memory_equal(message.data, texts[len - 1], message.len);
	}
	input.len = sizeof(bytes);
	int64_t most = framing->decode(&stream, &input, &message);
	assert_true(most > 49000 && message.len <= UINT16_MAX);
	assert_int_equal(message.len, (most + 2) / 3 * 4);
	input.datagram = true;
	assert_int_equal(framing->decode(&stream, &input, &message), sizeof(bytes));
	assert_int_equal(message.len, (sizeof(bytes) + 2) / 3 * 4);
	framing_output_free(&room);
	framing_close(&stream);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_of_the_client),
		cmocka_unit_test(test_base64_in_three_parts),
		cmocka_unit_test(test_base64_of_the_peer),
	};
	return cmocka_run_group_tests_name("base64_framing", tests, setup, teardown);
}
