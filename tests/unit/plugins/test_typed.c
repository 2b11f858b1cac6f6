/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `typed`: types, boundaries and empty messages in both directions and in every cut.
 */
#include "framing_bench.h"

#include "plugins/typed.c"

static void add_typed(struct bytes *bytes, const struct item *item) {
	uint8_t header[] = {(uint8_t)item->type, 0, (uint8_t)(item->len / 65536),
		(uint8_t)(item->len / 256), (uint8_t)item->len};
	bytes_add(bytes, header, sizeof(header));
	bytes_add(bytes, item->data, item->len);
}

static void test_messages(void **state) {
	struct items items = {0};
	struct bytes bytes = {0};
	(void)state;
	items_add(&items, WEBSOCKSY_TEXT, "text", 4);
	items_add(&items, WEBSOCKSY_TEXT, "", 0);
	items_add(&items, WEBSOCKSY_BINARY, "", 0);
	items_add(&items, WEBSOCKSY_BINARY, "\x01\0\0\0\x01", 5);
	random_items(&items, 3, 300);
	for(size_t i = 0; i < items.count; i++) {
		add_typed(&bytes, &items.item[i]);
	}
	check_both_ways(&typed_framing, "", &items, &bytes);
	items_free(&items);
	free(bytes.data);
}

static void test_random_messages(void **state) {
	struct items items = {0};
	(void)state;
	random_items(&items, 200, 66000);
	check_round_trip(&typed_framing, "", &items);
	items_free(&items);
}

static void test_invalid_input(void **state) {
	(void)state;
	for(int opcode = 0; opcode < 256; opcode++) {
		uint8_t data[] = {(uint8_t)opcode, 0, 0, 0, 0};
		bool valid = opcode == 1 || opcode == 2;
		check_fails(&typed_framing, "", data, sizeof(data), valid ? 0 : -EPROTO);
	}
	check_fails(&typed_framing, "", "\x01", 1, -EPROTO);
	check_fails(&typed_framing, "", "\x01\0\0\0", 4, -EPROTO);
	check_fails(&typed_framing, "", "\x01\0\0\0\x02z", 6, -EPROTO);
	check_fails(&typed_framing, "", "\x02\xFF\xFF\xFF\xFFz", 6, -EPROTO);
	check_fails(&typed_framing, "", "\x02\0\0\0\0\x03", 6, -EPROTO);
}

/* The header comes with the first part; nothing is kept. */
static void test_large_messages_are_streamed(void **state) {
	struct websocksy_output output = {.reserve = bench_reserve};
	uint8_t data[] = "part";
	struct websocksy_framing_stream stream = {.framing = &typed_framing, .config = ""};
	struct websocksy_part part = {.data = data,
		.len = 4,
		.first = true,
		.type = WEBSOCKSY_BINARY,
		.total = UINT32_MAX};
	(void)state;
	assert_int_equal(typed_encode(&stream, &part, &output), 0);
	assert_int_equal(output.len, 9);
	assert_memory_equal(output.data, "\x02\xFF\xFF\xFF\xFFpart", 9);
	part.total = (uint64_t)UINT32_MAX + 1;
	assert_int_equal(typed_encode(&stream, &part, &output), -EMSGSIZE);
	assert_int_equal(output.len, 9);
	free(output.data);
}

static void test_datagrams(void **state) {
	static const uint8_t good[] = "\x01\0\0\0\x02ok";
	(void)state;
	for(size_t len = 0; len <= sizeof(good); len++) {
		struct bench *bench = bench_open(&typed_framing, "");
		bench_datagram(bench, good, len);
		assert_int_equal(bench->error, len == 7 ? 0 : -EPROTO);
		assert_int_equal(bench->got.count, len == 7);
		bench_close(bench);
	}
}

static void test_configuration(void **state) {
	static const char *const good[] = {"", NULL};
	static const char *const bad[][2] = {{"x", "no configuration"}, {NULL, NULL}};
	(void)state;
	check_configs(&typed_framing, good, bad);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_random_messages),
		cmocka_unit_test(test_invalid_input),
		cmocka_unit_test(test_large_messages_are_streamed),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
