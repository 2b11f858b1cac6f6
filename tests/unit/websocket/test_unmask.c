/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unmasking: all lengths, distances and rotations.
 */
#include "websocket/frames.h"

/*
 * A header that continues with bytes that would be frames on their own must not be taken for
 * them.
 */
static void test_mask_that_looks_like_frames(void **state) {
	(void)state;
	static const uint8_t mask[4] = {0x82, 0x80, 0x81, 0x80};
	static const size_t lengths[] = {0, 3, 100, 0x8180};
	for(size_t i = 0; i < COUNT(lengths); i++) {
		struct stream in = {0};
		struct stream expected = {0};
		add_header(&in, FIN | BINARY, shortest_form(lengths[i]), lengths[i], mask);
		for(size_t at = 0; at < lengths[i]; at++) {
			uint8_t byte = at % 2 ? 0x80 : 0x81;
			stream_add(&in, &byte, 1);
			byte ^= mask[at % 4];
			stream_add(&expected, &byte, 1);
		}
		stream_add(&expected, "|2;", 3);
		for(size_t way = 0; way < 20 && way < cut_ways(in.len); way++) {
			check_way(&in, true, expected.data, expected.len, way);
		}
		stream_free(&in);
		stream_free(&expected);
	}
}

/* Unmasks at all lengths, distances and rotations; bytes around the output stay as they are. */
static void check_unmask(size_t len, size_t distance, size_t rotation) {
	uint8_t plain[400];
	uint8_t mask[4];
	uint8_t expected_mask[4];
	struct guard guard = guard_new(NULL, distance + len);
	uint8_t *src = guard.data + distance;
	fill(plain, sizeof(plain), false);
	memset(guard.data, 0xA5, distance);
	for(size_t i = 0; i < 4; i++) {
		mask[i] = test_mask[(i + rotation) % 4];
		expected_mask[i] = test_mask[(i + rotation + len) % 4];
	}
	for(size_t i = 0; i < len; i++) {
		src[i] = plain[i] ^ mask[i % 4];
	}
	websocket_unmask(guard.data, src, len, mask);
	assert_memory_equal(guard.data, plain, len);
	assert_memory_equal(mask, expected_mask, 4);
	for(size_t i = len; i < distance; i++) {
		assert_int_equal(guard.data[i], 0xA5);
	}
	guard_free(&guard);
}

static void test_unmask(void **state) {
	(void)state;
	for(size_t len = 0; len < 200; len++) {
		for(size_t distance = 0; distance < 40; distance++) {
			check_unmask(len, distance, (len + distance) % 4);
		}
		check_unmask(len + 180, len % 40, len % 4);
		check_unmask(len, 300, len % 3);
		check_unmask(len, 6, 0);
		check_unmask(len, 6, 1);
		check_unmask(len, 6, 2);
		check_unmask(len, 6, 3);
	}
}

static void test_unmask_in_pieces(void **state) {
	(void)state;
	uint8_t plain[350];
	fill(plain, sizeof(plain), false);
	for(size_t cut = 0; cut <= sizeof(plain); cut++) {
		uint8_t data[sizeof(plain)];
		uint8_t mask[4];
		memcpy(mask, test_mask, 4);
		for(size_t i = 0; i < sizeof(plain); i++) {
			data[i] = plain[i] ^ test_mask[i % 4];
		}
		websocket_unmask(data, data, cut, mask);
		websocket_unmask(data + cut, data + cut, sizeof(plain) - cut, mask);
		assert_memory_equal(data, plain, sizeof(plain));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask_that_looks_like_frames),
		cmocka_unit_test(test_unmask),
		cmocka_unit_test(test_unmask_in_pieces),
	};
	return cmocka_run_group_tests_name("unmask", tests, NULL, NULL);
}
