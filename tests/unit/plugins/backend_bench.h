/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A backend of API version 2 without a daemon, and a directory with files for it. The program
 * includes the plugin as source first.
 */
#ifndef WEBSOCKSY_TESTS_BACKEND_BENCH_H
#define WEBSOCKSY_TESTS_BACKEND_BENCH_H
#include "plugins/fake_core.h"

#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>

static struct {
	const struct websocksy_backend *backend;
	void *state;
	char error[WEBSOCKSY_ERROR_MAX];
	char root[128];
} bench;

static inline void bench_open(void) {
	fake_core_reset();
	bench.backend = websocksy_plugin.backends[0];
	FAKE.option = bench.backend->options;
	bench.error[0] = '\0';
	assert_int_equal(bench.backend->open(&fake_core, &bench.state), 0);
}

static inline void bench_close(void) {
	bench.backend->close(bench.state);
	fake_core_check();
}

static inline int bench_set(const char *key, const char *value) {
	int result = bench.backend->configure(bench.state, key, value, bench.error);
	if(result == 0) {
		fake_option(key, value);
	}
	return result;
}

static inline int bench_check(void) {
	return bench.backend->check(bench.state, bench.error);
}

/* A request with one field. The query is answered at once, or later. */
static inline void bench_query(struct fake_query *query, const char *source, const char *value) {
	memset(query, 0, sizeof(*query));
	query->query.core = &fake_core;
	if(value) {
		fake_set(query, source, value);
	}
	bench.backend->query(bench.state, &query->query);
}

static inline void bench_expect_peer(const char *source, const char *value, const char *peer) {
	struct fake_query query;
	bench_query(&query, source, value);
	assert_string_equal(query.text, peer);
	assert_int_equal(query.state, FAKE_ANSWERED);
}

static inline void bench_expect_status(const char *source, const char *value, unsigned status) {
	struct fake_query query;
	bench_query(&query, source, value);
	assert_int_equal(query.state, FAKE_REFUSED);
	assert_int_equal(query.status, status);
}

/* ---- files ---- */

/* The path of a file; valid until the fourth call after this one. */
static inline const char *bench_path(const char *name) {
	static char path[4][PATH_MAX];
	static size_t next;
	char *out = path[next++ % COUNT(path)];
	snprintf(out, PATH_MAX, "%s/%s", bench.root, name);
	return out;
}

static inline void bench_write(const char *name, const char *data, size_t len) {
	FILE *file = fopen(bench_path(name), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static inline void bench_write_text(const char *name, const char *text) {
	bench_write(name, text, strlen(text));
}

static inline int bench_make_root(void **unused) {
	(void)unused;
	snprintf(bench.root, sizeof(bench.root), "/tmp/websocksy-backend.XXXXXX");
	return mkdtemp(bench.root) ? 0 : -1;
}

static inline int bench_remove_entry(
	const char *path, const struct stat *file, int type, struct FTW *place) {
	(void)file;
	(void)type;
	(void)place;
	return remove(path);
}

static inline int bench_remove_root(void **unused) {
	(void)unused;
	return nftw(bench.root, bench_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
#endif
