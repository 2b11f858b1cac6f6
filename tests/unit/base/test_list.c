/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lists.
 */
#include "base/list.h"
#include "support.h"

static void test_ring(void **unused) {
	(void)unused;
	struct list head;
	struct list node[3] = {{0}};
	list_init(&head);
	for(int i = 0; i < 3; i++) {
		assert_false(list_is_linked(&node[i]));
		list_append(&head, &node[i]);
		assert_true(list_is_linked(&node[i]));
	}
	list_remove(&node[1]);
	assert_false(list_is_linked(&node[1]));
	assert_ptr_equal(head.next, &node[0]);
	assert_ptr_equal(node[0].next, &node[2]);
	assert_ptr_equal(head.prev, &node[2]);
	list_remove(&node[0]);
	list_remove(&node[2]);
	assert_ptr_equal(head.next, &head);
}

static void test_join(void **unused) {
	(void)unused;
	struct list to;
	struct list from;
	struct list node[3] = {{0}};
	list_init(&to);
	list_init(&from);
	list_join(&to, &from);
	assert_true(list_is_empty(&to));
	list_append(&from, &node[0]);
	list_append(&from, &node[1]);
	list_join(&to, &from);
	assert_true(list_is_empty(&from));
	list_append(&from, &node[2]);
	list_join(&to, &from);
	for(int i = 0; i < 3; i++) {
		assert_ptr_equal(to.next, &node[i]);
		list_remove(&node[i]);
	}
	assert_true(list_is_empty(&to));
	assert_ptr_equal(to.prev, &to);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_join),
	};
	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
