/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The environment of programs: the variables of CGI, and none that a client or the environment of
 * the daemon can forge.
 */
#include "support.h"

#include "http/cgi.h"

static const char head[] = "GET /a%20b/%2e?q=%20&x HTTP/1.1\r\n"
			   "Host: example.org\r\n"
			   "X-One: 1\r\n"
			   "x-one: 2\r\n"
			   "X_One: forged\r\n"
			   "X.One: forged\r\n"
			   "Proxy: p\r\n"
			   "Authorization: a\r\n"
			   "Proxy-Authorization: a\r\n"
			   "Cookie: c\r\n"
			   "Websocksy-User: root\r\n"
			   "Empty:\r\n"
			   "\r\n";

struct test {
	struct request request;
	struct client_view view;
	union address client;
	char **environment;
};

static void parse(struct test *test, const char *text) {
	struct request_error error;
	size_t scanned = 0, len;
	assert_int_equal(request_parse(text, strlen(text), &scanned, &test->request, &len, &error),
		REQUEST_DONE);
	client_view_read(&test->view, &test->request, false, NULL);
	assert_int_equal(address_parse_endpoint(text_slice("192.0.2.1:80"), &test->client), 0);
}

static void make(
	struct test *test, const char *user, const char *terminal, char *const *inherited) {
	struct cgi_request cgi = {.request = &test->request,
		.view = &test->view,
		.client = &test->client,
		.user = user,
		.software = "websocksy/1",
		.terminal = terminal};
	free(test->environment);
	test->environment = cgi_environment(&cgi, inherited);
	assert_non_null(test->environment);
}

/* The value of a variable that is there once; NULL: there is none. */
static const char *value(const struct test *test, const char *name) {
	const char *found = NULL;
	size_t len = strlen(name);
	for(size_t i = 0; test->environment[i]; i++) {
		const char *at = test->environment[i];
		if(strncmp(at, name, len) == 0 && at[len] == '=') {
			assert_null(found);
			found = at + len + 1;
		}
	}
	return found;
}

static void expect(const struct test *test, const char *name, const char *wanted) {
	const char *got = value(test, name);
	if(wanted) {
		assert_non_null(got);
		assert_string_equal(got, wanted);
	} else {
		assert_null(got);
	}
}

static char *nothing[] = {NULL};

static void test_variables(void **state) {
	struct test test = {0};
	(void)state;
	parse(&test, head);
	make(&test, "ann", NULL, nothing);
	static const char *const wanted[][2] = {{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/a%20b/%2e?q=%20&x"},
		{"SCRIPT_NAME", ""}, {"PATH_INFO", "/a b/."}, {"QUERY_STRING", "q=%20&x"},
		{"SERVER_NAME", "example.org"}, {"SERVER_PORT", "80"},
		{"SERVER_PROTOCOL", "HTTP/1.1"}, {"SERVER_SOFTWARE", "websocksy/1"},
		{"REMOTE_ADDR", "192.0.2.1"}, {"REMOTE_PORT", "80"}, {"REMOTE_USER", "ann"},
		{"AUTH_TYPE", "Basic"}, {"HTTPS", NULL}, {"TERM", NULL}, {"HTTP_X_ONE", "1, 2"},
		{"HTTP_EMPTY", ""}, {"HTTP_PROXY", NULL}, {"HTTP_AUTHORIZATION", NULL},
		{"HTTP_PROXY_AUTHORIZATION", NULL}, {"HTTP_COOKIE", NULL},
		{"HTTP_WEBSOCKSY_USER", NULL}, {"HTTP_HOST", "example.org"}};
	for(size_t i = 0; i < COUNT(wanted); i++) {
		expect(&test, wanted[i][0], wanted[i][1]);
	}
	free(test.environment);
}

static void test_inherited(void **state) {
	static char *inherited[] = {"PATH=/bin", "TERM=dumb", "HTTP_X=1", "REMOTE_USER=root",
		"HTTPS=on", "HTTPSX=1", "AUTH_TYPE=x", "NOVALUE", NULL};
	struct test test = {0};
	(void)state;
	parse(&test, head);
	make(&test, NULL, NULL, inherited);
	expect(&test, "PATH", "/bin");
	expect(&test, "TERM", "dumb");
	expect(&test, "HTTPSX", "1");
	expect(&test, "HTTP_X", NULL);
	expect(&test, "REMOTE_USER", NULL);
	expect(&test, "AUTH_TYPE", NULL);
	expect(&test, "HTTPS", NULL);
	test.view.https = true;
	make(&test, NULL, "xterm", inherited);
	expect(&test, "TERM", "xterm");
	expect(&test, "HTTPS", "on");
	free(test.environment);
}

static void test_paths_that_cannot_be_decoded(void **state) {
	static const char *const paths[] = {"/a%00b", "/a%zz", "/%"};
	struct test test = {0};
	(void)state;
	for(size_t i = 0; i < COUNT(paths); i++) {
		char text[64];
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", paths[i]);
		parse(&test, text);
		make(&test, NULL, NULL, nothing);
		expect(&test, "PATH_INFO", paths[i]);
		expect(&test, "QUERY_STRING", "");
	}
	free(test.environment);
}

static void test_unix_client_has_no_address(void **state) {
	struct test test = {0};
	(void)state;
	parse(&test, head);
	test.client = (union address){.any.sa_family = AF_UNIX};
	make(&test, NULL, NULL, nothing);
	expect(&test, "REMOTE_ADDR", "");
	expect(&test, "REMOTE_PORT", "");
	free(test.environment);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_paths_that_cannot_be_decoded),
		cmocka_unit_test(test_unix_client_has_no_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
