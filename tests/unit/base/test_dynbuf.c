/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The growing block against one flat array. The source is compiled in a second time under other
 * names, with an allocator that can be told to fail.
 */
#include "failing_memory.h"

#include <errno.h>

#define realloc counted_realloc
#define free counted_free
#define dynbuf_reserve counted_dynbuf_reserve
#define dynbuf_append counted_dynbuf_append
#define dynbuf_free counted_dynbuf_free
#include "base/dynbuf.c"
#undef realloc
#undef free

#define ORACLE_MAX (512 * 1024)
#define PIECE_MAX (64 * 1024)

/* Sizes around everything that is special: nothing, one, the first allocation, several. */
static size_t draw_size(void) {
	static const size_t special[] = {0, 1, 2, DYNBUF_MIN - 1, DYNBUF_MIN, DYNBUF_MIN + 1};
	switch(draw(3)) {
	case 0:
		return special[draw(COUNT(special))];
	case 1:
		return draw(300);
	default:
		return draw(PIECE_MAX);
	}
}

static void test_walk(void **unused) {
	(void)unused;
	uint8_t *oracle = malloc(ORACLE_MAX);
	assert_non_null(oracle);
	size_t failed = 0;
	for(int round = 0; round < 50; round++) {
		struct dynbuf buf = {0};
		size_t len = 0;
		for(;;) {
			size_t more = draw_size();
			if(more > ORACLE_MAX - len) {
				break;
			}
			memset(oracle + len, (int)draw(256), more);
			test.fail_after = draw(4) ? SIZE_MAX : 0;
			size_t cap = buf.cap;
			bool fits = more <= cap - buf.len;
			int result = draw(3) ? dynbuf_append(&buf, oracle + len, more)
					     : dynbuf_reserve(&buf, more);
			if(result) {
				assert_true(!fits && test.fail_after == 0 && buf.cap == cap);
				failed++;
			} else if(buf.len != len) {
				len += more;
			}
			assert_int_equal(buf.len, len);
			assert_true(buf.cap >= buf.len);
			assert_true(result || buf.cap - buf.len >= more || buf.len == len);
			assert_true(len == 0 || memcmp(buf.data, oracle, len) == 0);
		}
		test.fail_after = SIZE_MAX;
		dynbuf_free(&buf);
		assert_null(buf.data);
		assert_int_equal(buf.len + buf.cap, 0);
	}
	assert_true(failed > 10);
	free(oracle);
}

static void test_reserve(void **unused) {
	(void)unused;
	struct dynbuf buf = {0};
	for(size_t more = 1; more < 200000; more = more * 3 + 1) {
		assert_int_equal(dynbuf_reserve(&buf, more), 0);
		assert_true(buf.cap - buf.len >= more);
		memset(buf.data + buf.len, 0, more);
		buf.len += (uint32_t)more / 2;
	}
	dynbuf_free(&buf);
}

/* A byte at a time costs few reallocations: growth is geometric. */
static void test_growth(void **unused) {
	(void)unused;
	struct dynbuf buf = {0};
	for(int i = 0; i < 300000; i++) {
		assert_int_equal(dynbuf_append(&buf, "x", 1), 0);
	}
	assert_true(test.calls <= 10);
	assert_true(buf.cap < 4 * buf.len);
	dynbuf_free(&buf);
}

/* Sums and products that wrap are failures, and nothing is asked of the allocator. */
static void test_overflow(void **unused) {
	(void)unused;
	struct dynbuf buf = {0};
	assert_int_equal(dynbuf_append(&buf, "abc", 3), 0);
	size_t calls = test.calls;
	assert_int_equal(dynbuf_reserve(&buf, SIZE_MAX), -ENOMEM);
	assert_int_equal(dynbuf_reserve(&buf, SIZE_MAX - 3), -ENOMEM);
	/* Lengths have 32 bits. */
	assert_int_equal(dynbuf_reserve(&buf, (size_t)1 << 32), -ENOMEM);
	assert_int_equal(dynbuf_reserve(&buf, UINT32_MAX - 2), -ENOMEM);
	assert_int_equal(
		dynbuf_reserve(&buf, UINT32_MAX - 3), -ENOMEM); /* capacities are doubled */
	assert_int_equal(test.calls, calls);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "abc", 3);
	dynbuf_free(&buf);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_walk, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_reserve, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_growth, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_overflow, reset, nothing_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
