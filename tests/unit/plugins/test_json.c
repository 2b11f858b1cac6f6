/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing function `json`: the grammar against a naive recursive parser, streams of entities
 * and of garbage, each whole, byte by byte and cut at every offset, in memory that ends behind the
 * NUL.
 */
#include "support.h"

static bool fail_calloc;

static void *failing_calloc(size_t count, size_t size) {
	return fail_calloc ? NULL : calloc(count, size);
}

#define calloc failing_calloc
#include "plugins/json.c"
#include "plugins/json/steps.c"
#undef calloc

/* The oracle: RFC 8259 as a recursive parser that knows the whole text. */

struct oracle {
	const char *at, *end;
	unsigned depth;
};

static bool oracle_value(struct oracle *oracle);

static bool oracle_eat(struct oracle *oracle, const char *text) {
	size_t len = strlen(text);
	if((size_t)(oracle->end - oracle->at) < len || memcmp(oracle->at, text, len) != 0) {
		return false;
	}
	oracle->at += len;
	return true;
}

static void oracle_space(struct oracle *oracle) {
	while(oracle->at < oracle->end && *oracle->at && strchr(" \t\r\n", *oracle->at)) {
		oracle->at++;
	}
}

static bool oracle_one_of(struct oracle *oracle, const char *set) {
	if(oracle->at == oracle->end || !*oracle->at || !strchr(set, *oracle->at)) {
		return false;
	}
	oracle->at++;
	return true;
}

/* One character of UTF-8 by decoding it and asking whether that is its shortest form. */
static bool oracle_character(struct oracle *oracle) {
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	uint8_t lead = (uint8_t)*oracle->at++;
	size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
	if((lead >= 0x80 && lead < 0xC0) || lead >= 0xF8) {
		return false;
	}
	uint32_t code = more ? lead & (0x3Fu >> more) : lead;
	for(size_t at = 0; at < more; at++) {
		if(oracle->at == oracle->end || ((uint8_t)*oracle->at & 0xC0) != 0x80) {
			return false;
		}
		code = code << 6 | ((uint8_t)*oracle->at++ & 0x3F);
	}
	return code >= smallest[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

static bool oracle_escape(struct oracle *oracle) {
	if(oracle_one_of(oracle, "\"\\/bfnrt")) {
		return true;
	}
	bool fine = oracle_eat(oracle, "u");
	for(int digit = 0; digit < 4; digit++) {
		fine = fine && oracle_one_of(oracle, "0123456789abcdefABCDEF");
	}
	return fine;
}

static bool oracle_string(struct oracle *oracle) {
	if(!oracle_eat(oracle, "\"")) {
		return false;
	}
	while(oracle->at < oracle->end && *oracle->at != '"') {
		if((uint8_t)*oracle->at < 0x20) {
			return false;
		}
		if(!(oracle_eat(oracle, "\\") ? oracle_escape(oracle) : oracle_character(oracle))) {
			return false;
		}
	}
	return oracle_eat(oracle, "\"");
}

static bool oracle_digits(struct oracle *oracle) {
	bool any = false;
	while(oracle_one_of(oracle, "0123456789")) {
		any = true;
	}
	return any;
}

static bool oracle_number(struct oracle *oracle) {
	oracle_eat(oracle, "-");
	if(!oracle_eat(oracle, "0") && !oracle_digits(oracle)) {
		return false;
	}
	if(oracle_eat(oracle, ".") && !oracle_digits(oracle)) {
		return false;
	}
	if(oracle_one_of(oracle, "eE")) {
		oracle_one_of(oracle, "+-");
		return oracle_digits(oracle);
	}
	return true;
}

static bool oracle_member(struct oracle *oracle, bool object) {
	if(object) {
		oracle_space(oracle);
		if(!oracle_string(oracle)) {
			return false;
		}
		oracle_space(oracle);
		if(!oracle_eat(oracle, ":")) {
			return false;
		}
	}
	return oracle_value(oracle);
}

static bool oracle_container(struct oracle *oracle, bool object) {
	const char *end = object ? "}" : "]";
	oracle_space(oracle);
	if(oracle_eat(oracle, end)) {
		return true;
	}
	do {
		if(!oracle_member(oracle, object)) {
			return false;
		}
	} while(oracle_eat(oracle, ","));
	return oracle_eat(oracle, end);
}

/* A value with the white space around it. */
static bool oracle_value(struct oracle *oracle) {
	bool fine;
	oracle_space(oracle);
	if(oracle_eat(oracle, "{") || oracle_eat(oracle, "[")) {
		fine = ++oracle->depth <= 512 && oracle_container(oracle, oracle->at[-1] == '{');
		oracle->depth--;
	} else if(oracle->at < oracle->end && *oracle->at == '"') {
		fine = oracle_string(oracle);
	} else {
		fine = oracle_eat(oracle, "true") || oracle_eat(oracle, "false") ||
			oracle_eat(oracle, "null") || oracle_number(oracle);
	}
	oracle_space(oracle);
	return fine;
}

static bool oracle_accepts(const void *text, size_t len) {
	struct oracle oracle = {.at = text, .end = (const char *)text + len};
	return oracle_value(&oracle) && oracle.at == oracle.end;
}

/*
 * The core's part: keeps what is left over and asks until the function wants more. Binary messages
 * next to each other are joined, since garbage goes out as it comes.
 */
struct outcome {
	char type; /* 'T' text, 'B' binary; 't' and 'b': what is left when the peer closes */
	size_t start, len;
};

struct session {
	const uint8_t *input;
	size_t fed, cut; /* bytes given to the function; bytes that it has cut off */
	bool scramble; /* destroy what was seen before: it must not be looked at again */
	void *framing_data;
	ws_operation opcode;
	size_t count;
	struct outcome *out;
};

static bool is_blank(const uint8_t *data, size_t len) {
	for(size_t at = 0; at < len; at++) {
		if(!json_is_space(data[at])) {
			return false;
		}
	}
	return true;
}

static void session_note(struct session *session, size_t len) {
	const uint8_t *data = session->input + session->cut;
	bool text = session->opcode == ws_frame_text;
	struct outcome *last = session->count ? &session->out[session->count - 1] : NULL;
	assert_true(text || session->opcode == ws_frame_binary);
	assert_false(is_blank(data, len));
	assert_true(!text || oracle_accepts(data, len));
	if(!text && last && last->type == 'B') {
		last->len += len;
	} else {
		char type = text ? 'T' : 'B';
		session->out[session->count++] = (struct outcome){type, session->cut, len};
	}
	session->cut += len;
}

/* One call: `fresh` bytes at the end are new. Returns whether a message was cut off. */
static bool session_call(struct session *session, size_t fresh) {
	size_t len = session->fed - session->cut;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, session->input + session->cut, len);
	guard.data[len] = 0;
	if(session->scramble) {
		memset(guard.data, '"', len - fresh);
	}
	session->opcode = ws_frame_binary;
	int64_t result =
		json_frame(guard.data, len, fresh, &session->opcode, &session->framing_data, "");
	guard_free(&guard);
	assert_true(result >= 0 && (size_t)result <= len);
	if(result > 0) {
		session_note(session, (size_t)result);
	}
	return result > 0;
}

static void session_feed(void *ctx, size_t offset, size_t length) {
	struct session *session = ctx;
	assert_int_equal(offset, session->fed);
	session->fed += length;
	size_t fresh = length;
	while(session->cut < session->fed && session_call(session, fresh)) {
		fresh = session->fed - session->cut;
	}
}

static struct session session_open(const void *input, size_t len) {
	struct session session = {.input = input, .out = calloc(len + 2, sizeof(struct outcome))};
	assert_non_null(session.out);
	return session;
}

/* The peer closes: what is left, unless it is white space, ends the list. */
static void session_end(struct session *session) {
	size_t len = session->fed - session->cut;
	const uint8_t *data = session->input + session->cut;
	if(!is_blank(data, len)) {
		bool text = session->opcode == ws_frame_text;
		assert_true(!text || oracle_accepts(data, len));
		session->out[session->count++] =
			(struct outcome){text ? 't' : 'b', session->cut, len};
	}
	if(session->framing_data) {
		assert_int_equal(
			json_frame(NULL, 0, 0, &session->opcode, &session->framing_data, ""), 0);
	}
	assert_null(session->framing_data);
}

static struct session session_run(const void *input, size_t len, size_t way, bool scramble) {
	struct session session = session_open(input, len);
	session.scramble = scramble;
	cut_feed(len, way, session_feed, &session);
	session_end(&session);
	return session;
}

/* The list as text: type, bytes without white space around them, '|', for each message. */
static char *session_text(const struct session *session) {
	char *text = calloc(1, session->fed + 3 * session->count + 1);
	char *to = text;
	assert_non_null(text);
	for(size_t at = 0; at < session->count; at++) {
		const uint8_t *data = session->input + session->out[at].start;
		size_t len = session->out[at].len;
		while(len > 0 && json_is_space(*data)) {
			data++;
			len--;
		}
		while(len > 0 && json_is_space(data[len - 1])) {
			len--;
		}
		*to++ = session->out[at].type;
		for(size_t byte = 0; byte < len; byte++) {
			*to++ = data[byte] ? (char)data[byte] : '@';
		}
		*to++ = '|';
	}
	return text;
}

static void check_way(const char *input, size_t len, size_t way, const char *expected) {
	for(int scramble = 0; scramble < 2; scramble++) {
		struct session session = session_run(input, len, way, scramble);
		char *text = session_text(&session);
		if(strcmp(text, expected) != 0) {
			print_error("input \"%s\", way %zu\n", input, way);
		}
		assert_string_equal(text, expected);
		free(text);
		free(session.out);
	}
}

static void check_stream(const char *input, size_t len, const char *expected) {
	for(size_t way = 0; way < cut_ways(len); way++) {
		check_way(input, len, way, expected);
	}
}

/* The grammar: each of these, followed by a line feed, is one text message. */
static const char *const accepted[] = {
	/* literals and white space */
	"true", "false", "null", " true", "\t\r\n null", "false \t", "\n\n\ntrue",
	/* numbers */
	"0", "-0", "1", "9", "-1", "10", "123456789012345678901234567890", "0.0", "0.5", "-0.5",
	"1.25", "10.001", "1e1", "1E1", "1e+1", "1e-1", "0e0", "0E-0", "-0e+00", "1.5e300",
	"1.5E-300", "-1.0e01", "1e0123", "20", "1000000", "0.10", "-9.99E+99", " 7", "  -7.5 ",
	/* strings */
	"\"\"", "\"a\"", "\" \"", "\"abc def\"", "\"\\\"\"", "\"\\\\\"", "\"\\/\"", "\"\\b\"",
	"\"\\f\"", "\"\\n\"", "\"\\r\"", "\"\\t\"", "\"\\u0000\"", "\"\\u0041\"", "\"\\uABCD\"",
	"\"\\uabcd\"", "\"\\uAbCd\"", "\"\\u1a2B3\"", "\"\\ud83d\\ude00\"", "\"\\ud800\"",
	"\"\\\\\\\"\"", "\"x\\\\\"", "\"{\"", "\"[\"", "\"}]\"", "\"/\"", "\"'\"", "\"\x7f\"",
	"\"null\"", "\"a\\u0020b\"",
	/* UTF-8: the first and the last of each length and what borders on the surrogates */
	"\"\xc2\x80\"", "\"\xdf\xbf\"", "\"\xe0\xa0\x80\"", "\"\xef\xbf\xbf\"", "\"\xed\x9f\xbf\"",
	"\"\xee\x80\x80\"", "\"\xf0\x90\x80\x80\"", "\"\xf4\x8f\xbf\xbf\"", "\"\xf1\x80\x80\x80\"",
	"\"gr\xc3\xbc\xc3\x9f\"", "\"\xe2\x82\xac\"", "\"\xf0\x9f\x98\x80\"", "\"\xef\xbb\xbf\"",
	"\"\xe1\xbf\xbf\"", "\"\xf3\xbf\xbf\xbf\"", "\"\xec\x80\x80\"",
	/* arrays */
	"[]", "[ ]", "[\n]", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[[],[]]", "[[[[[]]]]]", "[true]",
	"[null,false]", "[\"a\",\"b\"]", "[1,[2,[3]]]", "[-1.5e3]", "[0]", "[0,0]", "[{}]",
	"[{},{}]", "[\"]\"]", "[\"\\\"]\"]", " [1] ", "[1\n,\n2\n]", "[1e5,0.1]", "[\"a\\\\\"]",
	"[{\"a\":[{}]}]", "[true,1]", "[1,true]", "[\"\xc3\xbc\"]",
	/* objects */
	"{}", "{ }", "{\"a\":1}", "{\"a\":1,\"b\":2}", "{ \"a\" : 1 , \"b\" : 2 }", "{\"\":0}",
	"{\"a\":{}}", "{\"a\":{\"b\":{\"c\":{}}}}", "{\"a\":[]}", "{\"a\":[1,{\"b\":2}]}",
	"{\"a\":\"}\"}", "{\"}\":1}", "{\"a\":true,\"b\":false,\"c\":null}", "{\"a\":1,\"a\":2}",
	"{\"\\u0061\":\"\\\\\"}", "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t2\n\t]\n}", "{\"a\":0}",
	"{\"a\":-0.0e-0}", "{\"\xe2\x82\xac\":\"\xf0\x9f\x98\x80\"}", "{\"a\":\"\\\"\"}",
	"{\"a\":[[],{}],\"b\":[{}]}", " {\"a\":\r\n1}", "{\"a\":1e1}", "{\"\\\"\":1}"};

/* None of these, followed by a line feed, is one text message. */
static const char *const rejected[] = {
	/* literals */
	"True", "TRUE", "nul", "nulll", "tru", "truth", "fals", "falsey", "none", "NaN", "Infinity",
	"-Infinity", "undefined", "n", "t", "f", "nUll", "yes", "tfalse",
	/* numbers */
	"00", "01", "-01", "-", "--1", "+1", ".5", "-.5", "1.", "1.e5", "1e", "1e+", "1E-", "1ee1",
	"1.2.3", "0x1F", "0b1", "1_000", "1,5", "1-", "1+1", "1e1.5", "0.", "-a", "12:30", "1;",
	"2024-01-02", "10.0.0.1", "1e1e1", "9a", "\xd9\xa1", "1\xc2\xa0", "-e1", "0e", "0.e1",
	/* strings */
	"\"", "\"a", "\"\\", "\"\\x\"", "\"\\a\"", "\"\\'\"", "\"\\0\"", "\"\\v\"", "\"\\U0041\"",
	"\"\\u\"", "\"\\u1\"", "\"\\u12\"", "\"\\u123\"", "\"\\u123g\"", "\"\\u 123\"",
	"\"\\uG000\"", "\"\\u-123\"", "'a'", "\"a\tb\"", "\"a\nb\"", "\"\x01\"", "\"\x1f\"",
	"\"\r\"", "a\"", "\"\\\"", "\"\\\n\"", "\"\x1e\"",
	/* UTF-8: overlong, surrogates, too large, cut short, stray */
	"\"\x80\"", "\"\xbf\"", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x80\x80\"",
	"\"\xe0\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xed\xbf\xbf\"", "\"\xf0\x80\x80\x80\"",
	"\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xff\"",
	"\"\xfe\"", "\"\xc3\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\"", "\"\xc3(\"", "\"\xe2(\xa1\"",
	"\"\xf0\x9f(\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\xc3\xbc", "\xef\xbb\xbf{}",
	"{\"\xff\":1}", "[\"\xc3\"]", "\xe2\x80\xa8[]", "\xc2\xa0[]",
	/* arrays */
	"[", "]", "[1", "[1,", "[,]", "[,1]", "[1,]", "[1,,2]", "[1 2]", "[1:2]", "[}", "[1}",
	"[[]", "[\"a]", "[tru]", "[01]", "[1.]", "[-]", "[nulll]", "[+1]", "[.1]", "[0x1]", "['a']",
	"[a]", "[1]]", "[1],", "[1];", "[\"a\" \"b\"]", "[1e]", "[NaN]", "[1 true]", "[/**/]",
	"[1]x",
	/* objects */
	"{", "}", "{]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}",
	"{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}", "{1:1}", "{\"a\" 1}", "{\"a\"::1}",
	"{\"a\":1:2}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{\"a\",\"b\"}", "{true:1}",
	"{null:1}", "{[]:1}", "{{}:1}", "{\"a\":1]", "{\"a\":01}", "{\"a\":tru}", "{\"a\":\"\\q\"}",
	"{\"a\":1}}", "{\"a\":1}x", "{\"a\":1}//", "{\"a\":NaN}", "{\"a\":{\"b\":1}", "{\"a\":[1}",
	"{\"a\":'b'}", "{\"a\\u00zz\":1}", "{:1}", "{\"a\"=1}", "#", ",", ":", "\\", "/", "*", "x",
	"\x01", "\x7f", "<xml/>", "()"};

static void with_line_feed(const char *text, char *out, size_t cap) {
	int len = snprintf(out, cap, "%s\n", text);
	assert_true(len > 0 && (size_t)len < cap);
}

static void test_accepts(void **state) {
	(void)state;
	char input[256], expected[256];
	for(size_t at = 0; at < COUNT(accepted); at++) {
		with_line_feed(accepted[at], input, sizeof(input));
		assert_true(oracle_accepts(input, strlen(input)));
		size_t blank = strspn(input, " \t\r\n"), len = strlen(accepted[at]);
		while(strchr(" \t\r\n", accepted[at][len - 1])) {
			len--;
		}
		snprintf(expected, sizeof(expected), "T%.*s|", (int)(len - blank),
			accepted[at] + blank);
		check_stream(input, strlen(input), expected);
	}
}

static void test_rejects(void **state) {
	(void)state;
	char input[256];
	for(size_t at = 0; at < COUNT(rejected); at++) {
		with_line_feed(rejected[at], input, sizeof(input));
		size_t len = strlen(input);
		assert_false(oracle_accepts(input, len));
		struct session whole = session_run(input, len, 0, false);
		char *text = session_text(&whole);
		assert_false(
			whole.count == 1 && whole.out[0].type != 'B' && whole.out[0].type != 'b');
		check_stream(input, len, text);
		free(text);
		free(whole.out);
	}
}

/* Every prefix of what is accepted is waited for: nothing of it goes out before its last byte. */
static void test_waits(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(accepted); at++) {
		size_t len = strlen(accepted[at]);
		while(strchr(" \t\r\n", accepted[at][len - 1])) {
			len--;
		}
		for(size_t part = 1; part < len; part++) {
			struct session session = session_run(accepted[at], part, 0, false);
			bool blank = is_blank((const uint8_t *)accepted[at], part);
			assert_int_equal(session.count, !blank);
			bool text = oracle_accepts(accepted[at], part);
			assert_true(blank || session.out[0].type == (text ? 't' : 'b'));
			free(session.out);
		}
	}
}

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

/* Garbage is not held back, and a line feed that comes later is no message of its own. */
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

static char *nested(size_t depth, const char *inner, const char *tail, size_t *len) {
	*len = 2 * depth + strlen(inner) + strlen(tail);
	char *text = malloc(*len + 1);
	assert_non_null(text);
	memset(text, '[', depth);
	memcpy(text + depth, inner, strlen(inner));
	memset(text + depth + strlen(inner), ']', depth);
	memcpy(text + *len - strlen(tail), tail, strlen(tail) + 1);
	return text;
}

static void check_nested(size_t depth, const char *types, size_t first_len) {
	size_t len;
	char *text = nested(depth, "", "{\"a\":1}", &len);
	for(size_t way = 0; way < 2; way++) {
		struct session session = session_run(text, len, way, false);
		assert_int_equal(session.count, strlen(types));
		for(size_t at = 0; at < session.count; at++) {
			assert_int_equal(session.out[at].type, types[at]);
		}
		assert_int_equal(session.out[0].len, first_len);
		free(session.out);
	}
	free(text);
}

static void test_nesting(void **state) {
	(void)state;
	check_nested(1, "TT", 2);
	check_nested(511, "TT", 1022);
	check_nested(512, "TT", 1024);
	check_nested(513, "BT", 1026);
	check_nested(4000, "BT", 8000);
}

/* Far too deep and never closed: still linear, and what follows on a line of its own is found. */
static void test_endless_nesting(void **state) {
	(void)state;
	size_t len = 300000;
	char *text = malloc(len);
	assert_non_null(text);
	memset(text, '[', len);
	memcpy(text + len - 9, "\n{\"a\":1}\n", 9);
	struct session session = session_run(text, len, 0, false);
	assert_int_equal(session.count, 2);
	assert_int_equal(session.out[0].type, 'B');
	assert_int_equal(session.out[1].type, 'T');
	free(session.out);
	free(text);
}

/* Objects at every level, so that the kind of each level is remembered. */
static void test_mixed_nesting(void **state) {
	(void)state;
	char text[4096];
	size_t len = 0;
	for(int level = 0; level < 256; level++) {
		len += (size_t)sprintf(text + len, "[{\"%d\":", level);
	}
	len += (size_t)sprintf(text + len, "null");
	for(int level = 0; level < 256; level++) {
		len += (size_t)sprintf(text + len, "}]");
	}
	assert_true(oracle_accepts(text, len));
	struct session session = session_run(text, len, 1, true);
	assert_int_equal(session.count, 1);
	assert_int_equal(session.out[0].type, 'T');
	free(session.out);
	text[len - 1] = '}';
	session = session_run(text, len, 0, false);
	assert_int_equal(session.count, 1);
	assert_int_equal(session.out[0].type, 'B');
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

/* Random numbers that are the same in every run. */
static uint32_t random_next(uint32_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static const char *const pieces[] = {"{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "\"a\"",
	"\"b\":", "1", "-", "0", ".", "e", "true", "false", "null", "t", "u00", "x", "\xc3\xbc",
	"\xc3", "\xed\xa0\x80", "\x01", "{\"a\":", "[1,", "]}", "\x1e", "\\\"", "12 "};

/*
 * Random streams: the driver asserts that nothing is lost, that each text message is JSON and that
 * no message is blank; here, that the result is the same however the stream is cut.
 */
static void test_random_streams(void **state) {
	(void)state;
	uint32_t seed = 20190622;
	for(int round = 0; round < 400; round++) {
		char input[256] = "";
		size_t count = 1 + random_next(&seed) % 24;
		for(size_t at = 0; at < count; at++) {
			strcat(input, pieces[random_next(&seed) % COUNT(pieces)]);
		}
		struct session whole = session_run(input, strlen(input), 0, false);
		char *text = session_text(&whole);
		check_stream(input, strlen(input), text);
		free(text);
		free(whole.out);
	}
}

/* Appends a random value and returns the new end. */
static char *random_value(char *to, uint32_t *seed, int depth) {
	static const char *const scalars[] = {"0", "-1.5e+3", "true", "false", "null", "\"\"",
		"\"\\u00e9\xc3\xa9\"", "\"}{\"", "12", "\"\\\\\""};
	uint32_t kind = random_next(seed) % (depth > 0 ? 4 : 2);
	if(kind < 2) {
		return to + sprintf(to, "%s", scalars[random_next(seed) % 10]);
	}
	bool object = kind == 3;
	to += sprintf(to, object ? "{" : "[ ");
	for(uint32_t member = random_next(seed) % 4; member > 0; member--) {
		if(object) {
			to += sprintf(to, "\"k%u\" : ", member);
		}
		to = random_value(to, seed, depth - 1);
		to += sprintf(to, member > 1 ? "," : "\n");
	}
	return to + sprintf(to, object ? "}" : "]");
}

/* Random entities one after the other: exactly these are the messages. */
static void test_random_entities(void **state) {
	(void)state;
	uint32_t seed = 8259;
	char *input = malloc(65536), *expected = malloc(65536);
	assert_non_null(input);
	assert_non_null(expected);
	for(int round = 0; round < 60; round++) {
		char *to = input, *want = expected;
		for(int entity = 0; entity < 6; entity++) {
			char *start = to;
			to = random_value(to, &seed, 2);
			want += sprintf(want, "T%.*s|", (int)(to - start), start);
			to += sprintf(to, "\n");
		}
		for(size_t way = 0; way < cut_ways((size_t)(to - input)); way += 1 + way / 4) {
			check_way(input, (size_t)(to - input), way, expected);
		}
	}
	free(input);
	free(expected);
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
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_streams_with_nul),
		cmocka_unit_test(test_white_space),
		cmocka_unit_test(test_garbage_at_once),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_endless_nesting),
		cmocka_unit_test(test_mixed_nesting),
		cmocka_unit_test(test_odd_quote),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_random_entities),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
