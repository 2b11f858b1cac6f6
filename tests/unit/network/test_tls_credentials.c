/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS from files.
 */
#include "network/tls_bench.h"

static void expect_error(const struct files *files, struct tls_server_options options,
	const struct tls_pair *pair, const char *option, const char *word) {
	struct tls_credentials *context = NULL;
	struct tls_pair pairs[2] = {{files->cert, files->key}, *pair};
	struct tls_error error;
	options.pairs = 2;
	options.pair = pairs;
	assert_true(tls_credentials_open_server(&context, &options, &error) < 0);
	assert_null(context);
	assert_null(strchr(error.text, '\n'));
	assert_string_equal(error.option, option);
	if(strcmp(option, "cert") == 0 || strcmp(option, "key") == 0) {
		assert_int_equal(error.pair, 1);
	}
	if(!strstr(error.text, word)) {
		fail_msg("\"%s\" is not in \"%s\"", word, error.text);
	}
}

static void test_option_errors(void **state) {
	const struct files *files = *state;
	static const struct tls_server_options none;
	const struct tls_pair fine = {files->cert, files->key};
	const struct {
		struct tls_pair pair;
		const char *option;
		const char *word;
	} pairs[] = {
		{{files->cert, "/nowhere/key"}, "key", "/nowhere/key"},
		{{"/nowhere/cert", files->key}, "cert", "/nowhere/cert"},
		{{files->key, files->key}, "cert", files->key},
		{{files->cert, files->cert}, "key", files->cert},
		{{files->cert, NULL}, "cert", files->cert},
		{{files->cert, files->other}, "key", "does not belong"},
		{{files->folder, files->key}, "cert", files->folder},
		{{files->cert, files->folder}, "key", files->folder},
	};
	for(size_t i = 0; i < COUNT(pairs); i++) {
		expect_error(files, none, &pairs[i].pair, pairs[i].option, pairs[i].word);
	}
	struct tls_server_options options = {.priority = "NORMAL:+NONSENSE"};
	expect_error(files, options, &fine, "tls-priority", "NONSENSE");
	options = (struct tls_server_options){.client_ca = "/nowhere/ca"};
	expect_error(files, options, &fine, "client-ca", "/nowhere/ca");
	options.client_ca = files->key;
	expect_error(files, options, &fine, "client-ca", files->key);
}

/* A fifo in place of a file would make the daemon wait for a writer for ever. */
static void test_fifo_instead_of_a_file(void **state) {
	const struct files *files = *state;
	struct tls_server_options options = {0};
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/fifo", files->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	const struct tls_pair fine = {files->cert, files->key};
	const struct tls_pair cert = {path, files->key};
	const struct tls_pair key = {files->cert, path};
	alarm(600);
	expect_error(files, options, &cert, "cert", "Not a regular file");
	expect_error(files, options, &key, "key", "Not a regular file");
	options.client_ca = path;
	expect_error(files, options, &fine, "client-ca", "Not a regular file");
	alarm(0);
	unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_errors),
		cmocka_unit_test(test_fifo_instead_of_a_file),
	};
	return cmocka_run_group_tests_name("tls_credentials", tests, make_files, remove_files);
}
