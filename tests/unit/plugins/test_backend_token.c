/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `token`: options, the formats of its files, files that change.
 */
#include "plugins/backend_token.c"
#include "plugins/backend_token/files.c"
#include "plugins/backend_token/source.c"
#include "plugins/backend_token/table.c"
#include "plugins/common/duration.c"
#include "plugins/common/reading.c"
#include "plugins/common/target.c"

#include "plugins/backend_bench.h"

#include <sys/socket.h>
#include <sys/un.h>

#define TOKEN "query:token"

static void open_with(const char *kind, const char *path) {
	bench_open();
	assert_int_equal(bench_set(kind, path), 0);
	assert_int_equal(bench_check(), 0);
}

static void test_options(void **unused) {
	(void)unused;
	bench_open();
	assert_int_equal(bench_check(), -EINVAL);
	assert_non_null(strstr(bench.error, "file: one of the options"));
	assert_int_equal(bench_set("from", "nonsense"), -EINVAL);
	assert_string_equal(bench.error, "must be a source");
	assert_int_equal(bench_set("from", "cookie:a"), 0);
	assert_int_equal(bench_set("from", "bearer"), 0);
	assert_int_equal(bench_set("ttl", "1x"), -EINVAL);
	assert_non_null(strstr(bench.error, "must be a time"));
	assert_int_equal(bench_set("ttl", "5s"), 0);
	assert_int_equal(bench_set("file", ""), -EINVAL);
	assert_int_equal(bench_set("file", bench_path("missing")), 0);
	assert_int_equal(bench_check(), -EINVAL);
	assert_non_null(strstr(bench.error, "file: "));
	assert_non_null(strstr(bench.error, "missing: No such file"));
	bench_close();
}

static void test_lines(void **unused) {
	(void)unused;
	static const char text[] = "# comment: a:1\n"
				   "\n"
				   "one: h1:1\n"
				   "  two:\t[::1]:2  \r\n"
				   "a:b: h3:3\n"
				   "one: h4:4\n"
				   "local: unix_socket:/run/s\n"
				   "address: tls://h:5?insecure\n"
				   "wrong\n"
				   "wrong:no blank\n"
				   "bad: h:99999\n"
				   "two targets: h:1 h:2\n"
				   ": h:1\n"
				   "zero\0: h:1\n"
				   "last: h9:9";
	bench_write("tokens", text, sizeof(text) - 1);
	open_with("file", bench_path("tokens"));
	bench_expect_peer(TOKEN, "one", "tcp://h4:4");
	bench_expect_peer(TOKEN, "two", "tcp://[::1]:2");
	bench_expect_peer(TOKEN, "a:b", "tcp://h3:3");
	bench_expect_peer(TOKEN, "local", "unix:///run/s");
	bench_expect_peer(TOKEN, "address", "tls://h:5?insecure");
	bench_expect_peer(TOKEN, "last", "tcp://h9:9");
	static const char *const unknown[] = {NULL, "", "wrong", "bad", "two targets", "zero",
		"# comment", "one:", "on", "onee", "A:b"};
	for(size_t i = 0; i < COUNT(unknown); i++) {
		bench_expect_status(TOKEN, unknown[i], 404);
	}
	assert_non_null(strstr(FAKE.log, "tokens:9: must be TOKEN: HOST:PORT"));
	assert_null(strstr(FAKE.log, "no blank"));
	bench_close();
}

static void test_other_source_of_the_token(void **unused) {
	(void)unused;
	bench_write_text("tokens", "t: h:1\n");
	open_with("file", bench_path("tokens"));
	assert_int_equal(bench_set("from", "cookie:id"), 0);
	assert_int_equal(bench_set("ttl", "2"), 0);
	bench_expect_status(TOKEN, "t", 404);
	struct fake_query query;
	bench_query(&query, "cookie:id", "t");
	assert_string_equal(query.text, "tcp://h:1");
	assert_string_equal(query.cache_key, "t");
	assert_int_equal(query.answer.cache_ms, 2000);
	bench_close();
}

/* Each change is seen at once, also several within one tick of the clock. */
static void test_changed_files(void **unused) {
	(void)unused;
	char text[32];
	bench_write_text("tokens", "t: h:1\n");
	open_with("file", bench_path("tokens"));
	for(unsigned i = 0; i < 200; i++) {
		char peer[32];
		snprintf(text, sizeof(text), "t: h:%u\n", 100 + i);
		snprintf(peer, sizeof(peer), "tcp://h:%u", 100 + i);
		bench_write_text("tokens", text);
		bench_expect_peer(TOKEN, "t", peer);
	}
	bench_write_text("new", "u: h:2\n");
	assert_int_equal(rename(bench_path("new"), bench_path("tokens")), 0);
	bench_expect_status(TOKEN, "t", 404);
	bench_expect_peer(TOKEN, "u", "tcp://h:2");
	assert_int_equal(remove(bench_path("tokens")), 0);
	bench_expect_status(TOKEN, "u", 503);
	assert_non_null(strstr(FAKE.log, "tokens: No such file"));
	bench_write_text("tokens", "u: h:3\n");
	bench_expect_peer(TOKEN, "u", "tcp://h:3");
	bench_close();
}

/* As soon as the time of its change has passed, the file is not read again. */
static void test_unchanged_file_is_kept(void **unused) {
	(void)unused;
	bench_write_text("tokens", "t: h:1\n");
	open_with("file", bench_path("tokens"));
	const struct files *files = &((struct token *)bench.state)->sources[0].files;
	while(!files->entry[0].stamp.settled) {
		bench_expect_peer(TOKEN, "t", "tcp://h:1");
	}
	const char *text = files->entry[0].table.text.at;
	char *rows = (char *)files->entry[0].table.rows;
	bench_expect_peer(TOKEN, "t", "tcp://h:1");
	assert_ptr_equal(files->entry[0].table.text.at, text);
	assert_ptr_equal(files->entry[0].table.rows, rows);
	bench_close();
}

static void test_directory(void **unused) {
	(void)unused;
	assert_int_equal(mkdir(bench_path("tokens.d"), 0700), 0);
	assert_int_equal(mkdir(bench_path("tokens.d/sub"), 0700), 0);
	bench_write_text("tokens.d/b", "t: h:2\nb: h:22\n");
	bench_write_text("tokens.d/a", "t: h:1\na: h:11\n");
	bench_write_text("tokens.d/.hidden", "hidden: h:3\n");
	bench_write_text("tokens.d/a~", "old: h:4\n");
	open_with("directory", bench_path("tokens.d"));
	bench_expect_peer(TOKEN, "t", "tcp://h:2");
	bench_expect_peer(TOKEN, "a", "tcp://h:11");
	bench_expect_status(TOKEN, "hidden", 404);
	bench_expect_status(TOKEN, "old", 404);
	bench_write_text("tokens.d/c", "t: h:5\n");
	bench_expect_peer(TOKEN, "t", "tcp://h:5");
	bench_write_text("tokens.d/a", "a: h:6\n");
	bench_expect_peer(TOKEN, "a", "tcp://h:6");
	bench_expect_peer(TOKEN, "b", "tcp://h:22");
	assert_int_equal(remove(bench_path("tokens.d/c")), 0);
	bench_expect_peer(TOKEN, "t", "tcp://h:2");
	assert_int_equal(rename(bench_path("tokens.d"), bench_path("gone")), 0);
	bench_expect_status(TOKEN, "t", 503);
	bench_close();
}

/* Nothing outside of the directory, nothing hidden, and no directory. */
static void test_names(void **unused) {
	(void)unused;
	static const char *const refused[] = {"../secret", "..", ".", "sub/inner", "/etc/passwd",
		"./one", ".hidden", "sub", "missing", "one/", "fifo", "one/x"};
	char name[NAME_MAX + 2];
	bench_write_text("secret", "h:1");
	assert_int_equal(mkdir(bench_path("names"), 0700), 0);
	assert_int_equal(mkdir(bench_path("names/sub"), 0700), 0);
	assert_int_equal(mkfifo(bench_path("names/fifo"), 0600), 0);
	bench_write_text("names/one", " h:1\n");
	bench_write_text("names/.hidden", "h:1");
	bench_write_text("names/sub/inner", "h:1");
	bench_write_text("names/bad", "h:1\nh:2");
	bench_write_text("names/empty", "");
	open_with("names", bench_path("names"));
	bench_expect_peer(TOKEN, "one", "tcp://h:1");
	for(size_t i = 0; i < COUNT(refused); i++) {
		bench_expect_status(TOKEN, refused[i], 404);
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	bench_expect_status(TOKEN, name, 404);
	assert_string_equal(FAKE.log, "");
	bench_expect_status(TOKEN, "bad", 502);
	bench_expect_status(TOKEN, "empty", 502);
	bench_write("names/large", (char[NAMED_SIZE_MAX + 1]){"h:1"}, NAMED_SIZE_MAX + 1);
	bench_expect_status(TOKEN, "large", 503);
	bench_close();
}

static void make_socket(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_sockets(void **unused) {
	(void)unused;
	char peer[256];
	assert_int_equal(mkdir(bench_path("sockets"), 0700), 0);
	make_socket(bench_path("sockets/one"));
	make_socket(bench_path("sockets/a?b"));
	make_socket(bench_path("outside"));
	bench_write_text("sockets/file", "h:1");
	assert_int_equal(symlink("../outside", bench_path("sockets/link")), 0);
	open_with("sockets", bench_path("sockets"));
	snprintf(peer, sizeof(peer), "unix://%s/sockets/one", bench.root);
	bench_expect_peer(TOKEN, "one", peer);
	snprintf(peer, sizeof(peer), "unix://%s/sockets/a%%3Fb", bench.root);
	bench_expect_peer(TOKEN, "a?b", peer);
	static const char *const refused[] = {"../outside", "link", "file", "missing", ".."};
	for(size_t i = 0; i < COUNT(refused); i++) {
		bench_expect_status(TOKEN, refused[i], 404);
	}
	bench_close();
}

/* The first source that knows the token decides; one that cannot be read ends the search. */
static void test_several_sources(void **unused) {
	(void)unused;
	bench_write_text("first", "t: h:1\n");
	bench_write_text("second", "t: h:2\nu: h:3\n");
	open_with("file", bench_path("first"));
	assert_int_equal(bench_set("file", bench_path("second")), 0);
	bench_expect_peer(TOKEN, "t", "tcp://h:1");
	bench_expect_peer(TOKEN, "u", "tcp://h:3");
	assert_int_equal(remove(bench_path("first")), 0);
	bench_expect_status(TOKEN, "u", 503);
	bench_close();
}

/* Every prefix of a file, and each byte changed: the table is as a simple search finds it. */
static const char *find_simply(char *text, size_t len, const char *token, char out[TARGET_MAX]) {
	const char *found = NULL;
	size_t token_len = strlen(token);
	for(size_t at = 0; at < len;) {
		char *end = memchr(text + at, '\n', len - at);
		size_t stop = end ? (size_t)(end - text) : len;
		at += strspn(text + at, " \t\r\v\f");
		const char *line = text + at;
		if(at < stop && stop - at > token_len + 2 && !memcmp(line, token, token_len) &&
			line[token_len] == ':' && strchr(" \t\r\v\f", line[token_len + 1]) &&
			line[token_len + 1] && !memchr(line, 0, stop - at) &&
			target_from_text(line + token_len + 2, stop - at - token_len - 2, out)) {
			found = out;
			memcpy(out + TARGET_MAX / 2, out, TARGET_MAX / 2);
		}
		at = stop + 1;
	}
	return found ? out + TARGET_MAX / 2 : NULL;
}

static void expect_same(const char *bytes, size_t len) {
	char simple[TARGET_MAX];
	char peer[TARGET_MAX];
	struct table table;
	struct reading_text text = {malloc(len + 1), len};
	memcpy(text.at, bytes, len);
	text.at[len] = '\0';
	const char *expected = find_simply(text.at, len, "tok", simple);
	assert_int_equal(table_fill(&table, text), 0);
	const char *target = table_find(&table, "tok");
	assert_int_equal(target != NULL, expected != NULL);
	if(target) {
		assert_true(target_from_text(target, strlen(target), peer));
		assert_string_equal(peer, expected);
	}
	table_free(&table);
}

static void test_every_byte(void **unused) {
	(void)unused;
	static const char text[] = "#c\ntok: h:1\nx: h:2\n\ntok:\th:3\nzz: h:4\n";
	char changed[sizeof(text)];
	for(size_t len = 0; len < sizeof(text); len++) {
		expect_same(text, len);
	}
	for(size_t at = 0; at < 256 * (sizeof(text) - 1); at++) {
		memcpy(changed, text, sizeof(text));
		changed[at / 256] = (char)(at % 256);
		expect_same(changed, sizeof(text) - 1);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(test_lines, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(
			test_other_source_of_the_token, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(
			test_changed_files, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(
			test_unchanged_file_is_kept, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(test_directory, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(test_names, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(test_sockets, bench_make_root, bench_remove_root),
		cmocka_unit_test_setup_teardown(
			test_several_sources, bench_make_root, bench_remove_root),
		cmocka_unit_test(test_every_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
