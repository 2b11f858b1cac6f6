/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `length`: each kind of prefix in both directions and in every cut, limits, and what
 * its configuration may be.
 */
#include "framing_bench.h"

#include "plugins/length.c"

/* The simple version: `width` 0 is a varint. */
static void add_prefix(struct bytes *bytes, unsigned width, bool little, uint64_t value) {
	if(width == 0) {
		do {
			uint8_t byte = (uint8_t)(value % 128 + (value >= 128 ? 128 : 0));
			bytes_add(bytes, &byte, 1);
			value /= 128;
		} while(value > 0);
		return;
	}
	for(unsigned i = 0; i < width; i++) {
		unsigned place = little ? i : width - 1 - i;
		uint8_t byte = (uint8_t)(value >> 8 * place);
		bytes_add(bytes, &byte, 1);
	}
}

struct prefix {
	const char *config;
	unsigned width;
	bool little;
	uint32_t longest;
};

static const struct prefix prefixes[] = {
	{"", 4, false, 66000},
	{"width=1", 1, false, 255},
	{"width=2", 2, false, 65535},
	{"width=2,endian=little", 2, true, 65535},
	{" endian = little , width = 4 ", 4, true, 66000},
	{"width=4,endian=big", 4, false, 66000},
	{"width=8", 8, false, 66000},
	{"width=8,endian=little", 8, true, 66000},
	{"width=varint", 0, false, 66000},
	{"width=varint,max=70000", 0, false, 66000},
};

/* Whatever its type was, a message comes back as binary. */
static void make_binary(struct items *items) {
	for(size_t i = 0; i < items->count; i++) {
		items->item[i].type = WEBSOCKSY_BINARY;
	}
}

static void test_messages(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(prefixes); at++) {
		const struct prefix *prefix = &prefixes[at];
		struct items items = {0};
		struct bytes bytes = {0};
		items_add(&items, WEBSOCKSY_BINARY, "", 0);
		items_add(&items, WEBSOCKSY_BINARY, "\x01", 1);
		items_add(&items, WEBSOCKSY_BINARY, "", 0);
		random_items(&items, 3, 254);
		make_binary(&items);
		for(size_t i = 0; i < items.count; i++) {
			add_prefix(&bytes, prefix->width, prefix->little, items.item[i].len);
			bytes_add(&bytes, items.item[i].data, items.item[i].len);
		}
		check_both_ways(&length_framing, prefix->config, &items, &bytes);
		random_items(&items, 60, prefix->longest);
		make_binary(&items);
		check_round_trip(&length_framing, prefix->config, &items);
		items_free(&items);
		free(bytes.data);
	}
}

struct failure {
	const char *config;
	const char *data;
	size_t len;
	int64_t error;
};

static const struct failure failures[] = {
	{"width=1", "\x02z", 2, -EPROTO},
	{"width=2", "\0", 1, -EPROTO},
	{"", "\xFF\xFF\xFF\xFFz", 5, -EPROTO},
	{"max=2", "\0\0\0\x02zz", 6, 0},
	{"max=2", "\0\0\0\x03zz", 6, -EMSGSIZE},
	{"width=8", "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xF5z", 9, -EPROTO},
	{"width=8", "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xF6z", 9, -EMSGSIZE},
	{"width=8", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFz", 9, -EMSGSIZE},
	{"width=varint", "\x80", 1, -EPROTO},
	{"width=varint", "\x82\x80\x80\x80\x80\x80\x80\x80\x80\0zz", 12, 0},
	{"width=varint", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 10, -EMSGSIZE},
	{"width=varint", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 10, -EPROTO},
	{"width=varint", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 10, -EPROTO},
};

static void test_invalid_input(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(failures); i++) {
		check_fails(&length_framing, failures[i].config, failures[i].data, failures[i].len,
			failures[i].error);
	}
}

static void test_messages_that_are_too_long(void **state) {
	static const char text[65536];
	struct items items = {0};
	(void)state;
	check_refuses(&length_framing, "max=3", text, 3, 0);
	check_refuses(&length_framing, "max=3", text, 4, -EMSGSIZE);
	check_refuses(&length_framing, "width=1", text, 255, 0);
	check_refuses(&length_framing, "width=1", text, 256, -EMSGSIZE);
	items_add(&items, WEBSOCKSY_BINARY, text, sizeof(text));
	struct bench *bench = bench_open(&length_framing, "width=2");
	bench_send(bench, &items.item[0], 0);
	assert_int_equal(bench->encode_error, -EMSGSIZE);
	assert_int_equal(bench->sent.len, 0);
	bench_close(bench);
	items_free(&items);
}

static void test_datagrams(void **state) {
	(void)state;
	for(size_t len = 0; len <= 4; len++) {
		struct bench *bench = bench_open(&length_framing, "width=1");
		bench_datagram(bench, "\x02ok\n", len);
		assert_int_equal(bench->error, len == 3 ? 0 : -EPROTO);
		bench_close(bench);
	}
}

static void test_configuration(void **state) {
	static const char *const good[] = {"", " ", "max=1", "max=64K", "max=2M", "max=8589934591G",
		"max=9223372036854775797", "endian=big", "width=1,endian=little", NULL};
	static const char *const bad[][2] = {{"width", "width=1"}, {"width=", "width must be"},
		{"width=3", "width must be"}, {"width=16", "width must be"},
		{"width=Varint", "width must be"}, {"endian=", "endian must be"},
		{"endian=Big", "endian must be"}, {"max=", "max must be"}, {"max=0", "max must be"},
		{"max=K", "max must be"}, {"max=1k", "max must be"}, {"max=-1", "max must be"},
		{"max=1.5K", "max must be"}, {"max=9223372036854775798", "max must be"},
		{"max=99999999999999999999", "max must be"}, {"max=8589934592G", "max must be"},
		{"width=1,width=1", "twice"}, {"width=varint,endian=big", "varint"},
		{"endian=little,width=varint", "varint"}, {"width=1,", "width=1|2"},
		{",", "width=1|2"}, {"4", "width=1|2"}, {"Width=1", "width=1|2"}, {NULL, NULL}};
	(void)state;
	check_configs(&length_framing, good, bad);
	struct websocksy_framing_stream stream = {.framing = &length_framing, .config = "width=3"};
	assert_int_equal(length_open(&stream, NULL), -EINVAL);
	assert_null(stream.state);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_invalid_input),
		cmocka_unit_test(test_messages_that_are_too_long),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
