/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys of the opening handshake.
 */
#include "support.h"

#include "websocket/key.h"

static void test_keys(void **state) {
	(void)state;
	static const struct {
		const char *key;
		bool valid;
	} cases[] = {{"dGhlIHNhbXBsZSBub25jZQ==", true}, {"AAAAAAAAAAAAAAAAAAAAAA==", true},
		{"+/+/+/+/+/+/+/+/+/+/+w==", true}, {"abcdefghijklmnopqrstuv==", true}, {"", false},
		{"dGhlIHNhbXBsZSBub25jZQ=", false}, {"dGhlIHNhbXBsZSBub25jZQ", false},
		{"dGhlIHNhbXBsZSBub25jZQ===", false}, {"dGhlIHNhbXBsZSBub25jZWE=", false},
		{"dGhlIHNhbXBsZSBub25jZWFh", false}, {"dGhlIHNhbXBsZSBub25j", false},
		{"dGhlIHNhbXBs ZSBub25jZ==", false}, {"dGhlIHNhbXBsZSBub25jZ-==", false},
		{"dGhlIHNhbXBsZSBub25jZ_==", false}, {"=Ghl IHNhbXBsZSBub25jZ==", false},
		{"dGhlIHNhbXBsZSBub25jZQ=A", false}, {"dGhlIHNhbXBsZSBub25j=Q==", false}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct guard guard = guard_new(cases[i].key, strlen(cases[i].key));
		bool valid = websocket_key_valid((const char *)guard.data, strlen(cases[i].key));
		assert_int_equal(valid, cases[i].valid);
		guard_free(&guard);
	}
	for(unsigned byte = 0; byte < 256; byte++) {
		char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
		key[11] = (char)byte;
		const char *alphabet =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		assert_int_equal(websocket_key_valid(key, 24), byte && strchr(alphabet, (int)byte));
	}
}

static void test_accept_key(void **state) {
	(void)state;
	/* Section 1.3 of the RFC, and one computed with the tools of openssl. */
	static const char *const cases[][2] = {
		{"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		{"x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="}};
	for(size_t i = 0; i < 2; i++) {
		struct guard key = guard_new(cases[i][0], 24);
		struct guard out = guard_new(NULL, WEBSOCKET_KEY_ACCEPT_LEN + 1);
		websocket_key_accept((const char *)key.data, 24, (char *)out.data);
		assert_string_equal((const char *)out.data, cases[i][1]);
		guard_free(&key);
		guard_free(&out);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_accept_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
