/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Close frames: every code, and reasons that are cut or not text.
 */
#include "support.h"

#include "websocket/close.h"

#include <errno.h>

static bool code_allowed(unsigned code) {
	if(code < 1000 || code > 4999) {
		return false;
	}
	if(code >= 3000) {
		return true;
	}
	return code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static void test_all_close_codes(void **state) {
	(void)state;
	for(unsigned code = 0; code < 65536; code++) {
		uint8_t payload[] = {(uint8_t)(code >> 8), (uint8_t)code, 'o', 'k'};
		for(size_t len = 2; len <= sizeof(payload); len += 2) {
			uint16_t out = 0;
			int result = websocket_close_parse(payload, len, &out);
			assert_int_equal(result, code_allowed(code) ? 0 : -EPROTO);
			assert_int_equal(out, code_allowed(code) ? code : 1002);
		}
	}
}

static void test_close_payloads(void **state) {
	(void)state;
	static const struct {
		const char *payload;
		size_t len;
		int result;
		uint16_t code;
	} cases[] = {{"", 0, 0, WEBSOCKET_CODE_NONE}, {"\x03", 1, -EPROTO, 1002},
		{"\x03\xE8", 2, 0, 1000}, {"\x03\xE8\xC3\xA4", 4, 0, 1000},
		{"\x03\xE8\xC3", 3, -EPROTO, 1007}, {"\x03\xE8\xFF", 3, -EPROTO, 1007},
		{"\x03\xE8\xED\xA0\x80", 5, -EPROTO, 1007}, {"\x03\xEC\xFF", 3, -EPROTO, 1002}};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct guard guard = guard_new(cases[i].payload, cases[i].len);
		uint16_t code = 77;
		assert_int_equal(
			websocket_close_parse(guard.data, cases[i].len, &code), cases[i].result);
		assert_int_equal(code, cases[i].code);
		guard_free(&guard);
	}
}

static void check_close_frame(uint16_t code, const char *reason, const char *expected, size_t len) {
	struct guard guard = guard_new(NULL, WEBSOCKET_CLOSE_FRAME_MAX);
	assert_int_equal(websocket_close_put(guard.data, code, reason), len);
	assert_int_equal(guard.data[0], 0x88);
	assert_int_equal(guard.data[1], len - 2);
	if(len > 2) {
		uint16_t read = 0;
		assert_int_equal(websocket_close_parse(guard.data + 2, len - 2, &read), 0);
		assert_int_equal(read, code);
		assert_memory_equal(guard.data + 4, expected, len - 4);
	}
	guard_free(&guard);
}

static void test_put_close(void **state) {
	(void)state;
	check_close_frame(WEBSOCKET_CODE_NONE, NULL, "", 2);
	check_close_frame(WEBSOCKET_CODE_NONE, "without a code", "", 2);
	check_close_frame(1000, NULL, "", 4);
	check_close_frame(1001, "", "", 4);
	check_close_frame(1011, "peer failed", "peer failed", 15);
	check_close_frame(4999, "\xC3\xA4", "\xC3\xA4", 6);
	check_close_frame(1000, "fine\xFFnot", "fine", 8);
	/*
	 * 123 bytes are left for the reason; a character that does not fit is left out as a
	 * whole.
	 */
	static const char *const characters[] = {
		"x", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
	for(size_t unit = 1; unit <= 4; unit++) {
		for(size_t offset = 0; offset < 130; offset++) {
			char reason[200];
			memset(reason, 'r', sizeof(reason));
			memcpy(reason + offset, characters[unit - 1], unit);
			reason[offset + unit] = '\0';
			size_t text = offset + unit <= 123 ? offset + unit
				: offset < 123             ? offset
							   : 123;
			check_close_frame(1008, reason, reason, 4 + text);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_close_codes),
		cmocka_unit_test(test_close_payloads),
		cmocka_unit_test(test_put_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
