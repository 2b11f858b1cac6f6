/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses: what is read as which address, what is refused, and how addresses are printed.
 */
#include "addresses.h"
#include "support.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>

/* Reads at the end of the readable memory. */
static int parse(const char *text, union address *out) {
	struct guard guard = guard_new(text, strlen(text));
	int result = address_parse((struct slice){(const char *)guard.data, strlen(text)}, out);
	guard_free(&guard);
	return result;
}

static void check_format(const union address *address, const char *expected) {
	char text[128];
	address_format(&address->any, address_size(address), text, sizeof(text));
	assert_string_equal(text, expected);
}

static void test_literals(void **state) {
	(void)state;
	static const char *const good[] = {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1",
		"2001:db8::1", "1:2:3:4:5:6:7:8"};
	static const char *const bad[] = {"", "1", "127.1", "0x7f.0.0.1", "256.0.0.1", "1.2.3.4.5",
		"192.0.2.1 ", " 192.0.2.1", "192.0.2.1:80", "[::1]", "::1%lo", ":::", "a",
		"1::2::3", "1111:2222:3333:4444:5555:6666:255.255.255.2555"};
	union address address;
	char host[ADDRESS_HOST_TEXT];
	for(size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(parse(good[i], &address), 0);
		assert_int_equal(address_port(&address), 0);
		assert_true(address_is_ip(&address));
		address_format_host(&address.any, host);
		assert_string_equal(host, good[i]);
	}
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(parse(bad[i], &address), -EINVAL);
		assert_int_equal(address.any.sa_family, AF_UNSPEC);
	}
	assert_int_equal(address_parse((struct slice){"::1\0", 4}, &address), -EINVAL);
	assert_int_equal(address_parse((struct slice){0}, &address), -EINVAL);
}

static void test_zones(void **state) {
	(void)state;
	union address address;
	struct slice zone;
	assert_int_equal(address_parse_zone(text_slice("fe80::1%eth0"), &address, &zone), 0);
	assert_true(text_is(zone, "eth0"));
	assert_int_equal(address_parse_zone(text_slice("fe80::1"), &address, &zone), 0);
	assert_int_equal(zone.len, 0);
	assert_int_equal(address_parse_zone(text_slice("192.0.2.1"), &address, &zone), 0);
	assert_int_equal(address_parse_zone(text_slice("fe80::1%"), &address, &zone), -EINVAL);
	assert_int_equal(address_parse_zone(text_slice("192.0.2.1%lo"), &address, &zone), -EINVAL);
	assert_int_equal(address_parse_zone(text_slice("%lo"), &address, &zone), -EINVAL);
	assert_true(address_is_ip6("::1", false));
	assert_true(address_is_ip6("fe80::1%2", true));
	assert_false(address_is_ip6("fe80::1%2", false));
	assert_false(address_is_ip6("[::1]", true));
	assert_false(address_is_ip6("192.0.2.1", true));
}

static void test_brackets(void **state) {
	(void)state;
	static const char *const bad[] = {
		"", "::1", "[::1", "[]", "[192.0.2.1]", "[::1%lo]", "[::1 ]"};
	union address address;
	struct slice rest = text_slice("[2001:db8::1]:80");
	assert_int_equal(address_take_ip6(&rest, &address), 0);
	assert_true(text_is(rest, ":80"));
	check_format(&address, "2001:db8::1");
	for(size_t i = 0; i < COUNT(bad); i++) {
		rest = text_slice(bad[i]);
		assert_int_equal(address_take_ip6(&rest, &address), -EINVAL);
		assert_true(text_is(rest, bad[i]));
	}
}

static void test_ports(void **state) {
	(void)state;
	static const char *const bad[] = {"", "65536", "000080", "-1", "+1", " 1", "1 ", "a", "1a"};
	uint16_t port;
	assert_int_equal(address_parse_port(text_slice("0"), &port), 0);
	assert_int_equal(port, 0);
	assert_int_equal(address_parse_port(text_slice("00080"), &port), 0);
	assert_int_equal(port, 80);
	assert_int_equal(address_parse_port(text_slice("65535"), &port), 0);
	assert_int_equal(port, 65535);
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(address_parse_port(text_slice(bad[i]), &port), -EINVAL);
	}
}

static void test_endpoints(void **state) {
	(void)state;
	static const char *const good[][2] = {{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1:53", "192.0.2.1:53"}, {"2001:db8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"}, {"[2001:db8::1]:53", "[2001:db8::1]:53"},
		{"::ffff:192.0.2.1", "192.0.2.1"}};
	static const char *const bad[] = {"", ":", ":53", "192.0.2.1:", "192.0.2.1:0",
		"192.0.2.1:65536", "192.0.2.1:x", "[192.0.2.1]:53", "[::1", "[::1]x",
		"[::1]:", "[::1]:0", "example.org:53"};
	union address address;
	for(size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(address_parse_endpoint(text_slice(good[i][0]), &address), 0);
		check_format(&address, good[i][1]);
	}
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(address_parse_endpoint(text_slice(bad[i]), &address), -EINVAL);
	}
}

static void test_unix_specs(void **state) {
	(void)state;
	static const char *const bad[] = {"", "/x", "unix:", "unix:/", "unix:@", "unix:x",
		"unix:/x,mode=", "unix:/x,mode=0888", "unix:/x,mode=1000", "unix:/x,mode=0660x",
		"unix:/x,mode=00660", "unix:/x,mode=-1", "unix:/x,mode= 660", "unix:,mode=0660"};
	struct address_unix spec;
	const char *why = NULL;
	assert_int_equal(address_parse_unix("unix:/run/x", &spec, &why), 0);
	assert_true(text_is(spec.path, "/run/x"));
	assert_false(spec.has_mode);
	assert_int_equal(address_parse_unix("unix:@a,b,mode=0660", &spec, &why), 0);
	assert_true(text_is(spec.path, "@a,b"));
	assert_true(spec.has_mode);
	assert_int_equal(spec.mode, 0660);
	for(size_t i = 0; i < COUNT(bad); i++) {
		why = NULL;
		assert_int_equal(address_parse_unix(bad[i], &spec, &why), -EINVAL);
		assert_non_null(why);
	}
	assert_true(address_is_unix("unix:x"));
	assert_false(address_is_unix("unix"));
}

static void test_unix_addresses(void **state) {
	(void)state;
	struct socket_address address;
	char path[ADDRESS_UNIX_MAX + 1];
	char text[ADDRESS_UNIX_MAX + 16];
	size_t start = offsetof(struct sockaddr_un, sun_path);
	assert_int_equal(address_of_path(text_slice("/a"), &address), 0);
	assert_int_equal(address.un.sun_family, AF_UNIX);
	assert_string_equal(address.un.sun_path, "/a");
	assert_int_equal(address.len, start + 3);
	address_format(&address.any, address.len, text, sizeof(text));
	assert_string_equal(text, "unix:/a");
	assert_int_equal(address_of_path(text_slice("@a"), &address), 0);
	assert_memory_equal(address.un.sun_path, "\0a", 2);
	assert_int_equal(address.len, start + 2);
	address_format(&address.any, address.len, text, sizeof(text));
	assert_string_equal(text, "unix:@a");
	memset(path, '/', sizeof(path));
	assert_int_equal(address_of_path((struct slice){path, ADDRESS_UNIX_MAX}, &address), 0);
	assert_int_equal(address.len, sizeof(address.un));
	assert_int_equal(
		address_of_path((struct slice){path, sizeof(path)}, &address), -ENAMETOOLONG);
	assert_int_equal(address_of_path((struct slice){0}, &address), -EINVAL);
	address_format(&address.any, sizeof(sa_family_t), text, sizeof(text));
	assert_string_equal(text, "unix");
}

static void test_mapping(void **state) {
	(void)state;
	union address mapped;
	union address plain;
	size_t len;
	assert_int_equal(parse("::ffff:192.0.2.1", &mapped), 0);
	assert_int_equal(parse("192.0.2.1", &plain), 0);
	address_set_port(&mapped, 80);
	assert_false(address_same_host(&mapped, &plain));
	union address copy = address_of(&mapped.any);
	assert_true(address_same_host(&copy, &plain));
	assert_int_equal(address_port(&copy), 80);
	check_format(&mapped, "192.0.2.1:80");
	address_map(&copy);
	assert_true(address_same_host(&copy, &mapped));
	assert_int_equal(address_port(&copy), 80);
	address_unmap(&mapped);
	assert_true(address_same_host(&mapped, &plain));
	address_bytes(&plain, &len);
	assert_int_equal(len, 4);
	assert_int_equal(parse("2001:db8::1", &plain), 0);
	address_unmap(&plain);
	assert_int_equal(plain.any.sa_family, AF_INET6);
	address_bytes(&plain, &len);
	assert_int_equal(len, 16);
}

static void test_other_families(void **state) {
	(void)state;
	char host[ADDRESS_HOST_TEXT];
	size_t len;
	struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/a"};
	union address address = address_of((struct sockaddr *)&local);
	assert_int_equal(address.any.sa_family, AF_UNIX);
	assert_false(address_is_ip(&address));
	address_bytes(&address, &len);
	assert_int_equal(len, 0);
	address_set_port(&address, 80);
	assert_int_equal(address_port(&address), 0);
	address_format_host(&address.any, host);
	assert_string_equal(host, "unix");
	check_format(&address, "unix");
	struct sockaddr other = {.sa_family = AF_NETLINK};
	address = address_of(&other);
	assert_int_equal(address.any.sa_family, AF_UNSPEC);
	address_format_host(&other, host);
	assert_string_equal(host, "unknown");
	check_format(&address, "unknown");
}

/* All numbers that a part of an IPv4 address can be, against the C library. */
static void test_ip4_text(void **state) {
	(void)state;
	for(unsigned i = 0; i < 256; i++) {
		char expected[ADDRESS_HOST_TEXT];
		char host[ADDRESS_HOST_TEXT];
		union address address = {.in.sin_family = AF_INET};
		address.in.sin_addr.s_addr = htonl(i << 24 | i << 16 | (255 - i) << 8 | i);
		inet_ntop(AF_INET, &address.in.sin_addr, expected, sizeof(expected));
		address_format_host(&address.any, host);
		assert_string_equal(host, expected);
	}
}

struct check {
	const char *(*check)(const char *);
	const char *text;
	bool right;
};

static const struct check checks[] = {
	{address_check_servers, "", true},
	{address_check_servers, "192.0.2.1", true},
	{address_check_servers, "192.0.2.1:53,[2001:db8::1]:5353,2001:db8::2", true},
	{address_check_servers, "fe80::1%eth0,[fe80::2%2]:5353,[fe80::3%eth0]", true},
	{address_check_servers, "192.0.2.1%eth0", false},
	{address_check_servers, "fe80::1%", false},
	{address_check_servers, "[fe80::1%]:53", false},
	{address_check_servers, "[fe80::1%eth0", false},
	{address_check_servers, "fe80::1%eth0]", false},
	{address_check_servers, "[fe80::1%eth0]x", false},
	{address_check_servers, "[fe80::1%eth0]:0", false},
	{address_check_servers, "192.0.2.1,", false},
	{address_check_servers, ",192.0.2.1", false},
	{address_check_servers, ",", false},
	{address_check_servers, "192.0.2.1:0", false},
	{address_check_servers, "192.0.2.1:65536", false},
	{address_check_servers, "[2001:db8::1", false},
	{address_check_servers, "[192.0.2.1]:53", false},
	{address_check_servers, "ns.example.org", false},
	{address_check_listen, "0.0.0.0", true},
	{address_check_listen, "::1", true},
	{address_check_listen, "fe80::1%eth0", true},
	{address_check_listen, "fe80::1%", false},
	{address_check_listen, "my_host.example", true},
	{address_check_listen, "256.0.0.1", false},
	{address_check_listen, "127.0.0.1:80", true},
	{address_check_listen, "127.0.0.1:", false},
	{address_check_listen, "[::1]:443,tls", true},
	{address_check_listen, "::1,plain", true},
	{address_check_listen, "*:80", true},
	{address_check_listen, ",tls", false},
	{address_check_listen, "[::1]80", false},
	{address_check_listen, "unix:/a,mode=0600,plain", true},
	{address_check_listen, "", false},
	{address_check_listen, ":80", false},
	{address_check_listen, "a..b", false},
	{address_check_listen, "-a", false},
	{address_check_listen, "", false},
	{address_check_listen, "unix:/run/x", true},
	{address_check_listen, "unix:@x,mode=0660", true},
	{address_check_listen, "unix:@", false},
	{address_check_listen, "unix:x", false},
	{address_check_listen, "unix:/x,mode=0888", false},
	{address_check_listen, "unix:/x,mode=1000", false},
};

static void test_checks(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(checks); i++) {
		const char *error = checks[i].check(checks[i].text);
		if(!error != checks[i].right) {
			fail_msg("\"%s\": %s", checks[i].text, error ? error : "is right");
		}
	}
}

static void test_hosts(void **state) {
	static const char *const hosts[][2] = {{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"}, {"2001:DB8:0::1", "2001:db8::1"},
		{"unix", "unix"}, {"?", "unknown"}, {LONG_6, LONG_6}};
	(void)state;
	for(size_t i = 0; i < COUNT(hosts); i++) {
		union address address = make_address(hosts[i][0], 80);
		char text[ADDRESS_HOST_TEXT];
		address_format_host(&address.any, text);
		assert_string_equal(text, hosts[i][1]);
	}
}

/* Every number in every place, against the C library. */
static void test_ipv4_as_inet_ntop(void **state) {
	(void)state;
	for(uint32_t at = 0; at < 4 * 256; at++) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		in.sin_addr.s_addr = htonl(0xc80a0963u ^ (at & 255) << 8 * (at / 256));
		char wanted[INET_ADDRSTRLEN];
		char text[ADDRESS_HOST_TEXT];
		inet_ntop(AF_INET, &in.sin_addr, wanted, sizeof(wanted));
		address_format_host((const struct sockaddr *)&in, text);
		assert_string_equal(text, wanted);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_brackets),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_unix_specs),
		cmocka_unit_test(test_unix_addresses),
		cmocka_unit_test(test_mapping),
		cmocka_unit_test(test_other_families),
		cmocka_unit_test(test_ip4_text),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_ipv4_as_inet_ntop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
