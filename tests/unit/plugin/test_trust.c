/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who could change a file: owner and mode of the file, of each directory and of each link.
 */
#include "plugin/trust.h"

#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OTHER_USER 65534

static char root[64];

static const char *in_root(const char *name) {
	static char path[2][PATH_MAX];
	static unsigned turn;
	char *out = path[turn++ % 2];
	snprintf(out, PATH_MAX, "%s/%s", root, name);
	return out;
}

/* ROOT/a/b/file, and a link ROOT/a/link to b. */
static int make_tree(void **unused) {
	(void)unused;
	snprintf(root, sizeof(root), "%s/trust.XXXXXX", P_tmpdir);
	assert_non_null(mkdtemp(root));
	assert_int_equal(mkdir(in_root("a"), 0755), 0);
	assert_int_equal(mkdir(in_root("a/b"), 0755), 0);
	FILE *file = fopen(in_root("a/b/file"), "w");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(in_root("a/b/file"), 0644), 0);
	return symlink("b", in_root("a/link"));
}

static int remove_tree(void **unused) {
	char command[128];
	(void)unused;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static void expect(const char *name, int result, const char *text) {
	char error[TRUST_ERROR_MAX];
	struct stat status;
	assert_int_equal(trust_check(in_root(name), &status, error), result);
	if(result) {
		assert_non_null(strstr(error, text));
	} else {
		assert_true(S_ISREG(status.st_mode));
	}
}

static void test_everything_is_ours(void **unused) {
	(void)unused;
	expect("a/b/file", 0, "");
	expect("a/link/file", 0, "");
	expect("a/link/../b/./file", 0, "");
	expect("a//b///file", 0, "");
	expect("a/b", -EPERM, "not a regular file");
	expect("a/none", -ENOENT, "No such file");
	expect("a/b/file/x", -ENOTDIR, "Not a directory");
}

static void test_writable_for_others(void **unused) {
	static const char *const names[] = {"a/b/file", "a/b", "a"};
	(void)unused;
	for(size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat before;
		assert_int_equal(stat(in_root(names[i]), &before), 0);
		assert_int_equal(chmod(in_root(names[i]), before.st_mode | S_IWOTH), 0);
		expect("a/b/file", -EPERM, "every user may write");
		expect("a/link/file", -EPERM, in_root(names[i]));
		assert_int_equal(chmod(in_root(names[i]), before.st_mode | S_IWGRP), 0);
		expect("a/b/file", -EPERM, "its group may write");
		assert_int_equal(chmod(in_root(names[i]), before.st_mode), 0);
	}
	expect("a/b/file", 0, "");
}

static void test_sticky_directory(void **unused) {
	(void)unused;
	assert_int_equal(chmod(in_root("a"), 01777), 0);
	expect("a/b/file", 0, "");
	expect("a/link/file", 0, "");
}

static void test_owned_by_another_user(void **unused) {
	static const char *const names[] = {"a/b/file", "a/b", "a/link", "a"};
	(void)unused;
	if(geteuid() != 0) {
		skip(); /* only root can change the owner */
	}
	for(size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(lchown(in_root(names[i]), OTHER_USER, 0), 0);
		expect("a/link/file", -EPERM, "is owned by user 65534");
		assert_int_equal(lchown(in_root(names[i]), 0, 0), 0);
	}
	expect("a/link/file", 0, "");
}

static void test_links(void **unused) {
	char name[PATH_MAX];
	(void)unused;
	assert_int_equal(symlink(in_root("a/b/file"), in_root("absolute")), 0);
	expect("absolute", 0, "");
	assert_int_equal(symlink("loop", in_root("loop")), 0);
	expect("loop", -ELOOP, strerror(ELOOP));
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	expect(name, -ENAMETOOLONG, strerror(ENAMETOOLONG));
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_is_ours, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_writable_for_others, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_sticky_directory, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_owned_by_another_user, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_links, make_tree, remove_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
