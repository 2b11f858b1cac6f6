/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sites: a directory, a single file, none; redirects; errors when they are opened.
 */
#include "http/site_bench.h"

static void test_files(void **state) {
	const struct tree *tree = *state;
	int before = next_descriptor();
	for(size_t i = 0; i < COUNT(files); i++) {
		struct answer answer = get(tree->site, files[i].target);
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, files[i].body);
		assert_field(&answer, "Content-Type", files[i].type);
		assert_field(&answer, "Referrer-Policy", "no-referrer");
		assert_field(&answer, "Cache-Control", "no-cache");
		struct answer head =
			ask(tree->site, "HEAD", files[i].target, strlen(files[i].target));
		char length[32];
		assert_int_equal(head.status, 200);
		assert_false(head.has_file);
		assert_int_equal(head.len, head.head_len);
		assert_field(&head, "Content-Length",
			field(&answer, "Content-Length", length, sizeof(length)));
	}
	assert_int_equal(next_descriptor(), before);
}

static const struct {
	const char *target;
	const char *location;
} redirects[] = {
	{"/sub", "sub/"},
	{"/sub?a=b&c", "sub/?a=b&c"},
	{"/s%75b", "sub/"},
	{"/sub%2fdeep", "sub/deep/"},
	{"/sub/deep", "deep/"},
	{"/inside-dir", "inside-dir/"},
	{"/empty", "empty/"},
	{"/\\evil.example", "%5Cevil.example/"},
	{"/%5cevil.example", "%5Cevil.example/"},
	{"/r%c3%a4%22%0a%3c", "r%C3%A4%22%0A%3C/"},
	{"/.well-known", ".well-known/"},
};

static void test_redirects(void **state) {
	const struct tree *tree = *state;
	char target[4096];
	for(size_t i = 0; i < COUNT(redirects); i++) {
		struct answer answer = get(tree->site, redirects[i].target);
		assert_complete(&answer, 301);
		assert_field(&answer, "Location", redirects[i].location);
	}
	for(size_t len = 5; len < sizeof(target); len++) {
		memcpy(target, "/sub?", 5);
		memset(target + 5, 'q', len - 5);
		struct answer answer = ask(tree->site, "GET", target, len);
		assert_complete(&answer, len < 1024 ? 301 : answer.status);
		assert_true(answer.status == 301 || (answer.status == 414 && len >= 1024));
		if(answer.status == 301) { /* whole, or not at all */
			char location[SITE_HEAD_MAX];
			assert_int_equal(
				strlen(field(&answer, "Location", location, sizeof(location))),
				len);
		}
	}
}

static void test_methods(void **state) {
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE",
		"CONNECT", "get", "head", "GETX", "GE", "HEADER", "PRI"};
	const struct tree *tree = *state;
	const struct site *sites[] = {NULL, tree->site};
	for(size_t i = 0; i < COUNT(methods) * COUNT(sites); i++) {
		struct answer answer = ask(sites[i % 2], methods[i / 2], "/page.html", 10);
		assert_complete(&answer, 405);
		assert_field(&answer, "Allow", "GET, HEAD");
	}
}

static void test_no_site(void **state) {
	static const char *const targets[] = {"/", "/x", "*", "/%", "/../secret.txt"};
	(void)state;
	for(size_t i = 0; i < COUNT(targets); i++) {
		struct answer answer = get(NULL, targets[i]);
		assert_complete(&answer, 426);
		assert_field(&answer, "Upgrade", "websocket");
		assert_field(&answer, "Sec-WebSocket-Version", "13");
		assert_non_null(strstr(answer.text, "\r\nConnection: Upgrade\r\n"));
		assert_field(&answer, "Content-Type", "text/plain; charset=utf-8");
		const char *body = answer.text + answer.head_len;
		assert_ptr_equal(strchr(body, '\n'), body + strlen(body) - 1); /* one line */
		struct answer head = ask(NULL, "HEAD", targets[i], strlen(targets[i]));
		assert_int_equal(head.status, 426);
		assert_int_equal(head.len, head.head_len);
	}
}

/* One file as the site: an edit shows, also when the editor writes a new file and renames it. */
static void test_single_file(void **state) {
	const struct tree *tree = *state;
	struct site *site;
	const char *error = NULL;
	char path[256];
	char other[256];
	put(tree, "single.html", "first");
	snprintf(path, sizeof(path), "%s/single.html", tree->base);
	snprintf(other, sizeof(other), "%s/other", tree->base);
	assert_int_equal(site_open(path, &site, &error), 0);
	assert_true(all_yield_nothing(site));
	static const char *const missing[] = {
		"/single.html", "/index.html", "/page.html", "/secret.txt"};
	for(size_t i = 0; i < COUNT(missing); i++) {
		assert_true(yields_nothing(site, missing[i], strlen(missing[i])));
	}
	struct answer answer = get(site, "/?query");
	assert_complete(&answer, 200);
	assert_field(&answer, "Content-Type", "text/html; charset=utf-8");
	assert_string_equal(answer.text + answer.head_len, "first");
	put(tree, "other", "second");
	assert_int_equal(rename(other, path), 0);
	answer = get(site, "/");
	assert_string_equal(answer.text + answer.head_len, "second");
	assert_int_equal(unlink(path), 0);
	assert_true(yields_nothing(site, TEXT("/")));
	assert_int_equal(mkfifo(path, 0666), 0);
	assert_true(yields_nothing(site, TEXT("/")));
	assert_int_equal(unlink(path), 0);
	site_close(site);
}

/* A relative path means the working directory of the start. */
static void test_relative_path(void **state) {
	static const char *const paths[] = {"root", "./root/", "root/page.html", "root/inside"};
	static const char *const bodies[] = {"<h1>start</h1>", "<h1>start</h1>", "page", "page"};
	const struct tree *tree = *state;
	int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for(size_t i = 0; i < COUNT(paths); i++) {
		struct site *site;
		const char *error = NULL;
		assert_int_equal(chdir(tree->base), 0);
		assert_int_equal(site_open(paths[i], &site, &error), 0);
		assert_int_equal(chdir("/"), 0);
		struct answer answer = get(site, "/");
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, bodies[i]);
		site_close(site);
	}
	assert_int_equal(fchdir(before), 0);
	close(before);
}

static void test_open_errors(void **state) {
	static const struct {
		const char *name;
		int result;
	} cases[] = {
		{"nowhere", -ENOENT},
		{"nowhere/page.html", -ENOENT},
		{"root/page.html/", -ENOTDIR},
		{"root/dangling", -ENOENT},
		{"root/loop", -ELOOP},
		{"root/fifo", -EINVAL},
		{"root/socket", -EINVAL},
		{"root/etc/../dev/null", -EINVAL},
	};
	const struct tree *tree = *state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct site *site = tree->site;
		const char *error = NULL;
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", tree->base, cases[i].name);
		alarm(600);
		assert_int_equal(site_open(path, &site, &error), cases[i].result);
		alarm(0);
		assert_null(site);
		assert_non_null(error);
	}
	struct site *site;
	const char *error = NULL;
	assert_int_equal(site_open("", &site, &error), -ENOENT);
	site_close(NULL);
}

/* An absolute form may have a query and no path (RFC 9110, 4.2.3). */
static void test_empty_path(void **state) {
	const struct tree *tree = *state;
	struct answer answer = get(tree->site, "?/../secret.txt");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "start"));
}

/* RFC 8615: the one hidden name that is public; those in it are hidden as everywhere. */
static void test_well_known(void **state) {
	static const char *const hidden[] = {"/.well-known/.git", "/.well-known/../secret.txt",
		"/.well-known//token", "/sub/.well-known/token", "/.well-knownx",
		"/.well-known/.."};
	const struct tree *tree = *state;
	struct answer answer = get(tree->site, "/.well-known/token");
	assert_complete(&answer, 200);
	assert_string_equal(answer.text + answer.head_len, "public");
	for(size_t i = 0; i < COUNT(hidden); i++) {
		answer = get(tree->site, hidden[i]);
		assert_complete(&answer, 404);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_no_site),
		cmocka_unit_test(test_single_file),
		cmocka_unit_test(test_relative_path),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_empty_path),
		cmocka_unit_test(test_well_known),
	};
	return cmocka_run_group_tests_name("site", tests, set_up, tear_down);
}
