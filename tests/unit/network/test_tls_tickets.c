/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys for session tickets that several processes have in common.
 */
#include "support.h"

#include "network/tls_tickets.h"

static const uint8_t one[TLS_TICKETS_DIGEST] = {1};
static const uint8_t two[TLS_TICKETS_DIGEST] = {2};

static void test_equal_rules_have_equal_keys(void **state) {
	struct tls_tickets tickets = {0};
	uint8_t a[TLS_TICKETS_KEY], b[TLS_TICKETS_KEY];
	(void)state;
	assert_int_equal(tls_tickets_renew(&tickets), 0);
	assert_int_equal(tls_tickets_key(&tickets, one, a), 1);
	tls_tickets_key(&tickets, one, b);
	assert_memory_equal(a, b, sizeof(a));
	tls_tickets_key(&tickets, two, b);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, a + sizeof(a) / 2, sizeof(a) / 2);
}

/* Neither the old keys nor the secret that they came from are left. */
static void test_renewal(void **state) {
	struct tls_tickets tickets = {0};
	uint8_t before[TLS_TICKETS_KEY], after[TLS_TICKETS_KEY], secret[TLS_TICKETS_SECRET];
	static const uint8_t empty[TLS_TICKETS_SECRET];
	(void)state;
	for(uint64_t i = 1; i < 4; i++) {
		assert_int_equal(tls_tickets_renew(&tickets), 0);
		memcpy(secret, tickets.secret[i % 2], sizeof(secret));
		assert_int_equal(tls_tickets_key(&tickets, one, before), i);
	}
	assert_int_equal(tls_tickets_renew(&tickets), 0);
	assert_int_equal(tls_tickets_key(&tickets, one, after), 4);
	assert_memory_not_equal(before, after, sizeof(after));
	assert_memory_equal(tickets.secret[1], empty, sizeof(empty));
	assert_memory_not_equal(tickets.secret[0], secret, sizeof(secret));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_rules_have_equal_keys),
		cmocka_unit_test(test_renewal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
