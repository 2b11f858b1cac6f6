/* SPDX-License-Identifier: BSD-2-Clause
 *
 * root.c: the document root after its name has been given to something else.
 */
#include "support.h"

#include "http/root.h"

#include <fcntl.h>
#include <ftw.h>

struct fixture {
	char base[64];
	struct root *root;
};

static void path_of(const struct fixture *fixture, const char *name, char path[128]) {
	snprintf(path, 128, "%s/%s", fixture->base, name);
}

static void make_release(const struct fixture *fixture, const char *name) {
	char path[128];
	char file[192];
	path_of(fixture, name, path);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(file, sizeof(file), "%s/name", path);
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	assert_true(fputs(name, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void move(const struct fixture *fixture, const char *from, const char *to) {
	char old[128];
	char new[128];
	path_of(fixture, from, old);
	path_of(fixture, to, new);
	assert_int_equal(rename(old, new), 0);
}

static int set_up(void **state) {
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	strcpy(fixture->base, P_tmpdir "/websocksy-root-XXXXXX");
	assert_non_null(mkdtemp(fixture->base));
	make_release(fixture, "one");
	make_release(fixture, "two");
	*state = fixture;
	return 0;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static int tear_down(void **state) {
	struct fixture *fixture = *state;
	root_close(fixture->root);
	nftw(fixture->base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(fixture);
	return 0;
}

static void open_root(struct fixture *fixture, const char *name) {
	char path[128];
	path_of(fixture, name, path);
	assert_int_equal(root_open(path, &fixture->root), 0);
}

static void assert_release(struct fixture *fixture, const char *name) {
	struct root_file file;
	char text[16] = "";
	root_follow(fixture->root);
	assert_int_equal(root_open_file(fixture->root, "name", &file), 0);
	assert_true(read(file.fd, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, name);
	close(file.fd);
}

static void test_link_is_switched(void **state) {
	struct fixture *fixture = *state;
	char path[128];
	path_of(fixture, "current", path);
	assert_int_equal(symlink("one", path), 0);
	open_root(fixture, "current");
	assert_release(fixture, "one");
	path_of(fixture, "next", path);
	assert_int_equal(symlink("two", path), 0);
	move(fixture, "next", "current");
	assert_release(fixture, "two");
}

/* While there is nothing of the name, the old directory is served. */
static void test_directory_is_replaced(void **state) {
	struct fixture *fixture = *state;
	open_root(fixture, "one");
	move(fixture, "one", "old");
	assert_release(fixture, "one");
	move(fixture, "two", "one");
	assert_release(fixture, "two");
}

static void test_directory_of_single_file_is_replaced(void **state) {
	struct fixture *fixture = *state;
	open_root(fixture, "one/name");
	move(fixture, "one", "old");
	move(fixture, "two", "one");
	assert_release(fixture, "two");
}

/* Nothing that can be served takes its place. */
static void test_replaced_by_fifo(void **state) {
	struct fixture *fixture = *state;
	char path[128];
	open_root(fixture, "one");
	move(fixture, "one", "old");
	path_of(fixture, "one", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_release(fixture, "one");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_link_is_switched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_directory_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_directory_of_single_file_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaced_by_fifo, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
