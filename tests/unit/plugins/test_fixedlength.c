/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing function `fixedlength`: segments of every length against a naive splitter, and what
 * its configuration may be.
 */
#include "support.h"

#include "plugins/fixedlength.c"

struct session {
	const uint8_t *input;
	size_t fed, cut; /* bytes given to the function; bytes that it has cut off */
	size_t segment;
	const char *config;
	void *framing_data;
};

static int64_t session_call(struct session *session, size_t fresh) {
	size_t len = session->fed - session->cut;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, session->input + session->cut, len);
	guard.data[len] = 0;
	ws_operation opcode = ws_frame_binary;
	int64_t result = fixedlength_frame(
		guard.data, len, fresh, &opcode, &session->framing_data, session->config);
	assert_int_equal(opcode, ws_frame_binary);
	assert_memory_equal(guard.data, session->input + session->cut, len);
	guard_free(&guard);
	return result;
}

/* The naive splitter: as many whole segments as there are, and not one byte more. */
static void session_feed(void *ctx, size_t offset, size_t length) {
	struct session *session = ctx;
	int64_t result = -1;
	assert_int_equal(offset, session->fed);
	session->fed += length;
	for(size_t fresh = length; session->cut < session->fed && result != 0;) {
		result = session_call(session, fresh);
		assert_true(result == 0 || result == (int64_t)session->segment);
		session->cut += (size_t)result;
		fresh = session->fed - session->cut;
	}
	assert_int_equal(session->cut, session->fed / session->segment * session->segment);
}

static void test_splits(void **state) {
	(void)state;
	static const uint8_t input[] = "0123456789\0abcdefghij\xff\xfe";
	for(size_t segment = 1; segment <= sizeof(input) + 1; segment++) {
		char config[16];
		snprintf(config, sizeof(config), "%zu", segment);
		for(size_t way = 0; way < cut_ways(sizeof(input)); way++) {
			struct session session = {
				.input = input, .segment = segment, .config = config};
			cut_feed(sizeof(input), way, session_feed, &session);
			assert_int_equal(session.fed, sizeof(input));
			assert_null(session.framing_data);
		}
	}
}

static void test_segment_at_the_limits(void **state) {
	(void)state;
	struct session session = {.input = (const uint8_t *)"x", .fed = 1};
	session.config = "9223372036854775807";
	assert_int_equal(session_call(&session, 1), 0);
	session.config = "0000000000000000000000001";
	assert_int_equal(session_call(&session, 1), 1);
}

static const char *const accepted[] = {
	"1", "2", "16", "512", "007", "65536", "4294967296", "9223372036854775807"};
static const char *const rejected[] = {"", "0", "00", "-1", "+1", " 1", "1 ", "1k", "0x10", "x",
	"1.0", "1e3", "1,2", "9223372036854775808", "18446744073709551617",
	"99999999999999999999999", "\xd9\xa1"};

static void test_configuration(void **state) {
	(void)state;
	struct session session = {.input = (const uint8_t *)"x", .fed = 1};
	for(size_t at = 0; at < COUNT(accepted); at++) {
		session.config = accepted[at];
		assert_null(fixedlength_check(accepted[at]));
		assert_true(session_call(&session, 1) >= 0);
	}
	for(size_t at = 0; at < COUNT(rejected); at++) {
		session.config = rejected[at];
		assert_non_null(fixedlength_check(rejected[at]));
		assert_non_null(strstr(fixedlength_check(rejected[at]), "decimal number above 0"));
		assert_int_equal(session_call(&session, 1), -1);
	}
	session.config = NULL;
	assert_int_equal(session_call(&session, 1), -1);
}

static void test_end_of_connection(void **state) {
	(void)state;
	ws_operation opcode = ws_frame_binary;
	void *framing_data = NULL;
	assert_int_equal(fixedlength_frame(NULL, 0, 0, &opcode, &framing_data, "4"), 0);
	assert_null(framing_data);
	assert_ptr_equal(core_framing("fixedlength"), fixedlength_frame);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_segment_at_the_limits),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_end_of_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
