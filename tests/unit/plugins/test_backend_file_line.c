/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend: lines of its files.
 */
#include "plugins/backend_file_bench.h"

struct line_case {
	const char *text;
	const char *host;
	const char *framing; /* and its configuration */
};

static void test_lines(void **unused) {
	(void)unused;
	static const struct line_case cases[] = {
		{"tcp://a *", "tcp://a", ""},
		{"tcp://a *\n", "tcp://a", ""},
		{"tcp://a *\r\n", "tcp://a", ""},
		{"\n\r\n \t\n# tcp://no *\n  # no *\n\ttcp://a\t\t*  \n", "tcp://a", ""},
		{"tcp://a\n*\ntcp://b *\n", "tcp://b", ""},
		{"tcp://a * known", "tcp://a", "known "},
		{"tcp://a * known ", "tcp://a", "known "},
		{"tcp://a * known x y  z \r\n", "tcp://a", "known x y  z"},
		{"tcp://a * known   # no comment", "tcp://a", "known # no comment"},
		{"tcp://a name\ntcp://b *", "tcp://a", ""},
		{"", NULL, NULL},
		{"\n", NULL, NULL},
		{"tcp://a", NULL, NULL},
		{"tcp://a ", NULL, NULL},
		{"#", NULL, NULL},
	};
	set_expression("f");
	for(size_t i = 0; i < COUNT(cases); i++) {
		const struct ask ask = {.endpoint = "/"};
		write_text("routes/f", cases[i].text);
		expect_host(&ask, cases[i].host);
		struct fake_query query = query_for(&ask);
		if(cases[i].host) {
			assert_string_equal(query.framing, cases[i].framing);
			assert_string_equal(query.protocol, "");
			assert_null(query.answer.port);
		}
	}
}

static void test_line_with_nul_is_skipped(void **unused) {
	(void)unused;
	static const char text[] = "tcp://a\0 *\ntcp://b *\n";
	static const char end[] = "tcp://a *\0\ntcp://b *\n";
	static const char start[] = "\0tcp://a *\ntcp://b *\n";
	set_expression("f");
	write_bytes("routes/f", text, sizeof(text) - 1);
	expect_endpoint("/", "tcp://b");
	write_bytes("routes/f", end, sizeof(end) - 1);
	expect_endpoint("/", "tcp://b");
	write_bytes("routes/f", start, sizeof(start) - 1);
	expect_endpoint("/", "tcp://b");
}

/* An address that no peer can have: the log names the line. */
static void test_address(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/"};
	set_expression("f");
	write_text("routes/f", "# first\ntcp://bad *\n");
	struct fake_query query = query_for(&ask);
	assert_int_equal(query.state, FAKE_REFUSED);
	assert_int_equal(query.status, 502);
	assert_non_null(strstr(FAKE.log, "/routes/f:2: peer address \"tcp://bad\": must be"));
}

static void test_subprotocols(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		const char *offers;
		const char *host; /* NULL: 404 */
		const char *protocol;
	} cases[] = {
		{"tcp://a x\ntcp://b y\n", NULL, "tcp://a", ""},
		{"tcp://a x\ntcp://b y\n", "x", "tcp://a", "x"},
		{"tcp://a x\ntcp://b y\n", "y", "tcp://b", "y"},
		{"tcp://a x\ntcp://b y\n", "y, x", "tcp://a", "x"},
		{"tcp://a x\ntcp://b y\n", "z, w, y", "tcp://b", "y"},
		{"tcp://a x\ntcp://b y\n", "z", NULL, ""},
		{"tcp://a x\ntcp://b y\n", "X", NULL, ""},
		{"tcp://a x\ntcp://b y\n", "xx", NULL, ""},
		{"tcp://a x\ntcp://b *\n", "z, w", "tcp://b", "z"},
		{"tcp://a *\ntcp://b x\n", "z, x", "tcp://a", "z"},
		{"tcp://a x,y\n", "z, y, x", "tcp://a", "x"},
		{"tcp://a x,y\ntcp://b z\n", "z, y", "tcp://a", "y"},
		{"tcp://a ,x,,*\n", "z, x", "tcp://a", "x"},
		{"tcp://a ,x,,*\n", "z, w", "tcp://a", "z"},
		{"tcp://a ,\n", "z", NULL, ""},
	};
	set_expression("f");
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		ask.protocols = cases[i].offers;
		write_text("routes/f", cases[i].text);
		expect_host(&ask, cases[i].host);
		assert_string_equal(query_for(&ask).protocol, cases[i].protocol);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_line_with_nul_is_skipped),
		TEST(test_address),
		TEST(test_subprotocols),
	};
	return cmocka_run_group_tests_name("backend_file_line", tests, NULL, NULL);
}
