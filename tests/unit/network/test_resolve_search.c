/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The names that a host may stand for.
 */
#include "network/resolve_search.h"

#include "support.h"

#include <errno.h>

/* All names of the host, separated by spaces. */
static void assert_names(
	const struct resolve_search *search, const char *host, const char *expected) {
	char all[1024] = "";
	char name[RESOLVE_NAME_MAX];
	int result;
	for(size_t i = 0; (result = resolve_search_name(search, host, i, name)) != -ENOENT; i++) {
		assert_true(i <= search->domains);
		strcat(all, i ? " " : "");
		strcat(all, result ? "-" : name);
	}
	assert_string_equal(all, expected);
}

static void test_names(void **state) {
	char *domains[] = {"one.test", ".", "two.test.", ""};
	struct resolve_search search;
	(void)state;
	assert_int_equal(resolve_search_set(&search, 4, domains, 1), 0);
	assert_int_equal(search.domains, 2);
	assert_names(&search, "db", "db.one.test. db.two.test. db.");
	assert_names(&search, "db.", "db.");
	assert_names(
		&search, "db.example", "db.example. db.example.one.test. db.example.two.test.");
	assert_names(&search, "db.example.", "db.example.");
	search.ndots = 2;
	assert_names(
		&search, "db.example", "db.example.one.test. db.example.two.test. db.example.");
	search.ndots = 0;
	assert_names(&search, "db", "db. db.one.test. db.two.test.");
	resolve_search_free(&search);
}

static void test_without_domains(void **state) {
	struct resolve_search search;
	(void)state;
	assert_int_equal(resolve_search_set(&search, 0, NULL, 1), 0);
	assert_names(&search, "db", "db.");
	assert_names(&search, "db.example.test", "db.example.test.");
	assert_names(&search, "db.", "db.");
	resolve_search_free(&search);
}

/* Names that are too long are left out, without an effect on the others. */
static void test_long_names(void **state) {
	char *domains[] = {"a.long.domain.test"};
	char host[RESOLVE_NAME_MAX];
	struct resolve_search search;
	(void)state;
	assert_int_equal(resolve_search_set(&search, 1, domains, 1), 0);
	memset(host, 'a', sizeof(host));
	host[RESOLVE_NAME_MAX - 2] = '\0';
	char expected[RESOLVE_NAME_MAX + 3];
	snprintf(expected, sizeof(expected), "- %s.", host);
	assert_names(&search, host, expected);
	resolve_search_free(&search);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_without_domains),
		cmocka_unit_test(test_long_names),
	};
	return cmocka_run_group_tests_name("resolve_search", tests, NULL, NULL);
}
