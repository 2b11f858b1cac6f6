/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Limits of the machine and of control groups, see cgroups(7).
 *
 * Must not know: the program's own limits.
 * Invariants: a file that is missing or has no number means no limit.
 */
#include "base/machine.h"

#include "base/file.h"
#include "base/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define MACHINE_FILE_MAX (64 * 1024)
#define MACHINE_DEPTH_MAX 32 /* control groups above each other */

/* The files in which a version of control groups keeps its limit. */
struct version {
	const char *directory;
	const char *file;
};

static size_t read_limit(const char *path) {
	char *text;
	size_t len;
	uint64_t limit;
	size_t result = SIZE_MAX;
	if(file_read(path, MACHINE_FILE_MAX, &text, &len)) {
		return result;
	}
	struct slice rest = text_slice(text);
	if(text_read_decimal(text_take(&rest, '\n'), UINT64_MAX, &limit) == 0 && limit < SIZE_MAX) {
		result = (size_t)limit;
	}
	free(text);
	return result;
}

static size_t lower(size_t a, size_t b) {
	return a < b ? a : b;
}

/* The lowest limit of a group and those above it; `group` is absolute within the directory. */
static size_t group_limit(const struct version *version, const char *root, struct slice group) {
	char path[PATH_MAX];
	size_t limit = SIZE_MAX;
	for(int depth = 0; depth < MACHINE_DEPTH_MAX; depth++) {
		while(group.len > 0 && group.at[group.len - 1] == '/') {
			group.len--;
		}
		int len = snprintf(path, sizeof(path), "%s%s%.*s/%s", root, version->directory,
			(int)group.len, group.at, version->file);
		if(len < (int)sizeof(path)) {
			limit = lower(limit, read_limit(path));
		}
		if(group.len == 0) {
			break;
		}
		while(group.len > 0 && group.at[group.len - 1] != '/') {
			group.len--;
		}
	}
	return limit;
}

/* Is "memory" one of the controllers, which are separated by commas? */
static bool has_memory(struct slice controllers) {
	while(controllers.len > 0) {
		if(text_is(text_take(&controllers, ','), "memory")) {
			return true;
		}
	}
	return false;
}

size_t machine_cgroup_memory(const char *list, const char *directory) {
	static const struct version first = {"/memory", "memory.limit_in_bytes"};
	static const struct version second = {"", "memory.max"};
	size_t limit = SIZE_MAX;
	char *text;
	size_t len;
	if(file_read(list, MACHINE_FILE_MAX, &text, &len)) {
		return limit;
	}
	struct slice rest = text_slice(text);
	while(rest.len > 0) {
		/* "number:controllers:group"; version 2 has no controllers. */
		struct slice line = text_take(&rest, '\n');
		text_take(&line, ':');
		struct slice controllers = text_take(&line, ':');
		if(controllers.len == 0) {
			limit = lower(limit, group_limit(&second, directory, line));
		} else if(has_memory(controllers)) {
			limit = lower(limit, group_limit(&first, directory, line));
		}
	}
	free(text);
	return limit;
}

size_t machine_memory(void) {
	size_t limit = machine_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup");
	long pages = sysconf(_SC_PHYS_PAGES);
	long size = sysconf(_SC_PAGESIZE);
	size_t all;
	if(pages <= 0 || size <= 0 || __builtin_mul_overflow((size_t)pages, (size_t)size, &all)) {
		return limit;
	}
	return lower(limit, all);
}

size_t machine_raise_descriptors(void) {
	struct rlimit limit;
	if(getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 0;
	}
	if(limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;
		limit.rlim_cur = limit.rlim_max;
		if(setrlimit(RLIMIT_NOFILE, &limit) < 0) {
			limit.rlim_cur = before;
		}
	}
	return (size_t)limit.rlim_cur;
}
