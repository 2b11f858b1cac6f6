/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing function `json`: streams of entities and of other data.
 */
#include "plugins/json_bench.h"

struct stream_case {
	const char *input, *expected;
};

/* NUL is written as @ in `expected`. */
static const struct stream_case streams[] = {
	/* entities one after the other */
	{"{\"a\":1}{\"b\":2}", "T{\"a\":1}|T{\"b\":2}|"},
	{"{\"a\":1}\n{\"b\":2}\n", "T{\"a\":1}|T{\"b\":2}|"},
	{"[1][2] [3]\r\n[4]", "T[1]|T[2]|T[3]|T[4]|"},
	{"1 2 3 ", "T1|T2|T3|"},
	{"1 2 3", "T1|T2|t3|"},
	{"truefalsenull", "Ttrue|Tfalse|Tnull|"},
	{"true false\nnull", "Ttrue|Tfalse|Tnull|"},
	{"\"a\"\"b\" \"c\"", "T\"a\"|T\"b\"|T\"c\"|"},
	{"1[2]3{\"a\":4}5\"b\"6", "T1|T[2]|T3|T{\"a\":4}|T5|T\"b\"|t6|"},
	{"1true2false-3null", "T1|Ttrue|T2|Tfalse|T-3|Tnull|"},
	{"[]{}[]{}\"\"0 ", "T[]|T{}|T[]|T{}|T\"\"|T0|"},
	{"  [1]   [2]  ", "T[1]|T[2]|"},
	{"\n\n{}\n\n\n{}\n\n", "T{}|T{}|"},
	{"\"\\\\\"\"\\\"\"", "T\"\\\\\"|T\"\\\"\"|"},
	{"\"x\\\\\" 1 ", "T\"x\\\\\"|T1|"},
	/* what is left when the peer closes */
	{"-1.5e3", "t-1.5e3|"},
	{" 0", "t0|"},
	{"1.", "b1.|"},
	{"-", "b-|"},
	{"1e+", "b1e+|"},
	{"{\"a\":1", "b{\"a\":1|"},
	{"\"abc", "b\"abc|"},
	{"tru", "btru|"},
	{"{} ", "T{}|"},
	{" \n\t", ""},
	{"[1]\n\"\xc3", "T[1]|b\"\xc3|"},
	/* garbage outside of anything: up to an opening bracket or the end of the line */
	{"garbage{\"a\":1}", "Bgarbage|T{\"a\":1}|"},
	{"garbage {\"a\":1}\n", "Bgarbage|T{\"a\":1}|"},
	{"garbage[1]garbage[2]", "Bgarbage|T[1]|Bgarbage|T[2]|"},
	{"hello world 42 true\n42\n", "Bhello world 42 true|T42|"},
	{"no\n\"yes\"\n", "Bno|T\"yes\"|"},
	{"no\r\ntrue\r\n", "Bno|Ttrue|"},
	{"{\"a\":1},{\"b\":2}", "T{\"a\":1}|B,|T{\"b\":2}|"},
	{"}]{\"a\":1}", "B}]|T{\"a\":1}|"},
	{"[1]]\n[2]", "T[1]|B]|T[2]|"},
	{"\xff\xfe\x80[1]\xff\n2 ", "B\xff\xfe\x80|T[1]|B\xff|T2|"},
	{"\xef\xbb\xbf{\"a\":1}", "B\xef\xbb\xbf|T{\"a\":1}|"},
	{"# 1\n# 2\n3\n", "B# 1\n# 2|T3|"},
	{"2024-01-02 12:30 [1] x\ntrue", "B2024-01-02 12:30|T[1]|Bx|Ttrue|"},
	{"12:30\n13\n", "B12:30|T13|"},
	{"01{}", "B01|T{}|"},
	{"truex{}", "Ttrue|Bx|T{}|"},
	{"trux\n{}", "Btrux|T{}|"},
	{"   x\n[1]", "Bx|T[1]|"},
	{"x \n \n [1]", "Bx|T[1]|"},
	{"x  [1]", "Bx|T[1]|"},
	/* an opening bracket where none can stand: what was before has been cut short */
	{"tru{\"a\":1}", "Btru|T{\"a\":1}|"},
	{"-[1]", "B-|T[1]|"},
	{"{\"a\":1{\"b\":2}", "B{\"a\":1|T{\"b\":2}|"},
	{"{\"a\":1\n{\"b\":2}\n", "B{\"a\":1|T{\"b\":2}|"},
	{"{\"a\":1,\n{\"b\":2}\n", "B{\"a\":1,|T{\"b\":2}|"},
	{"{\"a\"[1]", "B{\"a\"|T[1]|"},
	{"{{\"a\":1}", "B{|T{\"a\":1}|"},
	{"[1,2{\"a\":1}", "B[1,2|T{\"a\":1}|"},
	{"[1.[2]", "B[1.|T[2]|"},
	{"[[1][2]{\"a\":1}", "B[[1]|T[2]|T{\"a\":1}|"},
	/* a broken entity goes out whole */
	{"{\"a\":1,}{\"b\":2}", "B{\"a\":1,}|T{\"b\":2}|"},
	{"{bad}{\"b\":2}", "B{bad}|T{\"b\":2}|"},
	{"[1,2}[3]", "B[1,2}|T[3]|"},
	{"{\"a\":NaN,\"b\":{\"c\":1}}{\"d\":2}", "B{\"a\":NaN,\"b\":{\"c\":1}}|T{\"d\":2}|"},
	{"[01,[2],\"]\",\"\\\"]\"][3]", "B[01,[2],\"]\",\"\\\"]\"]|T[3]|"},
	{"[\"\\q\",{\"a\":1}]42 ", "B[\"\\q\",{\"a\":1}]|T42|"},
	{"[\"\xff{}\",{}]true", "B[\"\xff{}\",{}]|Ttrue|"},
	{"{\"a\":tru}null", "B{\"a\":tru}|Tnull|"},
	{"\"\\q\"\"ok\"", "B\"\\q\"|T\"ok\"|"},
	{"\"\xc3\"1 ", "B\"\xc3\"|T1|"},
	{"\"\\u12\"1 ", "B\"\\u12\"|T1|"},
	{"\"\\u{}\"1 ", "B\"\\u{}\"|T1|"},
	{"\"\x01{}\\\"{}\"1 ", "B\"\x01{}\\\"{}\"|T1|"},
	{"[}]1 ", "B[}]1|"},
	{"{]{\"a\":1}", "B{]|T{\"a\":1}|"},
	/* the end of a line ends whatever is broken */
	{"\"cut\n{\"a\":1}\n", "B\"cut|T{\"a\":1}|"},
	{"{\"a\":\"cut\n{\"b\":2}\n", "B{\"a\":\"cut|T{\"b\":2}|"},
	{"{\"a\":tr\n42\n", "B{\"a\":tr|T42|"},
	{"{oops\n\"x\"\n", "B{oops|T\"x\"|"},
	{"[\"\\\n1 ", "B[\"\\|T1|"},
	{"[\"\\q\\\n1 ", "B[\"\\q\\|T1|"},
	{"\"\\q\n1 ", "B\"\\q|T1|"},
	/* text sequences of RFC 7464 */
	{"\x1e{\"a\":1}\n\x1e[2]\n", "B\x1e|T{\"a\":1}|B\x1e|T[2]|"},
	{"\x1e"
	 "1\n\x1etrue\n",
		"B\x1e|T1|B\x1e|Ttrue|"},
	{"\x1e{\"a\":\x1e\"b\"\n", "B\x1e{\"a\":\x1e|T\"b\"|"},
};

static void test_streams(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(streams); at++) {
		check_stream(streams[at].input, strlen(streams[at].input), streams[at].expected);
	}
}

static void test_streams_with_nul(void **state) {
	(void)state;
	check_stream("{\"a\":1}\0{\"b\":2}\0", 16, "T{\"a\":1}|B@|T{\"b\":2}|B@|");
	check_stream("1\0true\0\"x\"\0", 11, "T1|B@|Ttrue|B@|T\"x\"|B@|");
	check_stream("\"a\0b\" 1 ", 8, "B\"a@b\" 1|");
	check_stream("x\0y\0[]", 6, "Bx@y@|T[]|");
	check_stream("[\0]2 ", 5, "B[@]2|");
}

/* White space that is there already goes with the message before it, later one with the next. */
static void test_white_space(void **state) {
	(void)state;
	static const char input[] = " [1] \r\n [2]\n";
	struct session whole = session_run(input, 12, 0, false);
	assert_int_equal(whole.count, 2);
	assert_int_equal(whole.out[0].len, 8);
	assert_int_equal(whole.out[1].len, 4);
	free(whole.out);
	struct session bytes = session_run(input, 12, 1, false);
	assert_int_equal(bytes.count, 2);
	assert_int_equal(bytes.out[0].len, 4);
	assert_int_equal(bytes.out[1].start, 4);
	assert_int_equal(bytes.out[1].len, 7);
	free(bytes.out);
}

/* Garbage is not held back, and a line feed that comes later is not a message of its own. */
static void test_garbage_at_once(void **state) {
	(void)state;
	static const char input[] = "junk\n{\"a\" \"b\n";
	struct session session = session_open(input, 13);
	session_feed(&session, 0, 4);
	assert_int_equal(session.cut, 4);
	session_feed(&session, 4, 1);
	assert_int_equal(session.cut, 4);
	session_feed(&session, 5, 5);
	assert_int_equal(session.cut, 4);
	session_feed(&session, 10, 2);
	assert_int_equal(session.cut, 12);
	session_feed(&session, 12, 1);
	assert_int_equal(session.cut, 12);
	session_end(&session);
	assert_int_equal(session.count, 1);
	free(session.out);
}

/* An odd quote in a stream without line feeds does not turn strings inside out for ever. */
static void test_odd_quote(void **state) {
	(void)state;
	size_t len = 0, entity = strlen("{\"b\":2}");
	char *text = malloc(200000);
	assert_non_null(text);
	len += (size_t)sprintf(text, "{\"a {\"b\":2}");
	while(len + entity <= 3 * JSON_SKIP_MAX) {
		memcpy(text + len, "{\"b\":2}", entity);
		len += entity;
	}
	struct session session = session_run(text, len, 0, false);
	assert_int_equal(session.out[0].type, 'B');
	assert_in_range(session.out[0].len, JSON_SKIP_MAX, JSON_SKIP_MAX + 64);
	assert_true(session.count > JSON_SKIP_MAX / entity);
	for(size_t at = 1; at < session.count; at++) {
		assert_int_equal(session.out[at].type, 'T');
	}
	free(session.out);
	free(text);
}

/*
 * 64 KiB byte by byte. That the time is linear is shown by what the function is given, not by a
 * clock: all bytes that it has seen before are destroyed, so it cannot have used them.
 */
static void test_byte_by_byte(void **state) {
	(void)state;
	static const char element[] = "[\"a\\u0041\xc3\xbc\",{\"k\":-1.5e3}],";
	size_t period = sizeof(element) - 1, len = 65536 / period * period;
	uint8_t *text = malloc(len), *view = malloc(len + 1);
	void *framing_data = NULL;
	assert_non_null(text);
	assert_non_null(view);
	for(size_t at = 0; at < len; at++) {
		text[at] = (uint8_t)element[at % period];
	}
	memset(text, ' ', period);
	text[0] = '[';
	text[len - 1] = ']';
	assert_true(oracle_accepts(text, len));
	memset(view, '}', len);
	for(size_t at = 0; at < len; at++) {
		ws_operation opcode = ws_frame_binary;
		view[at] = text[at];
		view[at + 1] = 0;
		int64_t result = json_frame(view, at + 1, 1, &opcode, &framing_data, "");
		assert_int_equal(result, at + 1 == len ? (int64_t)len : 0);
		assert_int_equal(opcode, at + 1 == len ? ws_frame_text : ws_frame_binary);
		view[at] = '}';
	}
	ws_operation opcode = ws_frame_binary;
	json_frame(NULL, 0, 0, &opcode, &framing_data, "");
	free(text);
	free(view);
}

static void test_no_memory(void **state) {
	(void)state;
	void *framing_data = NULL;
	ws_operation opcode = ws_frame_binary;
	uint8_t data[] = "{}";
	fail_calloc = true;
	assert_int_equal(json_frame(data, 2, 2, &opcode, &framing_data, ""), -1);
	fail_calloc = false;
	assert_null(framing_data);
	assert_int_equal(json_frame(data, 2, 2, &opcode, &framing_data, ""), 2);
	assert_int_equal(opcode, ws_frame_text);
	assert_int_equal(json_frame(NULL, 0, 0, &opcode, &framing_data, ""), 0);
	assert_null(framing_data);
}

static void test_configuration(void **state) {
	(void)state;
	assert_null(json_check(""));
	assert_non_null(json_check("x"));
	assert_ptr_equal(core_framing("json"), json_frame);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_streams_with_nul),
		cmocka_unit_test(test_white_space),
		cmocka_unit_test(test_garbage_at_once),
		cmocka_unit_test(test_odd_quote),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
