/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of programs: every argument survives being written and read.
 */
#include "support.h"

#include "network/exec_address.h"
#include "network/peer.h"

#include <errno.h>

static void expect_words(char *const *argv, const char *const *words, size_t count) {
	for(size_t i = 0; i < count; i++) {
		assert_non_null(argv[i]);
		assert_string_equal(argv[i], words[i]);
	}
	assert_null(argv[count]);
}

static void test_split(void **state) {
	static const struct {
		const char *text;
		const char *words[4];
		size_t count;
	} cases[] = {
		{"cat", {"cat"}, 1},
		{"/bin/sh -c exit%201", {"/bin/sh", "-c", "exit 1"}, 3},
		{"  a   b ", {"a", "b"}, 2},
		{"a \"\" b", {"a", "", "b"}, 3},
		{"a \"\"x %22%22", {"a", "\"\"x", "\"\""}, 3},
		{"%2fbin%2Fcat %3f%25%26", {"/bin/cat", "?%&"}, 2},
		{"", {NULL}, 0},
		{"   ", {NULL}, 0},
		{"a %", {NULL}, 0},
		{"a %1", {NULL}, 0},
		{"a %zz b", {NULL}, 0},
		{"a%00b", {NULL}, 0},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		char **argv = exec_address_split(cases[i].text);
		assert_non_null(argv);
		expect_words(argv, cases[i].words, cases[i].count);
		free(argv);
	}
}

static void test_every_byte_survives(void **state) {
	char word[256];
	(void)state;
	for(int i = 1; i < 256; i++) {
		word[i - 1] = (char)i;
	}
	word[255] = '\0';
	char *words[] = {"/bin/prog", word, "", "\"\"", "%", "a b", "?x=%y", "%41", NULL};
	char *text = exec_address_of(words);
	assert_non_null(text);
	for(const char *at = text; *at; at++) {
		assert_true(*at >= ' ' && *at <= '~' && *at != '?');
	}
	char **argv = exec_address_split(text);
	expect_words(argv, (const char *const *)words, COUNT(words) - 1);
	free(argv);
	free(text);
}

static void test_parse_and_format(void **state) {
	static const struct {
		const char *host;
		int result;
		const char *why;
	} cases[] = {
		{"exec://cat", 0, NULL},
		{"exec:///bin/sh -c exit%201 %3F", 0, NULL},
		{"EXEC://cat", 0, NULL},
		{"exec://", -EINVAL, "the program is missing"},
		{"exec://\"\"", -EINVAL, "neither an absolute path"},
		{"exec://bin/cat", -EINVAL, "neither an absolute path"},
		{"exec://./cat", -EINVAL, "neither an absolute path"},
		{"exec://cat %x", -EINVAL, "% is not followed by two hexadecimal digits"},
		{"exec://cat?proxy=v1", -EINVAL, "does not support the parameter"},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct peer_address address;
		const char *why = NULL;
		char text[128];
		int result =
			peer_parse(peer_transport_detect, cases[i].host, NULL, &address, &why);
		assert_int_equal(result, cases[i].result);
		if(result) {
			assert_non_null(strstr(why, cases[i].why));
		} else {
			peer_address_format(&address, text, sizeof(text));
			assert_int_equal(strncasecmp(text, cases[i].host, sizeof(text)), 0);
			assert_true(address.kind->program && peer_is_program(text));
		}
		peer_address_free(&address);
	}
}

static void test_only_programs_are_programs(void **state) {
	(void)state;
	assert_true(peer_is_program("Exec://x"));
	assert_false(peer_is_program("exec:/x"));
	assert_false(peer_is_program("tcp://exec://x"));
	assert_false(peer_is_program("echo://"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_every_byte_survives),
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_only_programs_are_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
