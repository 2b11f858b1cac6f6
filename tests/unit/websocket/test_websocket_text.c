/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parser: validation of text messages.
 */
#include "websocket/frames.h"

/* A text message of two fragments, cut in front of byte `cut` of `text`. */
static void add_cut_text(struct stream *in, const char *text, size_t cut, bool ping) {
	add_frame(in, TEXT, text, cut);
	if(ping) {
		add_text(in, FIN | PING, "\xFF");
	}
	add_frame(in, CONT, "", 0);
	add_frame(in, LAST, text + cut, strlen(text) - cut);
}

static void test_text_cut_by_fragments(void **state) {
	(void)state;
	const char *text = "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 \xED\x9F\xBF\xF4\x8F\xBF\xBF";
	for(size_t cut = 0; cut <= strlen(text); cut++) {
		for(int ping = 0; ping < 2; ping++) {
			char expected[128];
			struct stream in = {0};
			add_cut_text(&in, text, cut, ping);
			add_text(&in, FIN | TEXT, "next");
			snprintf(expected, sizeof(expected),
				ping ? "%.*s[9:\xFF]%s|1;next|1;" : "%.*s%s|1;next|1;", (int)cut,
				text, text + cut);
			check(&in, true, expected);
		}
	}
}

static void test_invalid_text(void **state) {
	(void)state;
	static const struct {
		const char *text;
		size_t bad_at; /* the byte that cannot be; strlen: the end of the message */
	} cases[] = {{"\x80", 0}, {"ab\xFF", 2}, {"\xC0\xAF", 0}, {"a\xC3(", 2},
		{"\xE0\x80\x80", 1}, {"\xED\xA0\x80", 1}, {"\xF4\x90\x80\x80", 1}, {"\xF5", 0},
		{"0123456789abcdef0123456789\xC3x", 27}, {"\xE2\x82", 2}, {"\xF0\x9F\x98", 3},
		{"ok\xC3", 3}, {"\xF0\x9F\x98\x80\xF0", 5}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].text);
		/*
		 * The last byte of the frame tells both that it is there and that nothing
		 * follows.
		 */
		size_t bad_at = cases[i].bad_at < len ? cases[i].bad_at + 1 : len;
		struct stream in = {0};
		add_text(&in, FIN | BINARY, "\xFF");
		add_text(&in, FIN | TEXT, cases[i].text);
		check_bad(&in, "\xFF", WEBSOCKET_CODE_INVALID_DATA, 7 + 6 + bad_at);
		/*
		 * A fragment may end inside a character, the message may not; its header says so.
		 */
		add_text(&in, TEXT, cases[i].text);
		add_text(&in, LAST, "");
		bad_at = 6 + bad_at + (cases[i].bad_at < len ? 0 : 6);
		char expected[64];
		snprintf(expected, sizeof(expected), "%s",
			cases[i].bad_at < len ? "" : cases[i].text);
		check_bad(&in, expected, WEBSOCKET_CODE_INVALID_DATA, bad_at);
	}
}

/* A new message does not inherit the state of the one before; binary is not validated. */
static void test_binary_is_not_text(void **state) {
	(void)state;
	struct stream in = {0};
	add_text(&in, BINARY, "\xC3");
	add_text(&in, LAST, "\xFF\xFE");
	add_text(&in, FIN | TEXT, "text");
	add_text(&in, FIN | BINARY, "\xE2\x82");
	add_text(&in, TEXT, "\xE2\x82");
	add_text(&in, LAST, "\xAC");
	check(&in, true, "\xC3\xFF\xFE|2;text|1;\xE2\x82|2;\xE2\x82\xAC|1;");
}

/*
 * Invalid text far behind the start of a long frame, around the pieces in which text is
 * validated.
 */
static void test_invalid_text_far_behind(void **state) {
	(void)state;
	enum {
		LEN = 20000
	};
	uint8_t *payload = malloc(LEN);
	assert_non_null(payload);
	for(size_t at = 8150; at < 8230; at++) {
		struct stream in = {0};
		fill(payload, LEN, true);
		payload[at] = 0xC3;
		add_frame(&in, FIN | TEXT, payload, LEN);
		check_way(&in, false, "!1007", 5, 0);
		stream_free(&in);
		payload[at + 1] = 0xA4;
		add_frame(&in, FIN | TEXT, payload, LEN);
		check_way(&in, false, payload, LEN, 0);
		check_way(&in, false, payload, LEN, at + 8);
		stream_free(&in);
	}
	free(payload);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_cut_by_fragments),
		cmocka_unit_test(test_invalid_text),
		cmocka_unit_test(test_binary_is_not_text),
		cmocka_unit_test(test_invalid_text_far_behind),
	};
	return cmocka_run_group_tests_name("websocket_text", tests, NULL, NULL);
}
