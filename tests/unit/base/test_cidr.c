/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Networks: how they are written and which addresses are in them.
 */
#include "addresses.h"
#include "support.h"

#include "base/address.h"
#include "base/cidr.h"

#include <errno.h>

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

static void test_networks(void **state) {
	static const struct network_case {
		const char *text;
		const char *shown;
		const char *inside[4];
		const char *outside[6];
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"},
			{"9.255.255.255", "11.0.0.0", "::10.1.2.3", "unix", "?"}},
		{"192.0.2.128/25", "192.0.2.128/25", {"192.0.2.128", "192.0.2.255"},
			{"192.0.2.127", "192.0.3.128"}},
		{"192.0.2.4/30", "192.0.2.4/30", {"192.0.2.4", "192.0.2.7"},
			{"192.0.2.3", "192.0.2.8"}},
		{"192.0.2.1", "192.0.2.1/32", {"192.0.2.1"}, {"192.0.2.0", "192.0.2.2"}},
		{"192.0.2.1/32", "192.0.2.1/32", {"192.0.2.1"}, {"192.0.2.0"}},
		{"0.0.0.0/0", "0.0.0.0/0", {"0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"},
			{"::1", "unix", "?"}},
		{"::/0", "::/0", {"::", "ffff::"}, {"1.2.3.4", "::ffff:1.2.3.4", "unix"}},
		{"2001:db8::/32", "2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"},
			{"2001:db9::", "2001:db7:ffff::", "32.1.13.184"}},
		{"2001:DB8::8000/113", "2001:db8::8000/113", {"2001:db8::8000", "2001:db8::ffff"},
			{"2001:db8::7fff"}},
		{"::1", "::1/128", {"::1"}, {"::", "::2", "127.0.0.1"}},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", {"10.1.2.3"}, {"11.0.0.0"}},
		{"::ffff:10.0.0.1", "10.0.0.1/32", {"10.0.0.1"}, {"10.0.0.2"}},
		{"unix", "unix", {"unix"}, {"127.0.0.1", "::1", "?"}},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct cidr network;
		const char *why = NULL;
		char text[CIDR_TEXT];
		assert_int_equal(cidr_parse(cases[i].text, &network, &why), 0);
		cidr_format(&network, text);
		assert_string_equal(text, cases[i].shown);
		struct cidr_list trusted = {&network, 1};
		for(size_t j = 0; j < COUNT(cases[i].inside) && cases[i].inside[j]; j++) {
			union address address = make_address(cases[i].inside[j], 5);
			if(!cidr_list_contains(trusted, &address.any)) {
				fail_msg("%s is not in %s", cases[i].inside[j], text);
			}
		}
		for(size_t j = 0; j < COUNT(cases[i].outside) && cases[i].outside[j]; j++) {
			union address address = make_address(cases[i].outside[j], 5);
			if(cidr_list_contains(trusted, &address.any)) {
				fail_msg("%s is in %s", cases[i].outside[j], text);
			}
		}
	}
}

static void test_network_errors(void **state) {
	static const struct error_case {
		const char *text;
		const char *why;
	} cases[] = {
		{"", "is not a network"},
		{"*", "is not a network"},
		{"localhost", "is not a network"},
		{"unix:", "is not a network"},
		{"Unix", "is not a network"},
		{"/8", "is not a network"},
		{"10.0.0/8", "is not a network"},
		{"10/8", "is not a network"},
		{"10.0.0.0.0/8", "is not a network"},
		{"10.0.0.256", "is not a network"},
		{" 10.0.0.0/8", "is not a network"},
		{"[::1]/128", "is not a network"},
		{"fe80::1%lo/64", "is not a network"},
		{"10.0.0.0/8,11.0.0.0/8", "has an invalid prefix length"},
		{"10.0.0.0/", "has an invalid prefix length"},
		{"10.0.0.0/33", "has an invalid prefix length"},
		{"10.0.0.0/-1", "has an invalid prefix length"},
		{"10.0.0.0/+8", "has an invalid prefix length"},
		{"10.0.0.0/08", "has an invalid prefix length"},
		{"10.0.0.0/8 ", "has an invalid prefix length"},
		{"10.0.0.0/8/8", "has an invalid prefix length"},
		{"10.0.0.0/255.0.0.0", "has an invalid prefix length"},
		{"10.0.0.0/65544", "has an invalid prefix length"},
		{"10.0.0.0/4294967304", "has an invalid prefix length"},
		{"2001:db8::/129", "has an invalid prefix length"},
		{"10.0.0.1/8", "bits behind"},
		{"10.0.0.1/31", "bits behind"},
		{"1.0.0.0/0", "bits behind"},
		{"2001:db8::1/64", "bits behind"},
		{"::1/127", "bits behind"},
		{"::ffff:10.0.0.1/104", "bits behind"},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8", "is not a network"},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct cidr network;
		const char *why = NULL;
		if(cidr_parse(cases[i].text, &network, &why) != -EINVAL) {
			fail_msg("\"%s\" was taken", cases[i].text);
		}
		if(!strstr(why, cases[i].why)) {
			fail_msg("\"%s\": %s", cases[i].text, why);
		}
	}
}

static void test_empty_list_contains_nothing(void **state) {
	union address address = make_address("127.0.0.1", 1);
	(void)state;
	assert_false(cidr_list_contains((struct cidr_list){0}, &address.any));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_unix_and_empty),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_network_errors),
		cmocka_unit_test(test_empty_list_contains_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
