/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets of files and lookup services.
 */
#include "support.h"

#include "plugins/common/target.c"

/* The address, from text in front of an unreadable page; "" if there is none. */
static const char *convert(const char *text, size_t len) {
	static char out[TARGET_MAX];
	struct guard guard = guard_new(text, len);
	bool valid = target_from_text((const char *)guard.data, len, out);
	guard_free(&guard);
	return valid ? out : "";
}

static void test_texts(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		const char *address;
	} cases[] = {
		{"vnc.example:5901", "tcp://vnc.example:5901"},
		{" \t192.0.2.1:80\r\n", "tcp://192.0.2.1:80"},
		{"[2001:db8::1]:443", "tcp://[2001:db8::1]:443"},
		{"2001:db8::1:443", "tcp://[2001:db8::1]:443"},
		{"::1:65535", "tcp://[::1]:65535"},
		{"unix_socket:/run/a?b&c%d", "unix:///run/a%3Fb%26c%25d"},
		{"unix_socket:relative", "unix://relative"},
		{"tls://host:443?ca=/etc/ca.pem", "tls://host:443?ca=/etc/ca.pem"},
		{"unix:///run/socket", "unix:///run/socket"},
		{"", ""},
		{" ", ""},
		{":", ""},
		{":80", ""},
		{"host", ""},
		{"host:", ""},
		{"host:0", ""},
		{"host:080", ""},
		{"host:65536", ""},
		{"host:99999999999999999999", ""},
		{"host:8O", ""},
		{"host:-1", ""},
		{"host:80 90", ""},
		{"ho st:80", ""},
		{"host?insecure:80", ""},
		{"host&a:80", ""},
		{"host%3F:80", ""},
		{"[host]:80", ""},
		{"[]:80", ""},
		{"[::1:80", ""},
		{"::1]:80", ""},
		{"fe80::1%eth0:80", ""},
		{"unix_socket:", ""},
		{"tcp://host:80\x01", ""},
		{"://host:80", ""},
		{"a.b://host:80", ""},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(
			convert(cases[i].text, strlen(cases[i].text)), cases[i].address);
	}
	assert_string_equal(convert("a\0b:80", 6), "");
	assert_string_equal(convert("tcp://a\0b:80", 12), "");
	assert_string_equal(convert("unix_socket:\0", 13), "");
}

static void test_lengths(void **unused) {
	(void)unused;
	char text[2 * TARGET_MAX];
	for(size_t len = TARGET_MAX - 16; len < TARGET_MAX + 4; len++) {
		memset(text, 'a', len);
		memcpy(text + len - 3, ":80", 3);
		assert_int_equal(*convert(text, len) != 0, len < TARGET_MAX - 6);
		memcpy(text, "tcp://", 6);
		assert_int_equal(*convert(text, len) != 0, len < TARGET_MAX);
	}
	memset(text, '?', sizeof(text));
	for(size_t len = 1; len < TARGET_MAX; len++) {
		char out[TARGET_MAX];
		assert_int_equal(target_from_path(text, len, out), 7 + 3 * len < TARGET_MAX);
	}
}

static void test_parts(void **unused) {
	(void)unused;
	char out[TARGET_MAX];
	assert_true(target_from_parts("::1", "80", out));
	assert_string_equal(out, "tcp://[::1]:80");
	assert_true(target_from_parts("host", "65535", out));
	assert_string_equal(out, "tcp://host:65535");
	assert_false(target_from_parts("host", "", out));
	assert_false(target_from_parts("", "80", out));
	assert_false(target_from_parts("a/b", "80", out));
	assert_false(target_from_parts("host", "80?x", out));
}

/* Whatever one byte is changed to, a text without a scheme sets no parameter. */
static void test_no_byte_begins_parameters(void **unused) {
	(void)unused;
	static const char *const texts[] = {"vnc.example:5901", "[::1]:80", "unix_socket:/a/b"};
	for(size_t i = 0; i < COUNT(texts); i++) {
		for(size_t at = 0; at < 256 * strlen(texts[i]); at++) {
			char changed[64];
			snprintf(changed, sizeof(changed), "%s", texts[i]);
			changed[at / 256] = (char)(at % 256);
			const char *address = convert(changed, strlen(texts[i]));
			assert_null(strpbrk(address, "?&"));
			if(*address) {
				assert_true(!strncmp(address, "tcp://", 6) ||
					!strncmp(address, "unix://", 7));
			}
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_no_byte_begins_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
