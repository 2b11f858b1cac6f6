/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend: lines of its files.
 */
#include "plugins/backend_file_bench.h"

struct line_case {
	const char *text;
	const char *host;
	const char *config;
};

static void test_lines(void **unused) {
	(void)unused;
	static const struct line_case cases[] = {
		{"tcp://a *", "tcp://a", ""},
		{"tcp://a *\n", "tcp://a", ""},
		{"tcp://a *\r\n", "tcp://a", ""},
		{"\n\r\n \t\n# tcp://no *\n  # no *\n\ttcp://a\t\t*  \n", "tcp://a", ""},
		{"tcp://a\n*\ntcp://b *\n", "tcp://b", ""},
		{"tcp://a * known", "tcp://a", ""},
		{"tcp://a * known ", "tcp://a", ""},
		{"tcp://a * known x y  z \r\n", "tcp://a", "x y  z"},
		{"tcp://a * known   # no comment", "tcp://a", "# no comment"},
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
		ws_peer_info peer = query_for(&ask);
		if(cases[i].host) {
			assert_string_equal(peer.framing_config, cases[i].config);
			assert_null(peer.port);
			assert_int_equal(peer.transport, peer_transport_detect);
		}
		peer_free(&peer);
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

static void test_framing(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/"};
	set_expression("f");
	set_expression("fallback");
	write_text("routes/fallback", "tcp://fallback *\n");
	write_text("routes/f", "tcp://a * known lf\n");
	ws_peer_info peer = query_for(&ask);
	assert_ptr_equal(peer.framing, fake_decode);
	peer_free(&peer);
	write_text("routes/f", "tcp://a *\n");
	peer = query_for(&ask);
	assert_null(peer.framing);
	peer_free(&peer);
	write_text("routes/f", "tcp://a * unknown\ntcp://b *\n");
	peer = query_for(&ask);
	assert_null(peer.host);
	assert_int_equal(fake.status, 500);
	assert_non_null(strstr(fake.message, "framing"));
}

static void test_subprotocols(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		char *offer[4];
		const char *host; /* NULL: 404 */
		size_t protocol;
	} cases[] = {
		{"tcp://a x\ntcp://b y\n", {0}, "tcp://a", 0},
		{"tcp://a x\ntcp://b y\n", {"x"}, "tcp://a", 0},
		{"tcp://a x\ntcp://b y\n", {"y"}, "tcp://b", 0},
		{"tcp://a x\ntcp://b y\n", {"y", "x"}, "tcp://a", 1},
		{"tcp://a x\ntcp://b y\n", {"z", "w", "y"}, "tcp://b", 2},
		{"tcp://a x\ntcp://b y\n", {"z"}, NULL, 0},
		{"tcp://a x\ntcp://b y\n", {"X"}, NULL, 0},
		{"tcp://a x\ntcp://b y\n", {"xx"}, NULL, 0},
		{"tcp://a x\ntcp://b *\n", {"z", "w"}, "tcp://b", 0},
		{"tcp://a *\ntcp://b x\n", {"z", "x"}, "tcp://a", 0},
		{"tcp://a x,y\n", {"z", "y", "x"}, "tcp://a", 2},
		{"tcp://a x,y\ntcp://b z\n", {"z", "y"}, "tcp://a", 1},
		{"tcp://a x,y\ntcp://b z\n", {"z", "x,y"}, "tcp://b", 0},
		{"tcp://a ,x,,*\n", {"z", "x"}, "tcp://a", 1},
		{"tcp://a ,x,,*\n", {"z", "w"}, "tcp://a", 0},
		{"tcp://a ,\n", {"z"}, NULL, 0},
	};
	set_expression("f");
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.protocol, cases[i].offer, sizeof(ask.protocol));
		write_text("routes/f", cases[i].text);
		expect_host(&ask, cases[i].host);
		ws_peer_info peer = query_for(&ask);
		assert_int_equal(peer.protocol, cases[i].protocol);
		peer_free(&peer);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_line_with_nul_is_skipped),
		TEST(test_framing),
		TEST(test_subprotocols),
	};
	return cmocka_run_group_tests_name("backend_file_line", tests, NULL, NULL);
}
