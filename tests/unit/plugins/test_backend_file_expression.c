/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend: the values of variables in its expressions.
 */
#include "plugins/backend_file_bench.h"

static void test_expressions_are_checked(void **unused) {
	(void)unused;
	static const char *const bad[] = {"", "/", "%", "a%", "100%x", "%%", "%foo%", "%endpoint",
		"%Endpoint%", "%cookie:%", "%header:%", "%query:%", "%query%", "%cookie%",
		"%endpoint%%", "..", "../x", "a/..", "a/../b", "%endpoint%/../x"};
	static const char *const good[] = {"a", "/a/b", "%endpoint%", "x-%endpoint%-y/z",
		"%cookie:a%%header:B%", "a..b/..c", "%header:X-Y%/%endpoint%/d"};
	const struct file *state = fake.state;
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_int_not_equal(set_expression(bad[i]), 0);
	}
	assert_int_equal(state->expressions, 0);
	for(size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(set_expression(good[i]), 0);
	}
	assert_int_equal(state->expressions, COUNT(good));
}

static void test_endpoint(void **unused) {
	(void)unused;
	set_expression("%endpoint%");
	write_text("routes/chat", "tcp://chat *\n");
	write_text("routes/a_b", "tcp://ab *\n");
	write_text("routes/_b", "tcp://b *\n");
	write_text("routes/a%62", "tcp://twice *\n");
	expect_endpoint("/chat", "tcp://chat");
	expect_endpoint("///chat", "tcp://chat");
	expect_endpoint("/chat?room=1", "tcp://chat");
	expect_endpoint("/chat?/../x", "tcp://chat");
	expect_endpoint("/%63hat", "tcp://chat");
	expect_endpoint("/a/b", "tcp://ab");
	expect_endpoint("/a%2Fb", "tcp://ab");
	expect_endpoint("/a%2fb", "tcp://ab");
	expect_endpoint("/%2Fb", "tcp://b");
	expect_endpoint("/a%2562", "tcp://twice");
	expect_endpoint("/chat/", "tcp://chat");
	expect_endpoint("/chat//?room=1", "tcp://chat");
	expect_endpoint("//a//", NULL);
	expect_endpoint("/Chat", NULL);
	expect_endpoint("/none", NULL);
	expect_endpoint("/", NULL);
	expect_endpoint("", NULL);
	expect_endpoint("/?chat", NULL);
	expect_endpoint("/chat%", NULL);
	expect_endpoint("/chat%2", NULL);
	expect_endpoint("/chat%zz", NULL);
	expect_endpoint("/chat%00", NULL);
	expect_endpoint("/chat%00.txt", NULL);
}

static void test_query(void **unused) {
	(void)unused;
	set_expression("%query:token%");
	write_text("routes/vm1", "tcp://vm1 *\n");
	write_text("routes/a_b", "tcp://ab *\n");
	write_text("routes/a%62", "tcp://twice *\n");
	write_text("routes/a+b", "tcp://plus *\n");
	expect_endpoint("/websockify?token=vm1", "tcp://vm1");
	expect_endpoint("/?token=vm1", "tcp://vm1");
	expect_endpoint("/?a=b&token=vm1&c", "tcp://vm1");
	expect_endpoint("/?xtoken=a&token=vm1", "tcp://vm1");
	expect_endpoint("/?token=vm1&token=a_b", "tcp://vm1");
	expect_endpoint("/?token=%76m1", "tcp://vm1");
	expect_endpoint("/?token=a%2fb", "tcp://ab");
	expect_endpoint("/?token=a/b", "tcp://ab");
	expect_endpoint("/?token=a%2562", "tcp://twice");
	expect_endpoint("/?token=a+b", "tcp://plus");
	static const char *const none[] = {"/", "/vm1", "/?", "/?token",
		"/?token=", "/?token=&token=vm1", "/?Token=vm1", "/?tok%65n=vm1", "/?token=vm2",
		"/?token=vm1%00", "/?token=%2e./vm1", "/?token=../routes/vm1", "/?token=.vm1",
		"/?token=vm1%", "/?token=%zz", "/?token=/vm1", "/?vm1", "/?&&", "/?token=vm1?"};
	for(size_t i = 0; i < COUNT(none); i++) {
		expect_endpoint(none[i], NULL);
	}
}

/* Each of these would find a file if a rule were missing. */
static void test_traversal(void **unused) {
	(void)unused;
	char from[PATH_MAX];
	char to[PATH_MAX];
	set_expression("%endpoint%");
	set_expression("%header:X%/secret");
	set_expression("sub/%header:X%");
	set_expression("%cookie:c%");
	write_text("routes/.hidden", "tcp://hidden *\n");
	assert_int_equal(mkdir(in_root("routes/sub", from), 0700), 0);
	assert_int_equal(symlink("../secret", in_root("routes/out", from)), 0);
	assert_int_equal(symlink(in_root("secret", to), in_root("routes/absolute", from)), 0);
	assert_int_equal(symlink("..", in_root("routes/parent", from)), 0);
	assert_int_equal(symlink("/proc/self/root", in_root("routes/magic", from)), 0);
	static const char *const values[] = {"..", ".", "../secret", "..%2fsecret",
		"%2e%2e%2fsecret", "%2e%2e/secret", ".hidden", "%2ehidden", "out", "absolute",
		"magic", "parent", "", "parent/secret", "sub", "sub/../../secret", "secret"};
	for(size_t i = 0; i < COUNT(values); i++) {
		char endpoint[64];
		char cookie[64];
		char *value = strdup(values[i]);
		snprintf(endpoint, sizeof(endpoint), "/%s", values[i]);
		snprintf(cookie, sizeof(cookie), "c=%s", values[i]);
		const struct ask ask = {
			.endpoint = endpoint, .field = {"X", value, "Cookie", cookie}};
		expect_host(&ask, NULL);
		free(value);
	}
	expect_endpoint(in_root("secret", to), NULL);
}

static void test_headers(void **unused) {
	(void)unused;
	set_expression("user-%header:X-User%");
	write_text("routes/user-ann", "tcp://ann *\n");
	write_text("routes/user-a_b", "tcp://ab *\n");
	write_text("routes/user-50%25", "tcp://raw *\n");
	static const struct {
		const char *field[8];
		const char *host;
	} cases[] = {
		{{"X-User", "ann"}, "tcp://ann"},
		{{"x-uSER", "ann"}, "tcp://ann"},
		{{"X-Use", "no", "X-Users", "no", "x-user", "ann"}, "tcp://ann"},
		{{"X-User", "ann", "X-User", "bob"}, "tcp://ann"},
		{{"X-User", "bob", "X-User", "ann"}, NULL},
		{{"X-User", "a/b"}, "tcp://ab"},
		{{"X-User", "50%25"}, "tcp://raw"},
		{{"X-User", "%61nn"}, NULL},
		{{"X-User", ""}, NULL},
		{{"X-User", ".ann"}, NULL},
		{{"Cookie", "X-User=ann"}, NULL},
		{{NULL}, NULL},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.field, cases[i].field, sizeof(ask.field));
		expect_host(&ask, cases[i].host);
	}
}

static void test_cookies(void **unused) {
	(void)unused;
	set_expression("%cookie:id%");
	write_text("routes/one", "tcp://one *\n");
	write_text("routes/\"one\"", "tcp://quoted *\n");
	write_text("routes/a=b", "tcp://equals *\n");
	static const struct {
		const char *field[8];
		const char *host;
	} cases[] = {
		{{"Cookie", "id=one"}, "tcp://one"},
		{{"cookie", "id=one"}, "tcp://one"},
		{{"Cookie", "a=b; id=one; c=d"}, "tcp://one"},
		{{"Cookie", "a=b;id=one"}, "tcp://one"},
		{{"Cookie", " ;; id= one \t; "}, "tcp://one"},
		{{"Cookie", "id=\"one\""}, "tcp://quoted"},
		{{"Cookie", "id=a=b"}, "tcp://equals"},
		{{"Cookie", "id=one; id=two"}, "tcp://one"},
		{{"Cookie", "id=two; id=one"}, NULL},
		{{"Cookie", "a=b", "X", "y", "Cookie", "id=one"}, "tcp://one"},
		{{"Cookie", "ID=one"}, NULL},
		{{"Cookie", "sid=one"}, NULL},
		{{"Cookie", "idx=one"}, NULL},
		{{"Cookie", "x=id=one"}, NULL},
		{{"Cookie", "idxone"}, NULL},
		{{"Cookie", "id"}, NULL},
		{{"Cookie", "id="}, NULL},
		{{"Cookie", "id= ; a=one"}, NULL},
		{{"Cookie", "id=../one"}, NULL},
		{{"Cookie", ""}, NULL},
		{{"X-Cookie", "id=one"}, NULL},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.field, cases[i].field, sizeof(ask.field));
		expect_host(&ask, cases[i].host);
	}
}

static void test_long_values(void **unused) {
	(void)unused;
	set_expression("%endpoint%");
	char *endpoint = malloc(3 * PATH_MAX);
	for(size_t len = PATH_MAX - 4; len < PATH_MAX + 4; len++) {
		memset(endpoint, 'a', len);
		endpoint[0] = '/';
		endpoint[len] = 0;
		expect_endpoint(endpoint, NULL);
	}
	memset(endpoint, 'a', 3 * PATH_MAX);
	endpoint[0] = '/';
	endpoint[3 * PATH_MAX - 1] = 0;
	expect_endpoint(endpoint, NULL);
	free(endpoint);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_expressions_are_checked),
		TEST(test_endpoint),
		TEST(test_query),
		TEST(test_traversal),
		TEST(test_headers),
		TEST(test_cookies),
		TEST(test_long_values),
	};
	return cmocka_run_group_tests_name("backend_file_expression", tests, NULL, NULL);
}
