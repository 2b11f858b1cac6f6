/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The form of lines: envelopes, text, JSON, the journal; escaping, and lines that are too long.
 */
#include "base/log_line.h"

#include "support.h"

#include "base/log_escape.h"
#include "base/utf8.h"

static const struct log_subject subject = {.id = 7, .client = "192.0.2.1:80"};

static char out[LOG_ENTRY_MAX + 1];

static const char *format(
	enum log_envelope envelope, enum log_format form, const struct log_entry *entry) {
	const struct log_style style = {envelope, form, 0};
	memset(out, 'Z', sizeof(out));
	size_t len = log_line_format(&style, entry, out);
	assert_true(len < sizeof(out));
	out[len] = '\0';
	assert_int_equal(strlen(out), len);
	return out;
}

static const struct log_field fields[] = {
	{.name = "plain", .text = "tcp://[::1]:80"},
	{.name = "quoted", .text = "a b\"\\=\n\xc3\xa4"},
	{.name = "empty", .text = ""},
	{.name = "number", .number = UINT64_MAX},
};

static const struct log_entry whole = {
	.level = LOG_INFO,
	.subject = &subject,
	.field = fields,
	.fields = 4,
	.message = "closed",
};

static void test_text(void **state) {
	(void)state;
	assert_string_equal(format(LOG_ENVELOPE_PRIORITY, LOG_FORMAT_TEXT, &whole),
		"<6>#7 192.0.2.1:80: closed: plain=tcp://[::1]:80 "
		"quoted=\"a b\\x22\\x5c=\\x0a\\xc3\\xa4\" empty=\"\" "
		"number=18446744073709551615\n");
}

static void test_json(void **state) {
	(void)state;
	const char *line = format(LOG_ENVELOPE_PRIORITY, LOG_FORMAT_JSON, &whole);
	assert_memory_equal(line, "<6>{\"ts\":\"2", 11);
	assert_string_equal(line + strlen("<6>{\"ts\":\"2026-11-20T21:27:27.123Z"),
		"\",\"level\":\"info\",\"id\":7,\"client\":\"192.0.2.1:80\",\"msg\":\"closed\","
		"\"plain\":\"tcp://[::1]:80\",\"quoted\":\"a b\\\"\\\\=\\u000a\xc3\xa4\","
		"\"empty\":\"\",\"number\":18446744073709551615}\n");
}

static void test_syslog(void **state) {
	struct log_entry entry = {.level = LOG_ERROR, .message = "hello"};
	char expected[64];
	(void)state;
	snprintf(expected, sizeof(expected), " websocksy %d - - hello", (int)getpid());
	const char *line = format(LOG_ENVELOPE_SYSLOG, LOG_FORMAT_TEXT, &entry);
	assert_memory_equal(line, "<27>1 2", 7); /* daemon, error */
	assert_string_equal(line + strlen(line) - strlen(expected), expected);
	entry.level = LOG_DEBUG;
	snprintf(expected, sizeof(expected), " websocksy[%d]: hello", (int)getpid());
	line = format(LOG_ENVELOPE_LOCAL, LOG_FORMAT_TEXT, &entry);
	assert_memory_equal(line, "<31>", 4);
	assert_string_equal(line + strlen("<31>Nov 30 18:00:00"), expected);
}

static void test_journal(void **state) {
	(void)state;
	assert_string_equal(format(LOG_ENVELOPE_JOURNAL, LOG_FORMAT_TEXT, &whole),
		"PRIORITY=6\nSYSLOG_IDENTIFIER=websocksy\n"
		"MESSAGE=#7 192.0.2.1:80: closed: plain=tcp://[::1]:80 "
		"quoted=\"a b\\x22\\x5c=\\x0a\\xc3\\xa4\" empty=\"\" number=18446744073709551615\n"
		"WEBSOCKSY_ID=7\nWEBSOCKSY_CLIENT=192.0.2.1:80\n"
		"WEBSOCKSY_PLAIN=tcp://[::1]:80\nWEBSOCKSY_QUOTED=a b\"\\=?\xc3\xa4\n"
		"WEBSOCKSY_EMPTY=\nWEBSOCKSY_NUMBER=18446744073709551615\n");
}

static void test_json_escapes(void **state) {
	static const struct {
		const char *text;
		const char *escaped;
	} rows[] = {
		{"a\nb\t\x01\x7f", "a\\u000ab\\u0009\\u0001\\u007f"},
		{"\"\\/", "\\\"\\\\/"},
		{"\xc2\x9b|\xff|\xc3|\xe2\x82", "\\u009b|\\ufffd|\\ufffd|\\ufffd\\ufffd"},
		{"\xc0\xaf\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
		{"\u202e\u2028\U000e0041", "\\u202e\\u2028\\udb40\\udc41"},
		{"gr\u00fc\u00df \u4e16 \U0001f600", "gr\u00fc\u00df \u4e16 \U0001f600"},
	};
	char escaped[256];
	(void)state;
	for(size_t i = 0; i < COUNT(rows); i++) {
		struct guard text = guard_new(rows[i].text, strlen(rows[i].text));
		size_t len = log_escape_json(
			(const char *)text.data, strlen(rows[i].text), escaped, sizeof(escaped));
		escaped[len] = '\0';
		assert_string_equal(escaped, rows[i].escaped);
		guard_free(&text);
	}
}

/* What is cut is valid and shows it. */
static void test_json_cut_everywhere(void **state) {
	static const char text[] = "ab\n\u00e4\U0001f600\"\u202e\xff";
	char escaped[64];
	(void)state;
	size_t whole_len = log_escape_json(text, strlen(text), escaped, sizeof(escaped));
	for(size_t cap = 3; cap < sizeof(escaped); cap++) {
		struct guard room = guard_new(NULL, cap);
		size_t len = log_escape_json(text, strlen(text), (char *)room.data, cap);
		assert_true(len <= cap);
		assert_true(utf8_valid(room.data, len));
		bool cut = len >= 3 && memcmp(room.data + len - 3, "...", 3) == 0;
		assert_true(cut == (cap < whole_len));
		guard_free(&room);
	}
}

/* Is it one object on one line? Strings are all that has to be looked at. */
static bool is_object(const char *line) {
	bool string = false;
	int depth = 0;
	const char *at = line;
	for(; *at && *at != '\n'; at++) {
		if(string && *at == '\\') {
			at++;
		} else if(*at == '"') {
			string = !string;
		} else if(!string) {
			depth += *at == '{' ? 1 : *at == '}' ? -1 : 0;
		}
	}
	return line[0] == '{' && !string && depth == 0 && at[0] == '\n' && at[1] == '\0' &&
		at[-1] == '}';
}

static void test_long_lines(void **state) {
	static const char *const units[] = {"x", "\"", "\n", "\u00e4", "\u202e", "\xff"};
	static char text[LOG_LINE_MAX + 64];
	(void)state;
	for(size_t unit = 0; unit < COUNT(units); unit++) {
		size_t size = strlen(units[unit]);
		size_t len = 0;
		for(; len + size < sizeof(text) - 8; len += size) {
			memcpy(text + len, units[unit], size);
			text[len + size] = '\0';
			if(len > 500 && len < 3900 && len % 97 != 0) {
				continue;
			}
			struct log_entry entry = {.level = LOG_INFO, .message = text};
			assert_true(is_object(format(LOG_ENVELOPE_TIME, LOG_FORMAT_JSON, &entry)));
			assert_true(strlen(out) < LOG_LINE_MAX);
			format(LOG_ENVELOPE_TIME, LOG_FORMAT_TEXT, &entry);
			assert_true(strlen(out) < LOG_LINE_MAX);
			assert_true(utf8_valid((const uint8_t *)out, strlen(out)));
		}
	}
}

/* More than a line has room for: fields at the end are cut or left out, the rest is intact. */
static void test_many_fields(void **state) {
	static char text[1000];
	struct log_field many[20];
	(void)state;
	memset(text, '"', sizeof(text) - 1);
	for(size_t i = 0; i < COUNT(many); i++) {
		many[i] = (struct log_field){.name = "name", .text = i % 2 ? NULL : text};
	}
	struct log_entry entry = {.level = LOG_INFO,
		.subject = &subject,
		.field = many,
		.fields = COUNT(many),
		.message = "closed"};
	assert_true(is_object(format(LOG_ENVELOPE_TIME, LOG_FORMAT_JSON, &entry)));
	format(LOG_ENVELOPE_TIME, LOG_FORMAT_TEXT, &entry);
	assert_string_equal(out + strlen(out) - 4, "...\n");
	format(LOG_ENVELOPE_JOURNAL, LOG_FORMAT_JSON, &entry);
	assert_int_equal(out[strlen(out) - 1], '\n');
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_cut_everywhere),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
