/* SPDX-License-Identifier: BSD-2-Clause
 *
 * login_queue.c: turns of addresses, shares, and who goes first.
 */
#include "support.h"

#include "http/login_queue.h"

#include <errno.h>

static void set_source(struct login_ticket *ticket, unsigned address, unsigned user) {
	*ticket = (struct login_ticket){0};
	ticket->source.address[0] = (uint8_t)address;
	ticket->source.user[0] = (uint8_t)user;
	ticket->source.pair[0] = (uint8_t)address;
	ticket->source.pair[1] = (uint8_t)user;
}

static int put(
	struct login_queue *queue, struct login_ticket *ticket, unsigned address, unsigned user) {
	set_source(ticket, address, user);
	return login_queue_put(queue, ticket);
}

static int put_known(
	struct login_queue *queue, struct login_ticket *ticket, unsigned address, unsigned user) {
	set_source(ticket, address, user);
	ticket->known = true;
	return login_queue_put(queue, ticket);
}

static void expect(struct login_queue *queue, const struct login_ticket *ticket) {
	assert_ptr_equal(login_queue_take(queue), ticket);
}

static void test_addresses_take_turns(void **state) {
	(void)state;
	struct login_queue queue;
	struct login_ticket a[4], b[2], c, late;
	login_queue_init(&queue);
	assert_null(login_queue_take(&queue));
	for(unsigned i = 0; i < COUNT(a); i++) {
		assert_int_equal(put(&queue, &a[i], 'a', i), 0);
	}
	assert_int_equal(put(&queue, &b[0], 'b', 0), 0);
	assert_int_equal(put(&queue, &b[1], 'b', 1), 0);
	assert_int_equal(put(&queue, &c, 'c', 0), 0);
	expect(&queue, &a[0]);
	expect(&queue, &b[0]);
	expect(&queue, &c);
	expect(&queue, &a[1]);
	/* Who comes now does not wait for those that one address has queued. */
	assert_int_equal(put(&queue, &late, 'd', 0), 0);
	expect(&queue, &b[1]);
	login_queue_remove(&queue, &a[2]);
	expect(&queue, &late);
	expect(&queue, &a[3]);
	assert_null(login_queue_take(&queue));
	assert_int_equal(queue.count, 0);
}

static void test_share_of_an_address(void **state) {
	(void)state;
	struct login_queue queue;
	struct login_ticket tickets[LOGIN_QUEUE_ADDRESS], more;
	login_queue_init(&queue);
	for(unsigned i = 0; i < LOGIN_QUEUE_ADDRESS; i++) {
		assert_int_equal(put(&queue, &tickets[i], 'a', i), 0);
	}
	assert_int_equal(put(&queue, &more, 'a', 100), -EDQUOT);
	assert_int_equal(put_known(&queue, &more, 'a', 100), -EDQUOT);
	assert_int_equal(put(&queue, &more, 'b', 100), 0);
}

static void test_share_of_a_user_name(void **state) {
	(void)state;
	struct login_queue queue;
	struct login_ticket tickets[LOGIN_QUEUE_USER], known, more;
	login_queue_init(&queue);
	for(unsigned i = 0; i < LOGIN_QUEUE_USER; i++) {
		assert_int_equal(put(&queue, &tickets[i], i, 'u'), 0);
	}
	assert_int_equal(put(&queue, &more, 100, 'u'), -EDQUOT);
	assert_int_equal(put(&queue, &more, 0, 'v'), 0); /* another name */
	assert_int_equal(put_known(&queue, &known, 101, 'u'), 0); /* from where it has logged in */
	expect(&queue, &known);
	expect(&queue, &tickets[0]);
}

static void test_share_of_a_pair(void **state) {
	(void)state;
	struct login_queue queue;
	struct login_ticket tickets[LOGIN_QUEUE_PAIR], more;
	login_queue_init(&queue);
	for(unsigned i = 0; i < LOGIN_QUEUE_PAIR; i++) {
		assert_int_equal(put_known(&queue, &tickets[i], 'a', 'u'), 0);
	}
	assert_int_equal(put_known(&queue, &more, 'a', 'u'), -EDQUOT);
	expect(&queue, &tickets[0]);
	assert_int_equal(put(&queue, &more, 'a', 'u'), 0);
}

static void test_places_for_known_users(void **state) {
	(void)state;
	struct login_queue queue;
	struct login_ticket tickets[LOGIN_QUEUE_MAX], more;
	const unsigned others = LOGIN_QUEUE_MAX - LOGIN_QUEUE_KNOWN;
	login_queue_init(&queue);
	for(unsigned i = 0; i < others; i++) {
		assert_int_equal(put(&queue, &tickets[i], i, i), 0);
	}
	assert_int_equal(put(&queue, &more, 200, 200), -EBUSY);
	for(unsigned i = others; i < LOGIN_QUEUE_MAX; i++) {
		assert_int_equal(put_known(&queue, &tickets[i], i, i), 0);
	}
	assert_int_equal(put_known(&queue, &more, 200, 200), -EBUSY);
	assert_int_equal(queue.count, LOGIN_QUEUE_MAX);
	for(unsigned i = 0; i < LOGIN_QUEUE_MAX; i++) {
		expect(&queue, &tickets[(i + others) % LOGIN_QUEUE_MAX]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_take_turns),
		cmocka_unit_test(test_share_of_an_address),
		cmocka_unit_test(test_share_of_a_user_name),
		cmocka_unit_test(test_share_of_a_pair),
		cmocka_unit_test(test_places_for_known_users),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
