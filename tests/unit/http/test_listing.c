/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listings of directories.
 */
#include "http/site_bench.h"

/* Off, then on: what is listed, and that all traps stay what they are. */
static void test_listing(void **state) {
	const struct tree *tree = *state;
	int before = next_descriptor();
	struct answer answer = get(tree->site, "/empty/");
	assert_complete(&answer, 404);
	assert_int_equal(site_set_listing(tree->site, true), 0);
	answer = get(tree->site, "/sub/deep/");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "<a href=\"./file.txt\">file.txt</a>"));
	answer = get(tree->site, "/r%c3%a4%22%0a%3c/");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "&lt;/</title>"));
	answer = get(tree->site, "/");
	assert_non_null(strstr(answer.text, "start"));
	for(size_t i = 0; i < COUNT(traps); i++) {
		bool listed = strcmp(traps[i].target, "/empty/") == 0;
		assert_true(listed || yields_nothing(tree->site, traps[i].target, traps[i].len));
	}
	assert_int_equal(site_set_listing(tree->site, false), 0);
	assert_int_equal(next_descriptor(), before);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listing),
	};
	return cmocka_run_group_tests_name("listing", tests, set_up, tear_down);
}
