/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts that backends share: replies that name a peer, addresses of servers, times.
 */
#include "fake_core.h"

#include "plugins/common/duration.c"
#include "plugins/common/json.c"
#include "plugins/common/json_steps.c"
#include "plugins/common/reply.c"
#include "plugins/common/server.c"
#include "plugins/common/target.c"

struct text_case {
	const char *text, *expected; /* NULL: invalid */
};

/* ---- replies ---- */

static const struct text_case replies[] = {
	{"10.0.0.1:5900", "tcp://10.0.0.1:5900"},
	{" vm-1.example.org:22\r\n", "tcp://vm-1.example.org:22"},
	{"[2001:db8::1]:22", "tcp://[2001:db8::1]:22"},
	{"2001:db8::1:22", "tcp://[2001:db8::1]:22"},
	{"tls://db:5432?sni=x", "tls://db:5432?sni=x"},
	{"unix:///run/x", "unix:///run/x"},
	{"unix_socket:/run/x", "unix:///run/x"},
	{"{\"host\":\"10.0.0.1:5900\"}", "tcp://10.0.0.1:5900"},
	{"{\"host\":\"a\",\"port\":5900}", "tcp://a:5900"},
	{" { \"port\" : \"22\", \"host\" : \"::1\" } ", "tcp://[::1]:22"},
	{"{\"host\":\"[::1]\",\"port\":65535}", "tcp://[::1]:65535"},
	{"{\"peer\":\"tls://a:1\",\"host\":\"b:2\"}", "tls://a:1"},
	{"{\"host\":\"tls://a:1\"}", "tls://a:1"},
	{"", NULL},
	{" \n", NULL},
	{"host", NULL},
	{":22", NULL},
	{"host:", NULL},
	{"host:0", NULL},
	{"host:65536", NULL},
	{"host:000022", NULL},
	{"host:22x", NULL},
	{"host: 22", NULL},
	{"host?ca=x:22", NULL},
	{"a/b:22", NULL},
	{"a@b:22", NULL},
	{"[a]:22", NULL},
	{"[]:22", NULL},
	{"[::1:22", NULL},
	{"a:22\nb:23", NULL},
	{"tcp://a b:22", NULL},
	{"tcp://a:22\x7f", NULL},
	{"{", NULL},
	{"{}", NULL},
	{"{\"host\":\"a\"}", NULL},
	{"{\"host\":\"a\",\"port\":0}", NULL},
	{"{\"host\":\"a\",\"port\":65536}", NULL},
	{"{\"host\":\"a\",\"port\":-1}", NULL},
	{"{\"host\":\"a\",\"port\":null}", NULL},
	{"{\"host\":\"a?b\",\"port\":1}", NULL},
	{"{\"host\":\"a\\u0000\",\"port\":1}", NULL},
	{"{\"host\":\"tcp://a\\n:1\"}", NULL},
	{"{\"host\":1,\"port\":1}", NULL},
	{"{\"port\":1}", NULL},
	{"[\"a:1\"]", NULL},
	{"\"a:1\"", NULL},
	{"<html>", NULL},
};

static void test_replies(void **state) {
	char peer[TARGET_MAX];
	(void)state;
	for(size_t i = 0; i < COUNT(replies); i++) {
		struct guard guard = guard_new(replies[i].text, strlen(replies[i].text));
		bool found = reply_to_peer(
			&fake_core, (char *)guard.data, strlen(replies[i].text), peer);
		assert_int_equal(found, replies[i].expected != NULL);
		if(found) {
			assert_string_equal(peer, replies[i].expected);
		}
		guard_free(&guard);
	}
	assert_false(reply_to_peer(&fake_core, "a:1\0b", 5, peer));
}

static void test_long_replies(void **state) {
	char peer[TARGET_MAX];
	char text[(4 * TARGET_MAX)];
	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text + sizeof(text) - 2, ":1", 2);
	for(size_t len = 3; len < sizeof(text); len++) {
		bool found = reply_to_peer(&fake_core, text + sizeof(text) - len, len, peer);
		assert_int_equal(found, len + strlen("tcp://") < TARGET_MAX);
	}
	memcpy(text, "tcp://", 6);
	for(size_t len = TARGET_MAX - 8; len < TARGET_MAX + 8; len++) {
		assert_int_equal(reply_to_peer(&fake_core, text, len, peer), len < TARGET_MAX);
	}
}

/* ---- servers ---- */

static const struct text_case servers[] = {
	{"a", "tls://a:443"},
	{"a:1", "tls://a:1"},
	{"10.0.0.1", "tls://10.0.0.1:443"},
	{"[::1]", "tls://[::1]:443"},
	{"[::1]:8443", "tls://[::1]:8443"},
	{"", NULL},
	{":1", NULL},
	{"a:", NULL},
	{"a:b", NULL},
	{"a:1x", NULL},
	{"::1", NULL},
	{"[]", NULL},
	{"[::1", NULL},
	{"[::1]x", NULL},
	{"u@a", NULL},
	{"a b", NULL},
	{"a/b", NULL},
};

static void test_servers(void **state) {
	char out[SERVER_MAX];
	(void)state;
	for(size_t i = 0; i < COUNT(servers); i++) {
		struct guard guard = guard_new(servers[i].text, strlen(servers[i].text));
		bool valid = server_address(
			out, "tls", (char *)guard.data, strlen(servers[i].text), "443");
		assert_int_equal(valid, servers[i].expected != NULL);
		if(valid) {
			assert_string_equal(out, servers[i].expected);
		}
		guard_free(&guard);
	}
}

/* ---- times ---- */

struct time_case {
	const char *text;
	int64_t ms; /* -1: invalid */
};

static const struct time_case times[] = {
	{"0", 0},
	{"1", 1000},
	{"10s", 10000},
	{"500ms", 500},
	{"2.5", 2500},
	{"0.125s", 125},
	{"5m", 300000},
	{"24h", 86400000},
	{"0.5h", 1800000},
	{"24.001h", -1},
	{"25h", -1},
	{"1.5ms", -1},
	{"", -1},
	{"s", -1},
	{"-1", -1},
	{"1 s", -1},
	{"1d", -1},
	{"1.", -1},
	{"1.0001", -1},
	{".5", -1},
	{"99999999999999999999", -1},
	{"1.5m", 90000},
};

static void test_times(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(times); i++) {
		uint64_t ms = 0;
		assert_int_equal(duration_parse(times[i].text, &ms), times[i].ms >= 0);
		if(times[i].ms >= 0) {
			assert_int_equal(ms, times[i].ms);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_long_replies),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
