/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing `guacamole`: instructions in both directions and in every cut, and invalid ones.
 */
#include "framing_bench.h"

#include "plugins/guacamole.c"

/* As a client and guacd exchange them. */
static const char *const recorded[] = {
	"6.select,3.vnc;",
	"4.args,13.VERSION_1_5_0,8.hostname,4.port,8.password;",
	"4.size,4.1024,3.768,2.96;",
	"5.audio;",
	"5.image,9.image/png,10.image/jpeg;",
	"7.connect,13.VERSION_1_5_0,9.localhost,4.5900,0.;",
	"5.ready,37.$260d01da-779b-4ee9-afc1-c16bae885cc7;",
	"4.name,7.D\xC3\xA9sktop;",
	"3.img,1.1,2.14,1.0,9.image/png,1.0,1.0;",
	"4.blob,1.1,36.iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYA;",
	"3.end,1.1;",
	"4.sync,8.31548563;",
	"9.clipboard,1.0,10.text/plain;",
	"4.blob,1.0,6.\xF0\x9F\x98\x80\xE2\x82\xAC,;.1;",
	"0.,4.ping,13.1700000000000;",
	"0.;",
	"3.key,5.65307,1.1;",
	"10.disconnect;",
};

static void test_recorded_instructions(void **state) {
	struct items items = {0};
	struct bytes bytes = {0};
	(void)state;
	for(size_t i = 0; i < COUNT(recorded); i++) {
		items_add(&items, WEBSOCKSY_TEXT, recorded[i], strlen(recorded[i]));
		bytes_add(&bytes, recorded[i], strlen(recorded[i]));
	}
	check_both_ways(&guacamole_framing, "", &items, &bytes);
	/* Several instructions in one message of the client. */
	check_refuses(&guacamole_framing, "", (const char *)bytes.data, bytes.len, 0);
	items_free(&items);
	free(bytes.data);
}

static void test_random_instructions(void **state) {
	static const char *const characters[] = {
		"a", "Z", ";", ",", ".", "7", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
	struct items items = {0};
	(void)state;
	for(size_t i = 0; i < 200; i++) {
		struct bytes bytes = {0};
		uint32_t elements = 1 + random_below(5);
		for(uint32_t element = 0; element < elements; element++) {
			uint32_t len = random_below(random_below(4) ? 20 : 2000);
			uint32_t kinds = random_below(2) ? 2 : COUNT(characters);
			char number[16];
			snprintf(number, sizeof(number), "%s%u.", element ? "," : "", len);
			bytes_add(&bytes, number, strlen(number));
			for(uint32_t at = 0; at < len; at++) {
				const char *one = characters[random_below(kinds)];
				bytes_add(&bytes, one, strlen(one));
			}
		}
		bytes_add(&bytes, ";", 1);
		items_add(&items, WEBSOCKSY_TEXT, bytes.data, bytes.len);
		free(bytes.data);
	}
	check_round_trip(&guacamole_framing, "", &items);
	items_free(&items);
}

static void test_invalid_instructions(void **state) {
	static const char *const texts[] = {"x", ";", ",", ".", "4", "4.", "4.syn", "4.sync",
		"4.sync,", "4.syncs;", "3.sync;", "4.sync;x", "4.sync;4", "4.sync,;", "4.sync,.;",
		"-1.a;", "+1.a;", " 1.a;", "1 .a;", "1x.a;", "9999999999.a;", "00000000001.a;",
		"1.\xC3\xA4", "1.\xC3\xA4\xC3\xA4;", "1.;", "1.a\n;"};
	(void)state;
	for(size_t i = 0; i < COUNT(texts); i++) {
		size_t len = strlen(texts[i]);
		check_fails(&guacamole_framing, "", texts[i], len, -EPROTO);
		check_refuses(&guacamole_framing, "", texts[i], len, -EBADMSG);
	}
}

/* The next message begins anew. */
static void test_messages_of_the_client(void **state) {
	struct items items = {0};
	(void)state;
	items_add(&items, WEBSOCKSY_TEXT, "", 0);
	items_add(&items, WEBSOCKSY_BINARY, "3.nop;", 6);
	struct bench *bench = bench_open(&guacamole_framing, "");
	bench_send(bench, &items.item[0], 0);
	bench_send(bench, &items.item[1], 0);
	assert_int_equal(bench->encode_error, 0);
	assert_int_equal(bench->sent.len, 6);
	bench_close(bench);
	items_free(&items);
}

static void test_datagrams(void **state) {
	(void)state;
	for(size_t len = 0; len <= 7; len++) {
		struct bench *bench = bench_open(&guacamole_framing, "");
		bench_datagram(bench, "3.nop;3", len);
		assert_int_equal(bench->error, len == 6 ? 0 : -EPROTO);
		bench_close(bench);
	}
}

static void test_configuration(void **state) {
	static const char *const good[] = {"", NULL};
	static const char *const bad[][2] = {{"x", "no configuration"}, {NULL, NULL}};
	(void)state;
	check_configs(&guacamole_framing, good, bad);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_instructions),
		cmocka_unit_test(test_random_instructions),
		cmocka_unit_test(test_invalid_instructions),
		cmocka_unit_test(test_messages_of_the_client),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
