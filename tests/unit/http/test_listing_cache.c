/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listing_cache.c: a page is made once for each state of a directory.
 */
#include "support.h"

#include "http/listing_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define PAGE_CAP 4096

struct fixture {
	char base[64];
	struct listing_cache *cache;
};

static int set_up(void **state) {
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	strcpy(fixture->base, P_tmpdir "/websocksy-listing-XXXXXX");
	assert_non_null(mkdtemp(fixture->base));
	fixture->cache = listing_cache_new();
	assert_non_null(fixture->cache);
	*state = fixture;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *fixture = *state;
	listing_cache_free(fixture->cache);
	rmdir(fixture->base);
	free(fixture);
	return 0;
}

static int next_descriptor(void) {
	int fd = dup(0);
	close(fd);
	return fd;
}

/* Gives the directory a modification time that is clearly in the past. */
static void age(const char *path, time_t seconds) {
	const struct timespec times[] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Lists `path` as `shown`, with the page in `text`. Was it made? */
static bool list(
	struct listing_cache *cache, const char *path, const char *shown, char text[PAGE_CAP]) {
	bool made;
	size_t len = 0;
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(directory >= 0);
	int fd = listing_cache_open(cache, directory, shown, &len, &made);
	assert_true(fd >= 0);
	assert_true(len < PAGE_CAP);
	assert_int_equal(pread(fd, text, PAGE_CAP, 0), len);
	text[len] = '\0';
	close(fd);
	return made;
}

static void put(const char *base, const char *name, char path[128]) {
	snprintf(path, 128, "%s/%s", base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void test_is_kept(void **state) {
	struct fixture *fixture = *state;
	char first[PAGE_CAP];
	char second[PAGE_CAP];
	age(fixture->base, 1000);
	assert_true(list(fixture->cache, fixture->base, "/a/", first));
	assert_false(list(fixture->cache, fixture->base, "/a/", second));
	assert_string_equal(first, second);
}

/* The page shows the path, and two paths may lead to one directory. */
static void test_path(void **state) {
	struct fixture *fixture = *state;
	char page[PAGE_CAP];
	age(fixture->base, 1000);
	assert_true(list(fixture->cache, fixture->base, "/a/", page));
	assert_true(list(fixture->cache, fixture->base, "/b/", page));
	assert_non_null(strstr(page, "<h1>/b/</h1>"));
	assert_false(list(fixture->cache, fixture->base, "/a/", page));
}

static void test_change(void **state) {
	struct fixture *fixture = *state;
	char page[PAGE_CAP];
	char path[128];
	age(fixture->base, 1000);
	assert_true(list(fixture->cache, fixture->base, "/", page));
	put(fixture->base, "new", path);
	assert_true(list(fixture->cache, fixture->base, "/", page));
	assert_non_null(strstr(page, "./new"));
	unlink(path);
}

/* A further name in the same tick of the clock would not change the modification time. */
static void test_recent_change_is_not_kept(void **state) {
	struct fixture *fixture = *state;
	char page[PAGE_CAP];
	age(fixture->base, time(NULL) + 3600);
	assert_true(list(fixture->cache, fixture->base, "/", page));
	assert_true(list(fixture->cache, fixture->base, "/", page));
}

static void test_bound(void **state) {
	struct fixture *fixture = *state;
	char page[PAGE_CAP];
	char shown[32];
	int before = next_descriptor();
	age(fixture->base, 1000);
	for(int i = 0; i < 3 * LISTING_CACHE_ENTRIES; i++) {
		snprintf(shown, sizeof(shown), "/%d/", i);
		assert_true(list(fixture->cache, fixture->base, shown, page));
		assert_false(list(fixture->cache, fixture->base, shown, page));
	}
	/* The ones that were used last are kept. */
	for(int i = 2 * LISTING_CACHE_ENTRIES; i < 3 * LISTING_CACHE_ENTRIES; i++) {
		snprintf(shown, sizeof(shown), "/%d/", i);
		assert_false(list(fixture->cache, fixture->base, shown, page));
	}
	assert_true(next_descriptor() <= before + LISTING_CACHE_ENTRIES);
	listing_cache_free(fixture->cache);
	fixture->cache = NULL;
	assert_int_equal(next_descriptor(), before);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recent_change_is_not_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
