/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts of a request by the name of their source, and answers that are kept.
 */
#include "plugin/answer_cache.h"
#include "plugin/find.h"
#include "support.h"

static void test_sources(void **unused) {
	static const struct {
		const char *source;
		const char *text; /* NULL: none */
	} cases[] = {
		{"path", "/a/b"},
		{"query", "x=1&token=a%20b+c&x=2&bad=%4&nul=%00&empty=&%74=t"},
		{"query:x", "1"},
		{"query:token", "a b c"},
		{"query:bad", NULL},
		{"query:nul", NULL},
		{"query:empty", ""},
		{"query:t", "t"},
		{"query:none", NULL},
		{"host", "vm1"},
		{"header:x-two", "a, b"},
		{"header:X-None", NULL},
		{"cookie:b", "2"},
		{"cookie:c", "3"},
		{"cookie:a", "1"},
		{"cookie:B", NULL},
		{"bearer", "abc.def"},
		{"user", "alice"},
		{"client", NULL},
		{"protocols", "binary, base64"},
		{"nonsense", NULL},
		{"query:", NULL},
		{"host:x", NULL},
	};
	char target[] = "/a/b?x=1&token=a%20b+c&x=2&bad=%4&nul=%00&empty=&%74=t";
	ws_http_header header[] = {
		{(char[]){"Host"}, (char[]){"vm1.example.org:80"}},
		{(char[]){"X-Two"}, (char[]){"a"}},
		{(char[]){"x-two"}, (char[]){"b"}},
		{(char[]){"Cookie"}, (char[]){"a=1; b=\"2\""}},
		{(char[]){"cookie"}, (char[]){"c=3"}},
		{(char[]){"Authorization"}, (char[]){"bearer  abc.def"}},
		{(char[]){"Websocksy-User"}, (char[]){"alice"}},
	};
	char *protocol[] = {(char[]){"binary"}, (char[]){"base64"}};
	struct backend_request request = {.endpoint = target,
		.protocols = COUNT(protocol),
		.protocol = protocol,
		.headers = COUNT(header),
		.header = header};
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct found *found = NULL;
		const char *text = find_text(&request, cases[i].source, &found);
		if(cases[i].text) {
			assert_non_null(text);
			assert_string_equal(text, cases[i].text);
		} else {
			assert_null(text);
		}
		find_free(found);
	}
	assert_null(find_check("cookie:x"));
	assert_non_null(find_check("cookie:"));
	assert_non_null(find_check("cookies:x"));
}

static void test_cache(void **unused) {
	struct answer_cache cache;
	const char *peer[] = {"tcp://a:1", "tcp://b:2"};
	char key[32] = "key";
	struct websocksy_answer answer = {.size = sizeof(answer),
		.peer = peer,
		.peers = 2,
		.session = "s",
		.prelude = "p",
		.prelude_len = 1,
		.cache_key = key,
		.cache_ms = 10};
	(void)unused;
	answer_cache_init(&cache);
	answer_cache_add(&cache, &answer, 100);
	assert_null(answer_cache_find(&cache, "other", 100));
	const struct websocksy_answer *found = answer_cache_find(&cache, "key", 109);
	assert_non_null(found);
	assert_string_equal(found->peer[1], "tcp://b:2");
	assert_string_equal(found->session, "s");
	assert_memory_equal(found->prelude, "p", 1);
	assert_null(answer_cache_find(&cache, "key", 110));
	assert_int_equal(cache.count, 0);
	for(int i = 0; i <= ANSWER_CACHE_MAX; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		answer_cache_add(&cache, &answer, 100);
	}
	assert_int_equal(cache.count, ANSWER_CACHE_MAX);
	assert_null(answer_cache_find(&cache, "key 0", 100));
	assert_non_null(answer_cache_find(&cache, "key 1", 100));
	answer_cache_clear(&cache);
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_cache),
	};
	return cmocka_run_group_tests_name("find", tests, NULL, NULL);
}
