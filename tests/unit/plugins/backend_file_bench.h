/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend, included as source, and a directory with files for it; openat2() is replaced by
 * a function that can fail.
 */
#ifndef WEBSOCKSY_TESTS_BACKEND_FILE_BENCH_H
#define WEBSOCKSY_TESTS_BACKEND_FILE_BENCH_H
#include "plugins/fake_core.h"

#include <sys/syscall.h>

struct open_how;
static long fake_openat2(
	long number, int directory, const char *name, const struct open_how *how, size_t size);

#define syscall fake_openat2
#include "plugins/backend_file.c"
#include "plugins/backend_file/expression.c"
#include "plugins/backend_file/line.c"

static struct {
	char root[256];
	void *state; /* of the backend */
	char why[WEBSOCKSY_ERROR_MAX]; /* of configure() and check() */
	int error; /* what openat2() fails with, so many times */
	unsigned failures;
} fake;

#undef syscall

static inline long fake_openat2(
	long number, int directory, const char *name, const struct open_how *how, size_t size) {
	if(fake.failures > 0) {
		fake.failures--;
		errno = fake.error;
		return -1;
	}
	return syscall(number, directory, name, how, size);
}

static inline char *in_root(const char *name, char out[PATH_MAX]) {
	snprintf(out, PATH_MAX, "%s/%s", fake.root, name);
	return out;
}

static inline void write_bytes(const char *name, const char *data, size_t len) {
	char path[PATH_MAX];
	FILE *file = fopen(in_root(name, path), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text) {
	write_bytes(name, text, strlen(text));
}

static inline int set_option(const char *key, const char *value) {
	return file_configure(fake.state, key, value, fake.why);
}

static inline int set_expression(const char *expression) {
	return set_option("expression", expression);
}

/* `root`/routes is the option path; root/secret lies outside. */
static inline int setup(void **unused) {
	char path[PATH_MAX];
	(void)unused;
	memset(&fake, 0, sizeof(fake));
	const char *temporary = getenv("TMPDIR");
	snprintf(fake.root, sizeof(fake.root), "%s/backend_file.XXXXXX",
		temporary ? temporary : P_tmpdir);
	assert_non_null(mkdtemp(fake.root));
	assert_int_equal(mkdir(in_root("routes", path), 0700), 0);
	write_text("secret", "tcp://secret *\n");
	fake_core_reset();
	assert_int_equal(file_open(&fake_core, &fake.state), 0);
	assert_int_equal(set_option("path", in_root("routes", path)), 0);
	return 0;
}

static inline int teardown(void **unused) {
	char command[300];
	(void)unused;
	file_close(fake.state);
	snprintf(command, sizeof(command), "rm -rf '%s'", fake.root);
	return system(command);
}

struct ask {
	const char *endpoint; /* "/" */
	const char *protocols; /* that are offered */
	const char *field[8]; /* names and values in turn */
};

static inline struct fake_query query_for(const struct ask *ask) {
	const char *const endpoint = ask->endpoint ? ask->endpoint : "/";
	struct fake_query query = {.query.core = &fake_core, .field = ask->field};
	const char *mark = strchr(endpoint, '?');
	char *path = mark ? strndup(endpoint, (size_t)(mark - endpoint)) : strdup(endpoint);
	assert_non_null(path);
	fake_set(&query, "path", path);
	fake_set(&query, "query", mark ? mark + 1 : "");
	fake_set(&query, "protocols", ask->protocols);
	file_query(fake.state, &query.query);
	free(path);
	query.field = NULL;
	return query;
}

static inline void expect_host(const struct ask *ask, const char *host) {
	struct fake_query query = query_for(ask);
	if(host) {
		assert_int_equal(query.state, FAKE_ANSWERED);
		assert_string_equal(query.text, host);
	} else {
		assert_int_equal(query.state, FAKE_REFUSED);
		assert_int_equal(query.status, 404);
		assert_string_equal(query.text, "no peer for this request");
	}
}

static inline void expect_endpoint(const char *endpoint, const char *host) {
	const struct ask ask = {.endpoint = endpoint};
	expect_host(&ask, host);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#endif
