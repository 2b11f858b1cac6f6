/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in framings, seen through the registry as the core sees them. The driver below does to
 * a framing what the core does: a growing buffer with a NUL behind its end (and an unreadable page
 * behind that), the count of new bytes, the rule for what is left over.
 */
#include "builtins.h"
#include "plugin.h"
#include "plugin/framing.h"
#include "support.h"

#include <errno.h>

#define MESSAGES_MAX 512

struct message {
	ws_operation type;
	size_t at; /* in the input */
	size_t len;
};

struct stream {
	struct framing_stream framing;
	bool version1; /* called as plugins of version 1 do */
	const uint8_t *input;
	size_t start; /* of what is not sent yet */
	size_t end; /* of what has been read */
	ws_operation left;
	size_t messages;
	struct message message[MESSAGES_MAX];
};

struct input {
	const char *data;
	size_t len;
};
#define INPUT(text)                                                                                \
	{ text, sizeof(text) - 1 }
/* ---- oracles ---- */

/* One character, by the table of RFC 3629, section 4; 0: none here. */
static size_t naive_character(const uint8_t *at, size_t len) {
	static const uint8_t table[][4][2] = {
		{{0x00, 0x7f}},
		{{0xc2, 0xdf}, {0x80, 0xbf}},
		{{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}},
		{{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}},
		{{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}},
		{{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}},
	};
	for(size_t row = 0; row < COUNT(table); row++) {
		size_t n = 0;
		while(n < 4 && (n == 0 || table[row][n][1] != 0)) {
			if(n >= len || at[n] < table[row][n][0] || at[n] > table[row][n][1]) {
				break;
			}
			n++;
		}
		if(n > 0 && (n == 4 || table[row][n][1] == 0)) {
			return n;
		}
	}
	return 0;
}

static bool naive_is_text(const uint8_t *at, size_t len) {
	while(len > 0) {
		size_t n = naive_character(at, len);
		if(n == 0) {
			return false;
		}
		at += n;
		len -= n;
	}
	return true;
}

/* The length up to and including the first separator, or 0. */
static size_t naive_find(
	const uint8_t *at, size_t len, const char *separator, size_t separator_len) {
	for(size_t n = separator_len; n <= len; n++) {
		if(!memcmp(at + n - separator_len, separator, separator_len)) {
			return n;
		}
	}
	return 0;
}

/* ---- driver ---- */

static void stream_record(struct stream *stream, ws_operation type, size_t len) {
	assert_true(stream->messages < MESSAGES_MAX);
	stream->message[stream->messages++] = (struct message){type, stream->start, len};
	stream->start += len;
}

static int64_t stream_decode(
	struct stream *stream, const struct framing_input *input, ws_operation *opcode) {
	bool text = false;
	struct framing_stream *framing = &stream->framing;
	if(stream->version1) {
		return framing_function(framing->framing)(input->data, input->len, input->fresh,
			opcode, &framing->state, framing_config(framing));
	}
	ssize_t result = framing->framing->decode(framing, input, &text);
	*opcode = text ? ws_frame_text : ws_frame_binary;
	return result;
}

static int64_t stream_call(struct stream *stream, size_t last_read, ws_operation *opcode) {
	size_t len = stream->end - stream->start;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, stream->input + stream->start, len);
	guard.data[len] = 0;
	*opcode = ws_frame_binary;
	struct framing_input input = {guard.data, len, last_read, false};
	int64_t result = stream_decode(stream, &input, opcode);
	guard_free(&guard);
	return result;
}

static void stream_feed(void *ctx, size_t offset, size_t length) {
	struct stream *stream = ctx;
	assert_int_equal(offset, stream->end);
	stream->end += length;
	size_t last_read = length;
	while(stream->start < stream->end) {
		ws_operation opcode;
		int64_t result = stream_call(stream, last_read, &opcode);
		assert_true(result >= 0 && (size_t)result <= stream->end - stream->start);
		stream->left = opcode;
		if(result == 0) {
			break;
		}
		assert_true(opcode == ws_frame_text || opcode == ws_frame_binary);
		if(stream->framing.framing->validates_text && opcode == ws_frame_text) {
			assert_true(naive_is_text(stream->input + stream->start, (size_t)result));
		}
		stream_record(stream, opcode, (size_t)result);
		last_read = stream->end - stream->start;
	}
}

/* The peer closes: what is left is a last message. */
static void stream_end(struct stream *stream) {
	size_t len = stream->end - stream->start;
	if(len > 0) {
		bool text = stream->left == ws_frame_text &&
			naive_is_text(stream->input + stream->start, len);
		stream_record(stream, text ? ws_frame_text : ws_frame_binary, len);
	}
	if(stream->version1 && stream->framing.state) {
		ws_operation opcode = ws_frame_binary;
		framing_function(stream->framing.framing)(
			NULL, 0, 0, &opcode, &stream->framing.state, "");
		assert_null(stream->framing.state);
	}
	framing_close(&stream->framing);
}

static struct stream stream_start(const char *name, const char *config, const uint8_t *input) {
	struct stream stream = {.input = input};
	const struct framing *framing = framing_find(name);
	assert_non_null(framing);
	assert_null(framing_check(framing, config));
	assert_int_equal(framing_open(&stream.framing, framing, strdup(config)), 0);
	return stream;
}

/* Like stream_start(), but the state is made by the first call. */
static struct stream stream_start_version1(
	const char *name, const char *config, const uint8_t *input) {
	struct stream stream = {.input = input, .version1 = true};
	stream.framing.framing = framing_find(name);
	stream.framing.config = strdup(config);
	return stream;
}

static void stream_work(struct stream *stream, const struct input *input, size_t way) {
	cut_feed(input->len, way, stream_feed, stream);
	stream_end(stream);
	assert_int_equal(stream->start, input->len);
}

/* Both ways of calling the framing lead to the same messages. */
static struct stream stream_run(
	const char *name, const char *config, const struct input *input, size_t way) {
	const uint8_t *data = (const uint8_t *)input->data;
	struct stream stream = stream_start(name, config, data);
	struct stream version1 = stream_start_version1(name, config, data);
	stream_work(&stream, input, way);
	stream_work(&version1, input, way);
	assert_int_equal(version1.messages, stream.messages);
	assert_memory_equal(version1.message, stream.message, sizeof(stream.message));
	return stream;
}

/* ---- auto, binary, text ---- */

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
		assert_true(framing_find(prove[i])->validates_text);
	}
	for(size_t i = 0; i < COUNT(do_not); i++) {
		assert_false(framing_find(do_not[i])->validates_text);
	}
}

static void test_auto_is_the_default(void **unused) {
	(void)unused;
	assert_ptr_equal(framing_find(NULL), framing_find("auto"));
	assert_ptr_equal(core_framing(NULL), core_framing((char[]){"auto"}));
	assert_ptr_equal(framing_of_function(core_framing(NULL), NULL), framing_find("auto"));
	assert_null(framing_find("none-such"));
}

/* Valid text is text however it is cut; nothing that is no text is called so. */
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

/* ---- separator ---- */

struct separator_case {
	const char *config;
	struct input separator;
	struct input data;
};

static const struct separator_case separator_cases[] = {
	{"|", INPUT("|"), INPUT("a|bc||d")},
	{"\\r\\n", INPUT("\r\n"), INPUT("\r\none\r\r\ntwo\n\r\nthree\r")},
	{"\\0", INPUT("\0"), INPUT("a\0b\0\0")},
	{"\\x00\\xff\\x0A", INPUT("\0\xff\n"), INPUT("\0\xff\0\xff\n..\0\0\xff\n\n")},
	{"\\x411", INPUT("A1"),
		INPUT("A\x01"
		      "A1AA1")},
	{"\\t\\f\\\\", INPUT("\t\f\\"), INPUT("\t\f\\\\\t\t\f\\x")},
	{"aaab", INPUT("aaab"), INPUT("aaaaaabaaabaaaab")},
	{"abcab", INPUT("abcab"), INPUT("abcabcababcaabcab")},
	{"--end--", INPUT("--end--"), INPUT("--end-end----end-----end--")},
	{"long separator", INPUT("long separator"), INPUT("short")},
};

static void check_separator_case(const struct separator_case *c, size_t way) {
	struct stream stream = stream_run("separator", c->config, &c->data, way);
	const uint8_t *data = (const uint8_t *)c->data.data;
	size_t at = 0;
	for(size_t n = 0; n < stream.messages; n++) {
		size_t len = naive_find(
			data + at, c->data.len - at, c->separator.data, c->separator.len);
		assert_int_equal(stream.message[n].len, len ? len : c->data.len - at);
		assert_int_equal(stream.message[n].type, ws_frame_binary);
		at += stream.message[n].len;
	}
	assert_int_equal(at, c->data.len);
}

static void test_separator_every_cut(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(separator_cases); i++) {
		for(size_t way = 0; way < cut_ways(separator_cases[i].data.len); way++) {
			check_separator_case(&separator_cases[i], way);
		}
	}
}

static void assert_bad_configuration(const struct framing *framing, const char *config) {
	uint8_t data[] = "data";
	ws_operation opcode = ws_frame_binary;
	void *framing_data = NULL;
	struct framing_stream stream;
	assert_non_null(framing_check(framing, config));
	assert_int_equal(framing_open(&stream, framing, strdup(config)), -EINVAL);
	framing_close(&stream);
	assert_true(framing_function(framing)(data, 4, 4, &opcode, &framing_data, config) < 0);
	assert_null(framing_data);
}

static void test_separator_bad_configuration(void **unused) {
	(void)unused;
	static const char *const bad[] = {"", "\\", "a\\", "\\x", "\\x4", "\\xZZ", "\\x4g", "\\q",
		"\\N", "ok\\1", "\\X41", "\\xg4"};
	const struct framing *framing = framing_find("separator");
	assert_non_null(framing_check(framing, NULL));
	for(size_t i = 0; i < COUNT(bad); i++) {
		/* Behind the configuration nothing may be read. */
		struct guard guard = guard_new(bad[i], strlen(bad[i]) + 1);
		const char *config = (const char *)guard.data;
		assert_bad_configuration(framing, config);
		guard_free(&guard);
	}
}

/* ---- newline ---- */

static const struct input line_inputs[] = {
	INPUT("one\r\ntwo\r\n\r\nthree"),
	INPUT("\r\n"),
	INPUT("a\rb\nc\n\rd\r\r\n\n\re\r\n"),
	INPUT("\n\n\r\r\n\n"),
	INPUT("gr\xc3\xbc\xc3\x9f"
	      "e\r\n\xff\xfe\r\nok\n\r\xe2\x82\r\n\n\r\xf0\x9f\x98\x80\n\r"),
	INPUT("\xc0\x80\nx\r\n\xed\xa0\x80\r\ny\r\n"),
	INPUT("tail \xe2\x82"),
	INPUT("\0\r\n\0\r"),
};

struct newline_case {
	const char *config;
	const char *newline;
};

static const struct newline_case newline_cases[] = {
	{"", "\r\n"},
	{"crlf", "\r\n"},
	{"lfcr", "\n\r"},
	{"lf", "\n"},
	{"cr", "\r"},
};

static void check_newline_case(
	const struct newline_case *c, const struct input *input, size_t way) {
	struct stream stream = stream_run("newline", c->config, input, way);
	const uint8_t *data = (const uint8_t *)input->data;
	size_t at = 0;
	for(size_t n = 0; n < stream.messages; n++) {
		size_t len = naive_find(data + at, input->len - at, c->newline, strlen(c->newline));
		len = len ? len : input->len - at;
		bool text = naive_is_text(data + at, len);
		assert_int_equal(stream.message[n].len, len);
		assert_int_equal(stream.message[n].type, text ? ws_frame_text : ws_frame_binary);
		at += len;
	}
	assert_int_equal(at, input->len);
}

static void test_newline_every_cut(void **unused) {
	(void)unused;
	for(size_t c = 0; c < COUNT(newline_cases); c++) {
		for(size_t i = 0; i < COUNT(line_inputs); i++) {
			for(size_t way = 0; way < cut_ways(line_inputs[i].len); way++) {
				check_newline_case(&newline_cases[c], &line_inputs[i], way);
			}
		}
	}
}

static void test_newline_bad_configuration(void **unused) {
	(void)unused;
	static const char *const bad[] = {"crlfx", "CRLF", " lf", "\\n", "nl"};
	const struct framing *framing = framing_find("newline");
	assert_null(framing_check(framing, NULL));
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_bad_configuration(framing, bad[i]);
	}
}

/* ---- linear time ---- */

#define LONG_PAGES 12

/*
 * Feeds one long message byte by byte and takes the read permission from every page that lies
 * wholly before what may still be looked at: a function that starts over crashes. No clock
 * involved.
 */
static void check_never_looks_back(const char *name, const char *config, const char *pattern) {
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = LONG_PAGES * page;
	size_t keep = strlen(config);
	const struct framing *framing = framing_find(name);
	struct guard guard = guard_new(NULL, size);
	struct framing_stream stream;
	size_t locked = 0;
	assert_int_equal(framing_open(&stream, framing, strdup(config)), 0);
	for(size_t len = 1; len < size; len++) {
		bool text = false;
		guard.data[len - 1] = (uint8_t)pattern[(len - 1) % strlen(pattern)];
		guard.data[len] = 0;
		struct framing_input input = {guard.data, len, 1, false};
		assert_int_equal(framing->decode(&stream, &input, &text), 0);
		if(len >= locked + page + keep) {
			assert_int_equal(mprotect(guard.data + locked, page, PROT_NONE), 0);
			locked += page;
		}
	}
	assert_true(locked >= size - 2 * page);
	framing_close(&stream);
	guard_free(&guard);
}

static void test_long_messages_are_looked_at_once(void **unused) {
	(void)unused;
	check_never_looks_back("separator", "aaab", "a");
	check_never_looks_back("separator", "\\r\\n", "\r.");
	check_never_looks_back("newline", "crlf", "text \xe2\x82\xac\r.");
	check_never_looks_back("newline", "lfcr", "\r");
	check_never_looks_back("newline", "lf", "\xff");
}

/* ---- base64 ---- */

struct base64_run {
	struct framing_stream stream;
	const char *text;
	size_t len;
	struct dynbuf out;
	int result;
};

static void base64_start(struct base64_run *run, const char *text, size_t len) {
	*run = (struct base64_run){.text = text, .len = len};
	assert_int_equal(framing_open(&run->stream, framing_find("base64"), NULL), 0);
}

/* A part of the message. Its memory ends at an unreadable page. */
static void base64_part(void *ctx, size_t offset, size_t length) {
	struct base64_run *run = ctx;
	struct guard guard = guard_new(run->text + offset, length);
	struct framing_message part = {
		guard.data, length, true, offset == 0, offset + length == run->len};
	if(run->result == 0) {
		run->result = run->stream.framing->encode(&run->stream, &part, &run->out);
	}
	guard_free(&guard);
}

static void base64_end(struct base64_run *run) {
	dynbuf_free(&run->out);
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

/* The text goes behind the bytes that `room` has; no message needs a length of 64 bits. */
static void test_base64_of_the_peer(void **unused) {
	static const char *const texts[] = {"QQ==", "QUI=", "QUJD", "QUJDRA=="};
	static uint8_t bytes[70000] = "ABCD";
	const struct framing *framing = framing_find("base64");
	struct framing_stream stream;
	struct dynbuf room = {0};
	bool text = false;
	(void)unused;
	assert_int_equal(framing_open(&stream, framing, NULL), 0);
	for(size_t len = 1; len <= COUNT(texts); len++) {
		struct framing_input input = {bytes, len, len, false};
		struct framing_message message = {bytes, len, false, true, true};
		assert_int_equal(framing->decode(&stream, &input, &text), len);
		assert_true(text);
		room.len = 0;
		assert_int_equal(dynbuf_append(&room, "room", 4), 0);
		assert_int_equal(framing->payload(&stream, &message, &room), 0);
		assert_true(message.text);
		assert_ptr_equal(message.data, room.data + 4);
		assert_int_equal(message.len, strlen(texts[len - 1]));
		assert_memory_equal(message.data, texts[len - 1], message.len);
	}
	struct framing_input input = {bytes, sizeof(bytes), sizeof(bytes), false};
	ssize_t most = framing->decode(&stream, &input, &text);
	assert_true(most > 49000 && (most + 2) / 3 * 4 <= UINT16_MAX);
	dynbuf_free(&room);
	framing_close(&stream);
}

static int setup(void **unused) {
	(void)unused;
	return builtins_register();
}

static int teardown(void **unused) {
	(void)unused;
	plugin_shutdown();
	return 0;
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_who_validates_text),
		cmocka_unit_test(test_auto_is_the_default),
		cmocka_unit_test(test_text_every_cut),
		cmocka_unit_test(test_text_holds_a_cut_character_back),
		cmocka_unit_test(test_separator_every_cut),
		cmocka_unit_test(test_separator_bad_configuration),
		cmocka_unit_test(test_newline_every_cut),
		cmocka_unit_test(test_newline_bad_configuration),
		cmocka_unit_test(test_long_messages_are_looked_at_once),
		cmocka_unit_test(test_base64_of_the_client),
		cmocka_unit_test(test_base64_in_three_parts),
		cmocka_unit_test(test_base64_of_the_peer),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
