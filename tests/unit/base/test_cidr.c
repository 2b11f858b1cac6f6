/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Networks: how they are written and which addresses are in them.
 */
#include "support.h"

#include "base/address.h"
#include "base/cidr.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_parse(void **state) {
	(void)state;
	static const char *const good[][2] = {{"0.0.0.0/0", "0.0.0.0/0"},
		{"192.0.2.0/24", "192.0.2.0/24"}, {"192.0.2.1", "192.0.2.1/32"},
		{"192.0.2.128/25", "192.0.2.128/25"}, {"::/0", "::/0"},
		{"2001:db8::/33", "2001:db8::/33"}, {"::1", "::1/128"},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24"}, {"::ffff:0:0/96", "0.0.0.0/0"},
		{"unix", "unix"}};
	static const char *const bad[] = {"", "/", "/8", "192.0.2.0/", "192.0.2.0/33",
		"192.0.2.0/024", "192.0.2.0/ 24", "192.0.2.0/24 ", "192.0.2.0/-1", "192.0.2.0/24/8",
		"192.0.2.1/24", "192.0.2.128/24", "::/129", "2001:db8::/28", "::ffff:192.0.2.1/120",
		"[::1]/128", "192.0.2", "example.org", "Unix", "unix/8",
		"192.0.2.0/18446744073709551640"};
	struct cidr network;
	for(size_t i = 0; i < COUNT(good); i++) {
		char text[CIDR_TEXT];
		const char *why = "";
		if(cidr_parse(good[i][0], &network, &why)) {
			fail_msg("%s: %s", good[i][0], why);
		}
		cidr_format(&network, text);
		assert_string_equal(text, good[i][1]);
	}
	for(size_t i = 0; i < COUNT(bad); i++) {
		const char *why = NULL;
		if(cidr_parse(bad[i], &network, &why) != -EINVAL || !why) {
			fail_msg("%s was accepted", bad[i]);
		}
	}
}

static bool contains(const char *network, const char *host) {
	struct cidr one;
	union address address;
	const char *why;
	assert_int_equal(cidr_parse(network, &one, &why), 0);
	assert_int_equal(address_parse(text_slice(host), &address), 0);
	return cidr_list_contains((struct cidr_list){&one, 1}, &address.any);
}

static void test_contains(void **state) {
	(void)state;
	assert_true(contains("192.0.2.0/24", "192.0.2.255"));
	assert_false(contains("192.0.2.0/24", "192.0.3.0"));
	assert_true(contains("192.0.2.128/25", "192.0.2.128"));
	assert_false(contains("192.0.2.128/25", "192.0.2.127"));
	assert_true(contains("0.0.0.0/0", "255.255.255.255"));
	assert_false(contains("0.0.0.0/0", "::1"));
	assert_true(contains("192.0.2.0/24", "::ffff:192.0.2.1"));
	assert_true(contains("::/0", "2001:db8::1"));
	assert_false(contains("::/0", "::ffff:192.0.2.1"));
	assert_true(contains("2001:db8:8000::/33", "2001:db8:ffff::1"));
	assert_false(contains("2001:db8:8000::/33", "2001:db8:7fff::1"));
	assert_true(contains("::1", "::1"));
	assert_false(contains("::1", "::2"));
}

static void test_unix_and_empty(void **state) {
	(void)state;
	struct cidr networks[2];
	const char *why;
	union address local = {.any.sa_family = AF_UNIX};
	union address none = {0};
	assert_int_equal(cidr_parse("192.0.2.0/24", &networks[0], &why), 0);
	assert_int_equal(cidr_parse("unix", &networks[1], &why), 0);
	assert_true(cidr_list_contains((struct cidr_list){networks, 2}, &local.any));
	assert_false(cidr_list_contains((struct cidr_list){networks, 1}, &local.any));
	assert_false(cidr_list_contains((struct cidr_list){networks, 2}, &none.any));
	assert_false(cidr_list_contains((struct cidr_list){0}, &local.any));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_unix_and_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
