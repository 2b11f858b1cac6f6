/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `url`: rules, the forms of requests, special addresses, lookups.
 */
#include "plugins/backend_url.c"
#include "plugins/backend_url/range.c"
#include "plugins/backend_url/request.c"
#include "plugins/backend_url/rule.c"
#include "plugins/common/duration.c"
#include "plugins/common/target.c"

#include "plugins/backend_bench.h"

#define ADDRESS "query:address"

static void open_with(const char *const *allow) {
	bench_open();
	for(; *allow; allow++) {
		assert_int_equal(bench_set("allow", *allow), 0);
	}
	assert_int_equal(bench_check(), 0);
}

/* The lookup of the last query gives these addresses, separated by blanks; the peers or status. */
static void expect_after_lookup(const char *address, const char *found, const char *expected) {
	struct fake_query query;
	char copy[FAKE_TEXT];
	const char *list[FAKE_MAX];
	size_t count = 0;
	size_t lookup = FAKE.lookups;
	if(lookup == FAKE_MAX) {
		FAKE.lookups = lookup = 0;
	}
	snprintf(copy, sizeof(copy), "%s", found);
	for(char *at = strtok(copy, " "); at; at = strtok(NULL, " ")) {
		list[count++] = at;
	}
	bench_query(&query, ADDRESS, address);
	assert_int_equal(query.state, FAKE_WAITS);
	assert_int_equal(FAKE.lookups, lookup + 1);
	fake_found(lookup, NULL, count, list);
	if(query.state == FAKE_REFUSED) {
		snprintf(query.text, sizeof(query.text), "%u", query.status);
	}
	assert_string_equal(query.text, expected);
}

static void test_options(void **unused) {
	(void)unused;
	static const char *const valid[] = {"db.example.org", "db.example.org:5432", "DB.Example.",
		"*.example.org", "*.example.org:22", "192.0.2.1", "192.0.2.1:80", "10.0.0.0/8:5900",
		"10.0.0.0/8", "0.0.0.0/0:5432", "::/0", "[::/0]:80", "::1", "[::1]", "[::1]:80",
		"[2001:db8::/32]:80", "::ffff:192.0.2.0/120", "[64:ff9b::a00:0/104]:80",
		"localhost"};
	static const char *const invalid[] = {"", ":80", "*", "*:80", "*.", "*.*.org", "a b", "a/b",
		"host:0", "host:65536", "host:x", "host:", "123", "1.2.3", "0x7f.1", "256.1.1.1",
		"192.0.2.1/24", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/x", "::1/129",
		"2001:db8::1/32", "[::1", "[::1]80", "[host]:80", "[10.0.0.1]:80", "-a.org",
		"a-.org", "a..b", ".a", "fe80::1%eth0", "http://a", "10.0.0.0/8/8"};
	bench_open();
	assert_int_equal(bench_check(), -EINVAL);
	assert_string_equal(bench.error, "allow: is required");
	for(size_t i = 0; i < COUNT(valid); i++) {
		assert_int_equal(bench_set("allow", valid[i]), 0);
	}
	assert_int_equal(bench_check(), 0);
	for(size_t i = 0; i < COUNT(invalid); i++) {
		bench.error[0] = '\0';
		assert_int_equal(bench_set("allow", invalid[i]), -EINVAL);
		assert_string_equal(bench.error, RULE_FORM);
	}
	assert_int_equal(bench_set("ttl", "1y"), -EINVAL);
	assert_int_equal(bench_set("ttl", "1m"), 0);
	bench_close();
}

static void test_forms_of_requests(void **unused) {
	(void)unused;
	static const struct {
		const char *source;
		const char *value;
	} forms[] = {
		{ADDRESS, "8.8.8.8:53"},
		{"path", "/8.8.8.8:53"},
		{"path", "/prefix/8.8.8.8:53"},
		{"path", "/8.8.8.8%3A53"},
		{"path", "/%38.8.8.8%3a53"},
	};
	open_with((const char *const[]){"8.8.8.8:53", "2001:4860::/32", NULL});
	for(size_t i = 0; i < COUNT(forms); i++) {
		bench_expect_peer(forms[i].source, forms[i].value, "tcp://8.8.8.8:53");
	}
	bench_expect_peer(ADDRESS, "[2001:4860::8]:443", "tcp://[2001:4860::8]:443");
	bench_expect_peer("path", "/%5B2001:4860::8%5D:443", "tcp://[2001:4860::8]:443");
	struct fake_query query = {.status = 0};
	fake_set(&query, "query:host", "2001:4860::8");
	fake_set(&query, "query:port", "7");
	fake_set(&query, "path", "/8.8.8.8:53");
	bench.backend->query(bench.state, &query.query);
	assert_string_equal(query.text, "tcp://[2001:4860::8]:7");
	bench_close();
}

static void test_wrong_requests(void **unused) {
	(void)unused;
	static const char *const wrong[] = {"", ":", ":80", "host", "host:", "host:0", "host:65536",
		"host:080", "host:8x", "2001:db8::1:80", "::1:80", "[::1]", "[::1]80", "[::1:80",
		"[host]:80", "2130706433:80", "0:80", "127.1:80", "0x7f000001:80", "0x7f.0.0.1:80",
		"0177.0.0.1:80", "127.0.0.1.:80", "1.2.3.4.5:80", "host.1:80", "a b:80", "a/b:80",
		"a@b:80", "a?b:80", "a%00b:80", "[fe80::1%25eth0]:80", "[fe80::1%eth0]:80", "-a:80",
		"a..b:80", ".:80", "tcp://a:80", "\xc3\xa9:80", "a\r\nb:80"};
	char path[64];
	open_with((const char *const[]){"0.0.0.0/0", "::/0", NULL});
	for(size_t i = 0; i < COUNT(wrong); i++) {
		bench_expect_status(ADDRESS, wrong[i], 400);
		snprintf(path, sizeof(path), "/%s", wrong[i]);
		if(!strchr(wrong[i], '/')) {
			bench_expect_status("path", path, 400);
		}
	}
	bench_expect_status("path", "/", 400);
	bench_expect_status("path", "/%3", 400);
	bench_expect_status("path", "/a%:80", 400);
	bench_expect_status("path", "/a%4:80", 400);
	bench_expect_status("query:host", "8.8.8.8", 400);
	bench_expect_status("query:port", "80", 400);
	bench_expect_status(ADDRESS, NULL, 400);
	char long_name[2 * REQUEST_TEXT_MAX];
	for(size_t len = 1; len < sizeof(long_name) - 4; len++) {
		memset(long_name, 'a', len);
		for(size_t i = 40; i < len; i += 40) {
			long_name[i - 1] = '.';
		}
		memcpy(long_name + len, ":80", 4);
		struct fake_query query;
		bench_query(&query, ADDRESS, long_name);
		if(query.state == FAKE_WAITS) {
			assert_true(len < RULE_NAME_MAX);
			bench.backend->cancel(bench.state, &query.query);
			FAKE.lookups = 0;
		} else {
			assert_int_equal(query.status, 400);
		}
	}
	bench_close();
}

/* Each special range in each notation, by a literal and by a name. */
static void test_special_addresses(void **unused) {
	(void)unused;
	static const char *const addresses[] = {"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1",
		"100.127.255.255", "127.0.0.1", "127.255.255.254", "168.63.129.16",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.0.1",
		"198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "ff02::1",
		"64:ff9b:1::1", "2001::1", "2002:7f00:1::", "100::1", "::127.0.0.1", "::8.8.8.8"};
	static const char *const mapped[] = {"::ffff:%s", "64:ff9b::%s"};
	char address[64];
	char target[80];
	open_with((const char *const[]){"*.org", "0.0.0.0/0", "::/0", "172.0.0.0/8", NULL});
	for(size_t i = 0; i < COUNT(addresses); i++) {
		bool ip6 = strchr(addresses[i], ':');
		snprintf(target, sizeof(target), ip6 ? "[%s]:80" : "%s:80", addresses[i]);
		bench_expect_status(ADDRESS, target, 403);
		expect_after_lookup("a.org:80", addresses[i], "403");
		for(size_t form = 0; !ip6 && form < COUNT(mapped); form++) {
			snprintf(address, sizeof(address), form ? "64:ff9b::%s" : "::ffff:%s",
				addresses[i]);
			snprintf(target, sizeof(target), "[%s]:80", address);
			bench_expect_status(ADDRESS, target, 403);
			expect_after_lookup("a.org:80", address, "403");
		}
	}
	bench_expect_peer(ADDRESS, "8.8.8.8:80", "tcp://8.8.8.8:80");
	bench_expect_peer(ADDRESS, "100.63.255.255:80", "tcp://100.63.255.255:80");
	bench_expect_peer(ADDRESS, "172.32.0.0:80", "tcp://172.32.0.0:80");
	bench_expect_peer(ADDRESS, "[::ffff:8.8.8.8]:80", "tcp://8.8.8.8:80");
	bench_expect_peer(ADDRESS, "[64:ff9b::808:808]:80", "tcp://8.8.8.8:80");
	bench_close();
}

static void test_special_addresses_that_are_named(void **unused) {
	(void)unused;
	open_with((const char *const[]){
		"127.0.0.0/8:80", "[::1]:80", "10.1.2.3", "64:ff9b::c0a8:100/120", "a.org", NULL});
	bench_expect_peer(ADDRESS, "127.0.0.1:80", "tcp://127.0.0.1:80");
	bench_expect_peer(ADDRESS, "[::ffff:7f00:1]:80", "tcp://127.0.0.1:80");
	bench_expect_peer(ADDRESS, "[::1]:80", "tcp://[::1]:80");
	bench_expect_peer(ADDRESS, "10.1.2.3:22", "tcp://10.1.2.3:22");
	bench_expect_peer(ADDRESS, "192.168.1.9:22", "tcp://192.168.1.9:22");
	bench_expect_status(ADDRESS, "127.0.0.1:81", 403);
	bench_expect_status(ADDRESS, "10.1.2.4:22", 403);
	bench_expect_status(ADDRESS, "192.168.2.9:22", 403);
	bench_expect_status(ADDRESS, "8.8.8.8:80", 403);
	/* A range may be reached by any name, a named host by its public addresses only. */
	expect_after_lookup("any.net:80", "127.0.0.1", "tcp://127.0.0.1:80");
	expect_after_lookup("any.net:80", "8.8.8.8", "403");
	expect_after_lookup("a.org:81", "127.0.0.1", "403");
	bench_close();
}

static void test_names(void **unused) {
	(void)unused;
	open_with(
		(const char *const[]){"db.example.org:5432", "*.example.net:22", "all.org", NULL});
	expect_after_lookup("db.example.org:5432", "8.8.8.8", "tcp://8.8.8.8:5432");
	expect_after_lookup("DB.Example.ORG.:5432", "8.8.8.8 2001:4860::8",
		"tcp://8.8.8.8:5432 tcp://[2001:4860::8]:5432");
	expect_after_lookup("a.example.net:22", "8.8.8.8", "tcp://8.8.8.8:22");
	expect_after_lookup("a.b.example.net:22", "8.8.8.8", "tcp://8.8.8.8:22");
	expect_after_lookup("all.org:1", "8.8.8.8", "tcp://8.8.8.8:1");
	/* Only the addresses that are allowed are used. */
	expect_after_lookup("all.org:1", "127.0.0.1 8.8.8.8 ::1", "tcp://8.8.8.8:1");
	size_t lookups = FAKE.lookups;
	static const char *const refused[] = {"db.example.org:5433", "example.net:22",
		"aexample.net:22", "a.example.net:23", "a.example.net.evil:22",
		"xdb.example.org:5432", "8.8.8.8:22", "other.org:1", ".example.net:22"};
	for(size_t i = 0; i < COUNT(refused); i++) {
		bench_expect_status(ADDRESS, refused[i], refused[i][0] == '.' ? 400 : 403);
	}
	assert_int_equal(FAKE.lookups, lookups);
	bench_close();
}

/* A port that no rule allows is refused without a lookup, also with rules of ranges. */
static void test_ports_without_lookup(void **unused) {
	(void)unused;
	open_with((const char *const[]){"10.0.0.0/8:5900", "*.org:22", NULL});
	bench_expect_status(ADDRESS, "a.org:23", 403);
	bench_expect_status(ADDRESS, "a.net:22", 403);
	assert_int_equal(FAKE.lookups, 0);
	expect_after_lookup("a.net:5900", "10.0.0.1", "tcp://10.0.0.1:5900");
	bench_close();
}

static void test_many_addresses(void **unused) {
	(void)unused;
	const char *found[ADDRESSES_MAX + 4];
	struct fake_query query;
	for(size_t i = 0; i < COUNT(found); i++) {
		found[i] = "8.8.8.8";
	}
	open_with((const char *const[]){"a.org", NULL});
	bench_query(&query, ADDRESS, "a.org:65535");
	fake_found(0, NULL, COUNT(found), found);
	assert_int_equal(query.answer.peers, ADDRESSES_MAX);
	bench_close();
}

static void test_lookups_that_fail(void **unused) {
	(void)unused;
	struct fake_query query;
	open_with((const char *const[]){"a.org", NULL});
	bench_query(&query, ADDRESS, "a.org:80");
	fake_found(0, "no such host", 0, NULL);
	assert_int_equal(query.status, 502);
	bench_query(&query, ADDRESS, "a.org:80");
	bench.backend->cancel(bench.state, &query.query);
	assert_null(FAKE.lookup[1].fn);
	FAKE.no_memory = true;
	bench_expect_status(ADDRESS, "a.org:80", 503);
	FAKE.no_memory = false;
	bench_query(&query, ADDRESS, "a.org:80");
	fake_found(2, NULL, 1, (const char *const[]){"fe80::1%eth0"});
	assert_int_equal(query.status, 403);
	bench_close();
}

static void test_cache(void **unused) {
	(void)unused;
	struct fake_query query;
	open_with((const char *const[]){"a.org", "8.8.8.8", NULL});
	assert_int_equal(bench_set("ttl", "5"), 0);
	bench_query(&query, ADDRESS, "A.org.:80");
	fake_found(0, NULL, 1, (const char *const[]){"8.8.4.4"});
	assert_string_equal(query.cache_key, "a.org:80");
	assert_int_equal(query.answer.cache_ms, 5000);
	bench_query(&query, ADDRESS, "8.8.8.8:80");
	assert_null(query.answer.cache_key);
	bench_close();
}

/* Any prefix, and any byte: what is answered is allowed. */
static void test_every_byte(void **unused) {
	(void)unused;
	static const char *const texts[] = {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[::1]:80"};
	open_with((const char *const[]){"0.0.0.0/0:80", "[::/0]:80", NULL});
	for(size_t i = 0; i < COUNT(texts); i++) {
		size_t len = strlen(texts[i]);
		for(size_t at = 0; at < 256 * len; at++) {
			char changed[64];
			struct fake_query query;
			snprintf(changed, sizeof(changed), "%s", texts[i]);
			changed[at / 256] = (char)(at % 256);
			bench_query(&query, ADDRESS, changed);
			if(query.state == FAKE_WAITS) {
				bench.backend->cancel(bench.state, &query.query);
				FAKE.lookups = 0;
			} else if(query.state == FAKE_ANSWERED) {
				assert_null(strstr(query.text, "//127."));
				assert_null(strstr(query.text, "[::1]"));
				assert_null(strstr(query.text, "//10."));
			}
		}
	}
	bench_close();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_forms_of_requests),
		cmocka_unit_test(test_wrong_requests),
		cmocka_unit_test(test_special_addresses),
		cmocka_unit_test(test_special_addresses_that_are_named),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ports_without_lookup),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_lookups_that_fail),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_every_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
