/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory limits of control groups, versions 1 and 2, in directories that look like the
 * kernel's.
 */
#include "base/machine.h"
#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

struct test {
	char root[64];
	char list[128];
};

static void write_text(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* A file in the directory of control groups; the directories above it are made. */
static void put(const struct test *test, const char *name, const char *text) {
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", test->root, name);
	for(char *at = path + strlen(test->root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(path, 0700);
		*at = '/';
	}
	write_text(path, text);
}

static size_t limit_of(const struct test *test, const char *list) {
	write_text(test->list, list);
	return machine_cgroup_memory(test->list, test->root);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static int set_up(void **state) {
	static struct test test;
	snprintf(test.root, sizeof(test.root), "/tmp/websocksy-machine-XXXXXX");
	if(!mkdtemp(test.root)) {
		return -1;
	}
	snprintf(test.list, sizeof(test.list), "%s/list", test.root);
	*state = &test;
	return 0;
}

static int tear_down(void **state) {
	const struct test *test = *state;
	return nftw(test->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_version_2(void **state) {
	const struct test *test = *state;
	put(test, "system.slice/x.service/memory.max", "1048576\n");
	assert_int_equal(limit_of(test, "0::/system.slice/x.service\n"), 1048576);
	put(test, "system.slice/x.service/memory.max", "max\n");
	assert_true(limit_of(test, "0::/system.slice/x.service\n") == SIZE_MAX);
}

/* A group cannot use more than one above it, that of a container's root included. */
static void test_lowest_of_the_groups_above(void **state) {
	const struct test *test = *state;
	put(test, "a/b/memory.max", "3000\n");
	put(test, "a/memory.max", "2000\n");
	assert_int_equal(limit_of(test, "0::/a/b\n"), 2000);
	put(test, "a/b/memory.max", "1000\n");
	assert_int_equal(limit_of(test, "0::/a/b\n"), 1000);
	put(test, "memory.max", "500\n");
	assert_int_equal(limit_of(test, "0::/a/b\n"), 500);
	assert_int_equal(limit_of(test, "0::/\n"), 500);
	assert_int_equal(limit_of(test, "0::/elsewhere/c\n"), 500);
}

static void test_version_1(void **state) {
	const struct test *test = *state;
	put(test, "memory/docker/memory.limit_in_bytes", "4096\n");
	put(test, "memory/memory.limit_in_bytes", "9223372036854771712\n");
	put(test, "docker/memory.max", "1\n");
	assert_int_equal(limit_of(test, "9:cpu,cpuacct:/docker\n4:memory:/docker\n"), 4096);
	assert_int_equal(limit_of(test, "4:hugetlb,memory:/docker"), 4096);
	assert_true(limit_of(test, "4:cpu:/docker\n") == SIZE_MAX);
}

/* Both at the same time: the lower one. */
static void test_both_versions(void **state) {
	const struct test *test = *state;
	put(test, "memory/x/memory.limit_in_bytes", "4096\n");
	put(test, "x/memory.max", "8192\n");
	assert_int_equal(limit_of(test, "4:memory:/x\n0::/x\n"), 4096);
	put(test, "x/memory.max", "2048\n");
	assert_int_equal(limit_of(test, "4:memory:/x\n0::/x\n"), 2048);
}

/* Nothing that can be read is no limit, and no reading outside of memory. */
static void test_unreadable_files(void **state) {
	static const char *const lists[] = {
		"", "\n", ":", "::", "0::", "0:", "memory", "0::x\n\n", "4:memory"};
	static const char *const limits[] = {"", "\n", "-1\n", "12x\n", "99999999999999999999\n"};
	const struct test *test = *state;
	for(size_t i = 0; i < COUNT(lists); i++) {
		assert_true(limit_of(test, lists[i]) == SIZE_MAX);
	}
	for(size_t i = 0; i < COUNT(limits); i++) {
		put(test, "x/memory.max", limits[i]);
		assert_true(limit_of(test, "0::/x\n") == SIZE_MAX);
	}
	assert_true(machine_cgroup_memory("/nonexistent/list", test->root) == SIZE_MAX);
}

/* The number of levels is bounded, and so is the length of a path. */
static void test_deep_groups(void **state) {
	const struct test *test = *state;
	char list[3 * PATH_MAX] = "0::";
	put(test, "memory.max", "7\n");
	for(int depth = 0; depth < 31; depth++) {
		strcat(list, "/d");
	}
	assert_int_equal(limit_of(test, list), 7);
	strcat(list, "/d");
	assert_true(limit_of(test, list) == SIZE_MAX);
	memset(list + 4, 'n', 2 * PATH_MAX);
	list[4 + 2 * PATH_MAX] = '\0';
	assert_int_equal(limit_of(test, list), 7);
}

static void test_this_machine(void **state) {
	(void)state;
	size_t memory = machine_memory();
	long pages = sysconf(_SC_PHYS_PAGES);
	assert_true(memory > 0);
	assert_true(memory <= (size_t)pages * (size_t)sysconf(_SC_PAGESIZE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_version_2),
		TEST(test_lowest_of_the_groups_above),
		TEST(test_version_1),
		TEST(test_both_versions),
		TEST(test_unreadable_files),
		TEST(test_deep_groups),
		cmocka_unit_test(test_this_machine),
	};
	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
