/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing function `dynamic32`: streams of segments of known lengths in every cut, sums that
 * cannot be, and what its configuration may be.
 */
#include "support.h"

static bool fail_malloc;

static void *failing_malloc(size_t size) {
	return fail_malloc ? NULL : malloc(size);
}

#define malloc failing_malloc
#include "plugins/dynamic32.c"
#undef malloc

struct session {
	const uint8_t *input;
	size_t fed, cut; /* bytes given to the function; bytes that it has cut off */
	const size_t *lengths; /* what is to be cut off, 0 behind the last */
	size_t done; /* how many of them were */
	const char *config;
	void *framing_data;
};

static int64_t session_call(struct session *session, size_t fresh) {
	size_t len = session->fed - session->cut;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, session->input + session->cut, len);
	guard.data[len] = 0;
	ws_operation opcode = ws_frame_binary;
	int64_t result = dynamic32_frame(
		guard.data, len, fresh, &opcode, &session->framing_data, session->config);
	assert_int_equal(opcode, ws_frame_binary);
	guard_free(&guard);
	return result;
}

/* Each segment comes as soon as its last byte is there, not before. */
static void session_feed(void *ctx, size_t offset, size_t length) {
	struct session *session = ctx;
	assert_int_equal(offset, session->fed);
	session->fed += length;
	size_t fresh = length;
	while(session->cut < session->fed) {
		size_t next = session->lengths[session->done];
		bool complete = next > 0 && next <= session->fed - session->cut;
		assert_int_equal(session_call(session, fresh), complete ? next : 0);
		if(!complete) {
			return;
		}
		session->cut += next;
		session->done++;
		fresh = session->fed - session->cut;
	}
}

static void session_end(struct session *session) {
	ws_operation opcode = ws_frame_binary;
	if(session->framing_data) {
		assert_int_equal(dynamic32_frame(NULL, 0, 0, &opcode, &session->framing_data,
					 session->config),
			0);
	}
	assert_null(session->framing_data);
}

/* Writes a segment: `offset` bytes of filling, the field, and what is missing up to `len` bytes. */
static uint8_t *put_segment(uint8_t *to, size_t len, size_t offset, uint32_t value, bool big) {
	memset(to, 0xEE, len);
	for(size_t byte = 0; byte < 4; byte++) {
		to[offset + (big ? 3 - byte : byte)] = (uint8_t)(value >> 8 * byte);
	}
	return to + len;
}

struct segment_case {
	const char *config;
	size_t offset;
	int summand;
	bool big;
};

static const struct segment_case segment_cases[] = {
	{"", 0, 0, false},
	{"  ", 0, 0, false},
	{"endian=little", 0, 0, false},
	{"endian=big", 0, 0, true},
	{"offset=2", 2, 0, false},
	{"offset=3,endian=big", 3, 0, true},
	{"static=5", 0, 5, false},
	{"static=-4,endian=big", 0, -4, true},
	{" offset = 1 , static = -5 , endian = big ", 1, -5, true},
	{"endian=big,static=2,offset=7", 7, 2, true},
};

static void test_segments(void **state) {
	(void)state;
	static const size_t bodies[] = {0, 1, 5, 0, 0, 17, 2};
	for(size_t at = 0; at < COUNT(segment_cases); at++) {
		const struct segment_case *test = &segment_cases[at];
		size_t base = test->offset + 4 + (size_t)(test->summand > 0 ? test->summand : 0);
		size_t lengths[8] = {0};
		uint8_t input[256], *to = input;
		for(size_t segment = 0; segment < 7; segment++) {
			int64_t value = (int64_t)(base + bodies[segment]) - (int64_t)test->offset -
				4 - test->summand;
			lengths[segment] = base + bodies[segment];
			to = put_segment(
				to, lengths[segment], test->offset, (uint32_t)value, test->big);
		}
		to = put_segment(to, test->offset + 4, test->offset, 77, test->big);
		size_t len = (size_t)(to - input);
		assert_null(dynamic32_check(test->config));
		for(size_t way = 0; way < cut_ways(len); way++) {
			struct session session = {
				.input = input, .lengths = lengths, .config = test->config};
			cut_feed(len, way, session_feed, &session);
			assert_int_equal(session.done, 7);
			session_end(&session);
		}
	}
}

struct sum_case {
	const char *config;
	uint32_t value;
	int64_t result; /* for the 8 bytes that are there */
};

/* Values that a sum in 32 bits would wrap around, or that leave no room for the header. */
static const struct sum_case sum_cases[] = {
	{"", 0, 4},
	{"", 4, 8},
	{"", 5, 0},
	{"", 0xFFFFFFFF, 0},
	{"", 0xFFFFFFFD, 0},
	{"", 0xFFFFFFFC, 0},
	{"", 0x80000000, 0},
	{"", 0x7FFFFFFF, 0},
	{"static=4294967295", 0xFFFFFFFF, 0},
	{"static=-4", 4, 4},
	{"static=-4", 8, 8},
	{"static=-4", 9, 0},
	{"static=-4", 3, -1},
	{"static=-4", 0, -1},
	{"static=-5", 4, -1},
	{"static=-8", 4, -1},
	{"static=-100", 0, -1},
	{"static=-100", 100, 4},
	{"static=-100", 99, -1},
	{"static=-4294967295", 0xFFFFFFFF, 4},
	{"static=-4294967295", 0xFFFFFFFE, -1},
	{"static=9223372036854775803", 0, 0},
	{"static=9223372036854775803", 1, -1},
	{"static=9223372036854775803", 0xFFFFFFFF, -1},
	{"static=9223372032559808512", 0xFFFFFFFB, 0},
	{"static=9223372032559808512", 0xFFFFFFFC, -1},
	{"static=9223372032559808508", 0xFFFFFFFF, 0},
};

static void test_sums(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(sum_cases); at++) {
		uint8_t input[8];
		put_segment(input, 8, 0, sum_cases[at].value, false);
		struct session session = {.input = input, .fed = 8, .config = sum_cases[at].config};
		assert_null(dynamic32_check(session.config));
		assert_int_equal(session_call(&session, 8), sum_cases[at].result);
		session_end(&session);
	}
}

/* An offset that is never reached only waits. */
static void test_far_offset(void **state) {
	(void)state;
	struct session session = {.input = (const uint8_t *)"12345678", .fed = 8};
	session.config = "offset=9223372036854775803";
	assert_null(dynamic32_check(session.config));
	assert_int_equal(session_call(&session, 8), 0);
	session_end(&session);
}

static const char *const accepted[] = {"", " ", "offset=0", "offset=00012", "static=0", "static=-0",
	"static=-1", "static=-4294967295", "offset=0,endian=big",
	"offset=4,static=-8,endian=little", "endian=little , offset=1", "  static  =  3  ",
	"offset=9223372036854775803"};

static const char *const rejected[] = {"offset", "offset=", "offset= ", "=1", "=", ",", "offset=1,",
	",offset=1", "offset=1,,static=2", "offset=1;static=2", "offset=1 static=2", "offset=-1",
	"offset=-0", "offset=+1", "offset=0x10", "offset=1k", "offset=1 2", "offset=1.5",
	"offset==1", "offset=9223372036854775804", "offset=9223372036854775808",
	"offset=99999999999999999999999", "offset=1,offset=1", "offset=1,offset=2", "static",
	"static=", "static=-", "static=--1", "static=- 1", "static=1-", "static=-4294967296",
	"static=-9223372036854775809", "static=9223372036854775808", "static=9223372036854775807",
	"static=1,static=1", "offset=9223372036854775800,static=4", "endian=", "endian=middle",
	"endian=Big", "endian=BIG", "endian=bigger", "endian=big,endian=big", "endian=littl",
	"length=4", "Offset=1", "offsets=1", "offse=1", "junk", "offset=1,junk", "offset=1\t", "\n",
	"\"offset=1\""};

static void test_configuration(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(accepted); at++) {
		assert_null(dynamic32_check(accepted[at]));
	}
	for(size_t at = 0; at < COUNT(rejected); at++) {
		struct session session = {.input = (const uint8_t *)"12345678", .fed = 8};
		session.config = rejected[at];
		assert_non_null(dynamic32_check(rejected[at]));
		assert_int_equal(session_call(&session, 8), -1);
		session_end(&session);
	}
}

/* The message for an error names its key. */
static void test_messages(void **state) {
	(void)state;
	assert_non_null(strstr(dynamic32_check("offset=x"), "offset must be"));
	assert_non_null(strstr(dynamic32_check("offset=1,static=x"), "static must be"));
	assert_non_null(strstr(dynamic32_check("endian=x"), "endian must be"));
	assert_non_null(strstr(dynamic32_check("offset=1,offset=1"), "once"));
	assert_non_null(strstr(dynamic32_check("junk=1"), "offset=N"));
}

static void test_no_memory(void **state) {
	(void)state;
	struct session session = {.input = (const uint8_t *)"\0\0\0\0", .fed = 4, .config = ""};
	fail_malloc = true;
	assert_int_equal(session_call(&session, 4), -1);
	fail_malloc = false;
	assert_null(session.framing_data);
	assert_int_equal(session_call(&session, 4), 4);
	session_end(&session);
	assert_ptr_equal(core_framing("dynamic32"), dynamic32_frame);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_far_offset),
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
