/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Header fields of responses with files.
 */
#include "http/site_bench.h"

static void test_last_modified(void **state) {
	const struct tree *tree = *state;
	const struct timespec known[2] = {{.tv_sec = KNOWN_TIME}, {.tv_sec = KNOWN_TIME}};
	const struct timespec future[2] = {{.tv_sec = 4102444800}, {.tv_sec = 4102444800}};
	char path[256];
	char date[64];
	snprintf(path, sizeof(path), "%s/page.html", tree->root);
	assert_int_equal(utimensat(AT_FDCWD, path, known, 0), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_field(&answer, "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(utimensat(AT_FDCWD, path, future, 0), 0);
	answer = get(tree->site, "/page.html");
	assert_field(&answer, "Last-Modified", field(&answer, "Date", date, sizeof(date)));
}

/* A configured field replaces the default of its name; that of a listing is not loosened. */
static void test_configured_fields(void **state) {
	static char *headers[] = {"X-Own: 1", "cache-control: max-age=9",
		"Content-Security-Policy: script-src 'self'"};
	static char *sites[] = {"self", "https://*.example.com:8443"};
	const struct tree *tree = *state;
	assert_int_equal(
		site_set_fields(tree->site, (struct page_fields_values){headers, COUNT(headers)},
			(struct page_fields_values){sites, COUNT(sites)}),
		0);
	assert_int_equal(site_set_listing(tree->site, true), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_complete(&answer, 200);
	assert_field(&answer, "X-Own", "1");
	assert_field(&answer, "cache-control", "max-age=9");
	assert_field(&answer, "Cache-Control", "");
	assert_field(&answer, "Content-Security-Policy", "script-src 'self'");
	answer = get(tree->site, "/sub/deep/");
	assert_complete(&answer, 200);
	assert_field(&answer, "Content-Security-Policy",
		"default-src 'none'; frame-ancestors 'self' https://*.example.com:8443");
	assert_int_equal(site_set_fields(tree->site, (struct page_fields_values){0},
				 (struct page_fields_values){sites, 1}),
		0);
	answer = get(tree->site, "/page.html");
	assert_field(&answer, "Content-Security-Policy", "frame-ancestors 'self'");
	assert_field(&answer, "Cache-Control", "no-cache");
	assert_int_equal(site_set_listing(tree->site, false), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_modified),
		cmocka_unit_test(test_configured_fields),
	};
	return cmocka_run_group_tests_name("site_head", tests, set_up, tear_down);
}
