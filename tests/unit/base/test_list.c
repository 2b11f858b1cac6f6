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

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
	};
	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
