/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `lines`: messages and lines in both directions and in every cut.
 */
#include "framing_bench.h"

#include "plugins/lines.c"

static void add_line(
	struct items *items, struct bytes *bytes, const void *data, size_t len, const char *end) {
	bool text = utf8_valid(data, len);
	items_add(items, text ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY, data, len);
	bytes_add(bytes, data, len);
	bytes_add(bytes, end, strlen(end));
}

static void test_lines(void **state) {
	static const char *const lines[] = {
		"first", "", "a\rb", "\r\r", "\xC3\xA4\xE2\x82\xAC", "\xFF\xC3", "", "\t last"};
	(void)state;
	for(int crlf = 0; crlf < 2; crlf++) {
		struct items items = {0};
		struct bytes bytes = {0};
		for(size_t i = 0; i < COUNT(lines); i++) {
			add_line(&items, &bytes, lines[i], strlen(lines[i]), crlf ? "\r\n" : "\n");
		}
		add_line(&items, &bytes, "n\0ul", 4, crlf ? "\r\n" : "\n");
		check_both_ways(&lines_framing, crlf ? "crlf" : "lf", &items, &bytes);
		check_round_trip(&lines_framing, crlf ? "crlf" : "", &items);
		items_free(&items);
		free(bytes.data);
	}
}

static void test_a_single_lf_is_part_of_a_line_with_crlf(void **state) {
	struct items items = {0};
	struct bytes bytes = {0};
	(void)state;
	add_line(&items, &bytes, "\na\nb\n", 5, "\r\n");
	add_line(&items, &bytes, "\n", 1, "\r\n");
	check_both_ways(&lines_framing, "crlf", &items, &bytes);
	items_free(&items);
	free(bytes.data);
}

static void test_random_messages(void **state) {
	struct items items = {0};
	(void)state;
	random_items(&items, 200, 3000);
	for(size_t i = 0; i < items.count; i++) {
		struct item *item = &items.item[i];
		for(size_t at = 0; at < item->len; at++) {
			if(item->data[at] == '\n' || item->data[at] == '\r') {
				item->data[at] = ' ';
			}
		}
		item->type = utf8_valid(item->data, item->len) ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY;
	}
	check_round_trip(&lines_framing, "", &items);
	check_round_trip(&lines_framing, "crlf", &items);
	items_free(&items);
}

struct rest {
	const char *config;
	const char *bytes;
	enum websocksy_type type;
	const char *payload; /* of the last message */
};

/* Without a line end, before the end of the stream. */
static const struct rest rests[] = {
	{"", "a\nrest", WEBSOCKSY_TEXT, "rest"},
	{"lf", "a\n\xC3", WEBSOCKSY_BINARY, "\xC3"},
	{"crlf", "a\r\nb\r", WEBSOCKSY_TEXT, "b\r"},
	{"crlf", "a\n", WEBSOCKSY_TEXT, "a\n"},
};

static void test_the_rest_at_the_end(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(rests); i++) {
		size_t len = strlen(rests[i].bytes);
		for(size_t way = 0; way < cut_ways(len); way++) {
			struct bench *bench = bench_open(&lines_framing, rests[i].config);
			bench_receive(bench, rests[i].bytes, len, way);
			const struct item *last = &bench->got.item[bench->got.count - 1];
			assert_int_equal(last->type, rests[i].type);
			assert_int_equal(last->len, strlen(rests[i].payload));
			assert_memory_equal(last->data, rests[i].payload, last->len);
			bench_close(bench);
		}
	}
}

/* One that is there already is not added. */
static void test_line_ends_of_the_client(void **state) {
	static const char *const texts[][2] = {
		{"lf", "line\n"}, {"crlf", "line\r\n"}, {"lf", "\n"}, {"crlf", "\r\n"}};
	(void)state;
	for(size_t i = 0; i < COUNT(texts); i++) {
		struct items items = {0};
		size_t len = strlen(texts[i][1]);
		items_add(&items, WEBSOCKSY_TEXT, texts[i][1], len);
		for(size_t way = 0; way < cut_ways(len); way++) {
			struct bench *bench = bench_open(&lines_framing, texts[i][0]);
			bench_send(bench, &items.item[0], way);
			assert_int_equal(bench->encode_error, 0);
			assert_int_equal(bench->sent.len, len);
			assert_memory_equal(bench->sent.data, texts[i][1], len);
			bench_close(bench);
		}
		items_free(&items);
	}
	check_refuses(&lines_framing, "", "a\nb", 3, -EBADMSG);
	check_refuses(&lines_framing, "", "\n\n", 2, -EBADMSG);
	check_refuses(&lines_framing, "", "\na", 2, -EBADMSG);
	check_refuses(&lines_framing, "crlf", "a\r\nb", 4, -EBADMSG);
	check_refuses(&lines_framing, "crlf", "\r\n\r\n", 4, -EBADMSG);
	check_refuses(&lines_framing, "crlf", "a\nb\r\r\n", 6, 0);
}

static void test_datagrams(void **state) {
	static const char *const datagrams[][3] = {{"lf", "a\nb\n", "a\nb"}, {"lf", "a", "a"},
		{"lf", "\n", ""}, {"lf", "", ""}, {"crlf", "a\r\n", "a"}, {"crlf", "\n", "\n"}};
	(void)state;
	for(size_t i = 0; i < COUNT(datagrams); i++) {
		struct bench *bench = bench_open(&lines_framing, datagrams[i][0]);
		bench_datagram(bench, datagrams[i][1], strlen(datagrams[i][1]));
		assert_int_equal(bench->got.count, 1);
		assert_int_equal(bench->got.item[0].len, strlen(datagrams[i][2]));
		assert_memory_equal(
			bench->got.item[0].data, datagrams[i][2], strlen(datagrams[i][2]));
		bench_close(bench);
	}
}

static void test_configuration(void **state) {
	static const char *const good[] = {"", "lf", "crlf", NULL};
	static const char *const bad[][2] = {{"cr", "lf or crlf"}, {"LF", "lf or crlf"},
		{"crlf ", "lf or crlf"}, {"c", "lf or crlf"}, {NULL, NULL}};
	(void)state;
	check_configs(&lines_framing, good, bad);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_single_lf_is_part_of_a_line_with_crlf),
		cmocka_unit_test(test_random_messages),
		cmocka_unit_test(test_the_rest_at_the_end),
		cmocka_unit_test(test_line_ends_of_the_client),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
