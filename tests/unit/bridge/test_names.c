/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts that connections share.
 */
#include "bridge/names.h"

#include "support.h"

static struct names names;

static bool is_empty(void) {
	for(size_t i = 0; i < NAMES_BUCKETS; i++) {
		if(names.bucket[i]) {
			return false;
		}
	}
	return true;
}

static void test_equal_texts_are_shared(void **state) {
	(void)state;
	const char *first = names_take(&names, "tcp://a", 7);
	const char *other = names_take(&names, "tcp://b", 7);
	const char *same = names_take(&names, "tcp://a", 7);
	assert_ptr_equal(first, same);
	assert_ptr_not_equal(first, other);
	assert_string_equal(first, "tcp://a");
	names_drop(first);
	assert_string_equal(same, "tcp://a");
	names_drop(same);
	names_drop(other);
	names_drop(NULL);
	assert_true(is_empty());
}

static void test_texts_may_contain_nul(void **state) {
	(void)state;
	const char *plain = names_take(&names, "a", 1);
	const char *longer = names_take(&names, "a\0b", 3);
	const char *empty = names_take(&names, "", 0);
	assert_ptr_not_equal(plain, longer);
	assert_int_equal(names_len(longer), 3);
	assert_int_equal(names_len(empty), 0);
	assert_string_equal(longer + 2, "b");
	names_drop(plain);
	names_drop(longer);
	names_drop(empty);
	assert_true(is_empty());
}

/* Many more than there are buckets, dropped in another order. */
static void test_many_texts(void **state) {
	static const char *taken[5 * NAMES_BUCKETS];
	char text[32];
	(void)state;
	for(size_t i = 0; i < COUNT(taken); i++) {
		int len = snprintf(text, sizeof(text), "tcp://host%zu:80", i);
		taken[i] = names_take(&names, text, (size_t)len);
	}
	for(size_t step = 0; step < 7; step++) {
		for(size_t i = step; i < COUNT(taken); i += 7) {
			snprintf(text, sizeof(text), "tcp://host%zu:80", i);
			assert_string_equal(taken[i], text);
			names_drop(taken[i]);
		}
	}
	assert_true(is_empty());
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_texts_are_shared),
		cmocka_unit_test(test_texts_may_contain_nul),
		cmocka_unit_test(test_many_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
