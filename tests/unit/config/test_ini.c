/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The INI reader: sections, options, every kind of broken line, and inputs cut anywhere, each
 * ending at an unreadable page.
 */
#include "config/ini.h"

#include "support.h"

#define TRACE_MAX 4096

/* What was read, one item after the other: "[section]", "name=<value>", "!line:error word". */
struct trace {
	char text[TRACE_MAX];
	size_t len;
};

static void put(struct trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct trace *trace, const char *format, ...) {
	va_list arguments;

	va_start(arguments, format);
	int len = vsnprintf(trace->text + trace->len, TRACE_MAX - trace->len, format, arguments);
	va_end(arguments);
	assert_true(len >= 0 && (size_t)len < TRACE_MAX - trace->len);
	trace->len += (size_t)len;
}

/* Reads `len` bytes that end at an unreadable page. */
static void read_text(const char *text, size_t len, struct trace *trace) {
	struct guard guard = guard_new(text, len);
	struct ini_reader reader;
	struct ini_item item;
	enum ini_result result;

	*trace = (struct trace){.len = 0};
	ini_start(&reader, (const char *)guard.data, len);
	while((result = ini_next(&reader, &item)) != INI_END) {
		if(result == INI_SECTION) {
			put(trace, "%zu[%.*s]", item.line, (int)item.name.len, item.name.at);
		} else if(result == INI_OPTION) {
			put(trace, "%zu %.*s=<%.*s>", item.line, (int)item.name.len, item.name.at,
				(int)item.value.len, item.value.at);
		} else {
			assert_int_equal(result, INI_BAD);
			put(trace, "%zu%s!%.12s", item.line, item.section ? "[" : "", item.error);
		}
		put(trace, "|");
	}
	guard_free(&guard);
}

struct example {
	const char *text;
	size_t len; /* 0: strlen */
	const char *trace;
};

static const struct example examples[] = {
	{"", 0, ""},
	{"\n\n  \n\t\r\n", 0, ""},
	{"# one\n; two\n  # three\n", 0, ""},
	{"[core]\nport = 1\n", 0, "1[core]|2 port=<1>|"},
	{"[core]\r\nport = 1\r\n", 0, "1[core]|2 port=<1>|"},
	{"[core]\nport=1", 0, "1[core]|2 port=<1>|"},
	{"[core]\r\nport=1\r", 0, "1[core]|2 port=<1>|"},
	{"\xef\xbb\xbf[core]\n", 0, "1[core]|"},
	{" [ core ] \n\tport\t=\t1 2\t\n", 0, "1[core]|2 port=<1 2>|"},
	{"[]\n", 0, "1[]|"},
	{"[a]\nk=\nk =  \n", 0, "1[a]|2 k=<>|3 k=<>|"},
	{"[a]\nk=v # kept\nk=v;w\n", 0, "1[a]|2 k=<v # kept>|3 k=<v;w>|"},
	{"[a]\nk=a=b==c\n", 0, "1[a]|2 k=<a=b==c>|"},
	{"[a]\nk=\" v \"\nk=\"\"\nk=\"\nk=\"\"x\"\"\nk=\"a\"b\n", 0,
		"1[a]|2 k=< v >|3 k=<>|4 k=<\">|5 k=<\"x\">|6 k=<\"a\"b>|"},
	{"[a]\n[b]\nx=1\n[a]\ny=2\n", 0, "1[a]|2[b]|3 x=<1>|4[a]|5 y=<2>|"},
	{"k=v\n[a]\nk=v\n", 0, "1!an option be|2[a]|3 k=<v>|"},
	{"word\n", 0, "1!an option be|"},
	{"[a]\nword\nk=v\n", 0, "1[a]|2!no \"=\" in th|3 k=<v>|"},
	{"[a]\n= v\n", 0, "1[a]|2!no option na|"},
	{"[a\nk=v\n", 0, "1[!the section |2 k=<v>|"},
	{"[a] x\nk=v\n", 0, "1[!nothing may |2 k=<v>|"},
	{"[a]]\n", 0, "1[!nothing may |"},
	{"[a]\nk=\0v\nj=1\n", 13, "1[a]|2!a NUL byte i|3 j=<1>|"},
	{"[a]\n#\0\n", 7, "1[a]|2!a NUL byte i|"},
	{"\0", 1, "1!a NUL byte i|"},
	{"[", 0, "1[!the section |"},
};

static void test_examples(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(examples); at++) {
		struct trace trace;
		size_t len = examples[at].len ? examples[at].len : strlen(examples[at].text);
		read_text(examples[at].text, len, &trace);
		assert_string_equal(trace.text, examples[at].trace);
	}
}

/* A prefix reads as the whole does, apart from its last line. */
static void test_prefixes(void **state) {
	static const char text[] =
		"\xef\xbb\xbf# c\r\n[core]\r\nport = 8001\r\n\r\nweb=\" x \"\n; d\n"
		"[backend]\nhost = tcp://[::1]:1\nbroken\n[x\nlast = \"";
	struct trace whole, part;

	(void)state;
	read_text(text, sizeof(text) - 1, &whole);
	assert_string_equal(whole.text,
		"2[core]|3 port=<8001>|5 web=< x >|7[backend]|8 "
		"host=<tcp://[::1]:1>|9!no \"=\" in th|"
		"10[!the section |11 last=<\">|");
	for(size_t len = 0; len < sizeof(text) - 1; len++) {
		read_text(text, len, &part);
		const char *lines_end = memrchr(text, '\n', len);
		size_t complete = lines_end ? (size_t)(lines_end - text) + 1 : 0;
		struct trace lines;
		read_text(text, complete, &lines);
		assert_memory_equal(part.text, lines.text, lines.len);
		assert_memory_equal(whole.text, lines.text, lines.len);
	}
}

static void test_line_length(void **state) {
	size_t len = 4 + INI_LINE_MAX + 1;
	char *text = malloc(len + 1);
	struct ini_reader reader;
	struct ini_item item;

	(void)state;
	assert_non_null(text);
	memset(text, 'v', len + 1);
	memcpy(text, "[a]\nk=", 6);
	for(size_t extra = 0; extra < 2; extra++) {
		ini_start(&reader, text, len - 1 + extra);
		assert_int_equal(ini_next(&reader, &item), INI_SECTION);
		assert_int_equal(ini_next(&reader, &item), extra ? INI_BAD : INI_OPTION);
		assert_int_equal(item.line, 2);
		assert_int_equal(ini_next(&reader, &item), INI_END);
	}
	free(text);
}

/* Whatever the predicate says, the value comes back. */
static void test_quotes(void **state) {
	static const char *const values[] = {"", " ", "a", " a", "a ", "\t", "\"", "\"\"", "\"a\"",
		"\"a", "a\"", "a b", "\r", "#", "[x]"};
	static const bool quotes[] = {false, true, false, true, true, true, false, true, true,
		false, false, false, true, false, false};
	char text[64];
	struct ini_reader reader;
	struct ini_item item;

	(void)state;
	for(size_t at = 0; at < COUNT(values); at++) {
		size_t len = strlen(values[at]);
		assert_int_equal(ini_needs_quotes((struct slice){values[at], len}), quotes[at]);
		const char *quote = quotes[at] ? "\"" : "";
		int total =
			snprintf(text, sizeof(text), "[a]\nk = %s%s%s\n", quote, values[at], quote);
		ini_start(&reader, text, (size_t)total);
		assert_int_equal(ini_next(&reader, &item), INI_SECTION);
		assert_int_equal(ini_next(&reader, &item), INI_OPTION);
		assert_int_equal(item.value.len, len);
		assert_memory_equal(item.value.at, values[at], len);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_line_length),
		cmocka_unit_test(test_quotes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
