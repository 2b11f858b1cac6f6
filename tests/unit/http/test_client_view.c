/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_view.c: scheme, host and port of requests, with and without a trusted reverse proxy.
 */
#include "addresses.h"
#include "support.h"

#include "http/client_view.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Trusted is 10.0.0.0/8. */
static const struct view_case {
	const char *fields;
	bool tls;
	const char *shown; /* scheme, host, port; from a trusted proxy */
	const char *direct; /* the same from anyone else; NULL: equal */
} view_cases[] = {
	{"Host: a.example\r\n", false, "http a.example 80", NULL},
	{"Host: a.example\r\n", true, "https a.example 443", NULL},
	{"Host: a.example:8443\r\n", true, "https a.example 8443", NULL},
	{"Host: a.example:\r\n", false, "http a.example 80", NULL},
	{"Host: a.example.\r\n", false, "http a.example. 80", NULL},
	{"Host: 192.0.2.1:81\r\n", false, "http 192.0.2.1 81", NULL},
	{"Host: [2001:db8::1]\r\n", false, "http [2001:db8::1] 80", NULL},
	{"Host: [2001:db8::1]:81\r\n", false, "http [2001:db8::1] 81", NULL},
	{"Host: a\r\nX-Forwarded-Proto: https\r\n", false, "https a 443", "http a 80"},
	{"Host: a\r\nX-Forwarded-Proto: WSS\r\n", false, "https a 443", "http a 80"},
	{"Host: a\r\nX-Forwarded-Proto: http\r\n", true, "http a 80", "https a 443"},
	{"Host: a\r\nX-Forwarded-Proto: http, https\r\n", false, "https a 443", "http a 80"},
	{"Host: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n", false, "https a 443",
		"http a 80"},
	{"Host: a\r\nX-Forwarded-Proto: ftp\r\n", true, "https a 443", NULL},
	{"Host: a\r\nX-Forwarded-Proto:\r\n", true, "https a 443", NULL},
	{"Host: a\r\nForwarded: for=192.0.2.1;proto=https\r\n", false, "https a 443", "http a 80"},
	{"Host: a\r\nForwarded: proto=\"https\"\r\n", false, "https a 443", "http a 80"},
	{"Host: a\r\nForwarded: for=192.0.2.1;proto=https, for=10.0.0.1;proto=http\r\n", false,
		"https a 443", "http a 80"},
	{"Host: a\r\nForwarded: for=6.6.6.6;proto=https, for=192.0.2.1;proto=http\r\n", false,
		"http a 80", NULL},
	{"Host: a\r\nForwarded: proto=https;proto=http\r\n", false, "http a 80", NULL},
	{"Host: a\r\nForwarded: proto=https\r\nX-Forwarded-Proto: http\r\n", false, "http a 80",
		NULL},
	{"Host: a\r\nForwarded: proto=http\r\nX-Forwarded-Proto: https\r\n", true, "https a 443",
		NULL},
	{"Host: a\r\nForwarded: for=192.0.2.1\r\nX-Forwarded-Proto: https\r\n", false,
		"https a 443", "http a 80"},
	{"Host: a:8001\r\nX-Forwarded-Host: b.example:81\r\n", false, "http b.example 81",
		"http a 8001"},
	{"Host: a:8001\r\nX-Forwarded-Host: b.example\r\n", false, "http b.example 80",
		"http a 8001"},
	{"Host: a:8001\r\nX-Forwarded-Host: x, b.example\r\n", false, "http b.example 80",
		"http a 8001"},
	{"Host: a\r\nX-Forwarded-Port: 8443\r\nX-Forwarded-Proto: https\r\n", false, "https a 8443",
		"http a 80"},
	{"Host: a:81\r\nX-Forwarded-Port: 8443\r\n", false, "http a 81", NULL},
	{"Host: a\r\nX-Forwarded-Port: 0\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Port: 65536\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Port: x\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Host: b c\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Host: b/../c\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Host: b:0\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Host: b:x\r\n", false, "http a 80", NULL},
	{"Host: a\r\nX-Forwarded-Host: [::1]x\r\n", false, "http a 80", NULL},
	{"Host: a\r\nForwarded: host=b.example\r\n", false, "http b.example 80", "http a 80"},
	{"Host: a\r\nForwarded: host=\"b.example:81\"\r\n", false, "http b.example 81",
		"http a 80"},
	{"Host: a\r\nForwarded: host=b.example:81\r\n", false, "http b.example 81", "http a 80"},
	{"Host: a\r\nForwarded: host=b\r\nX-Forwarded-Host: c\r\n", false, "http b 80",
		"http a 80"},
};

static void check(const char *shown, const struct request *request, bool tls,
	const struct cidr_list *trusted) {
	struct client_view view;
	char text[256];
	client_view_read(&view, request, tls, trusted);
	snprintf(text, sizeof(text), "%s %.*s %u", view.https ? "https" : "http",
		(int)view.host.len, view.host.at ? view.host.at : "", client_view_port(&view));
	assert_string_equal(text, shown);
	assert_true(trusted || !view.told);
	assert_true(view.told || view.https == tls);
}

static void test_views(void **state) {
	struct cidr network;
	const char *why;
	(void)state;
	assert_int_equal(cidr_parse("10.0.0.0/8", &network, &why), 0);
	struct cidr_list trusted = {&network, 1};
	for(size_t i = 0; i < COUNT(view_cases); i++) {
		const struct view_case *row = &view_cases[i];
		struct request request;
		struct request_error error;
		char head[512];
		size_t scanned = 0;
		size_t used;
		int len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n%s\r\n", row->fields);
		assert_int_equal(
			request_parse(head, (size_t)len, &scanned, &request, &used, &error),
			REQUEST_DONE);
		check(row->shown, &request, row->tls, &trusted);
		check(row->direct ? row->direct : row->shown, &request, row->tls, NULL);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
