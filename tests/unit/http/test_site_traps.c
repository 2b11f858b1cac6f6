/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests for files that must not be served, and files that cannot be opened.
 */
#include "http/site_bench.h"

/* A uid without any rights, for what root would be allowed to read. */
#define NOBODY 65534

static int interruptions; /* so many lookups end with EINTR (--wrap in the Makefile) */

long __real_syscall(long number, long a, long b, long c, long d);
long __wrap_syscall(long number, long a, long b, long c, long d);

long __wrap_syscall(long number, long a, long b, long c, long d) {
	if(number == SYS_openat2 && interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	return __real_syscall(number, a, b, c, d);
}

/* Links that stay inside work; without openat2 no links do. */
static void test_links_inside(void **state) {
	const struct tree *tree = *state;
	static const char *const targets[] = {"/inside", "/inside-up"};
	for(size_t i = 0; i < COUNT(targets); i++) {
		struct answer answer = get(tree->site, targets[i]);
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, "page");
	}
	struct answer answer = get(tree->site, "/inside-dir/deep/file.txt");
	assert_complete(&answer, 200);
}

static void test_traps(void **state) {
	const struct tree *tree = *state;
	assert_true(all_yield_nothing(tree->site));
}

static void test_long_targets(void **state) {
	static const char *const parts[] = {"/../", "/a", "a", "%2e%2e%2f", "/sub/..", "%41", "//"};
	static const size_t lens[] = {
		254, 255, 256, 1023, 4070, 4084, 4085, 4086, 4095, 4096, 4097, 20000};
	const struct tree *tree = *state;
	char target[20001];
	for(size_t part = 0; part < COUNT(parts); part++) {
		for(size_t i = 0; i < COUNT(lens); i++) {
			target[0] = '/';
			for(size_t fill = 1; fill < lens[i]; fill++) {
				target[fill] = parts[part][(fill - 1) % strlen(parts[part])];
			}
			assert_true(yields_nothing(tree->site, target, lens[i]));
		}
	}
	/* A path of 4084 bytes leaves just the room for index.html and its NUL. */
	memset(target, '/', sizeof(target));
	for(size_t i = 1; i < sizeof(target); i += 2) {
		target[i] = 'a';
	}
	for(size_t len = 4070; len < 4110; len++) {
		assert_int_equal(
			ask(tree->site, "GET", target, len).status, len <= 4084 ? 404 : 414);
	}
	memset(target + 1, 'a', 20000);
	assert_int_equal(ask(tree->site, "GET", target, 20001).status, 414);
}

/* Makes openat2 fail in this process from now on. */
static bool forbid_openat2(int error) {
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number of the system call */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = COUNT(filter), .filter = filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
		syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) == -1 && errno == error;
}

/* Runs `check` in a child after openat2 has been taken away; 0: good, 1: bad, 2: not possible here.
 */
static int without_openat2(
	int error, const struct site *site, bool (*check)(const struct site *site)) {
	int status = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if(child == 0) {
		_exit(forbid_openat2(error) ? !check(site) : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* As it happens on network file systems. */
static void test_interrupted_lookup(void **state) {
	const struct tree *tree = *state;
	interruptions = 3;
	struct answer answer = get(tree->site, files[0].target);
	assert_int_equal(interruptions, 0);
	assert_int_equal(answer.status, 200);
}

static bool serves_without_openat2(const struct site *site) {
	bool good = all_yield_nothing(site) && yields_nothing(site, TEXT("/inside"));
	for(size_t i = 0; i < COUNT(files); i++) {
		struct answer answer = get(site, files[i].target);
		if(answer.status != 200 ||
			strcmp(answer.text + answer.head_len, files[i].body) != 0) {
			fprintf(stderr, "%s: %u\n", files[i].target, answer.status);
			good = false;
		}
	}
	return good;
}

static void test_without_openat2(void **state) {
	static const int errors[] = {ENOSYS, EPERM};
	const struct tree *tree = *state;
	for(size_t i = 0; i < COUNT(errors); i++) {
		int result = without_openat2(errors[i], tree->site, serves_without_openat2);
		if(result == 2) {
			skip();
		}
		assert_int_equal(result, 0);
	}
}

/* In a child without rights: 0 when all is refused as it should be, else the number of the check.
 */
static int check_unreadable(const struct tree *tree) {
	struct site *site;
	const char *error = NULL;
	char path[256];
	if(geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) {
		return 1;
	}
	if(get(tree->site, "/locked.txt").status != 403 ||
		get(tree->site, "/locked/").status != 403 ||
		get(tree->site, "/locked/x").status != 403) {
		return 2;
	}
	snprintf(path, sizeof(path), "%s/locked.txt", tree->root);
	if(site_open(path, &site, &error) != -EACCES || !strstr(error, "permission denied")) {
		return 3;
	}
	snprintf(path, sizeof(path), "%s/locked", tree->root);
	if(site_open(path, &site, &error) != -EACCES || !strstr(error, "permission denied")) {
		return 4;
	}
	snprintf(path, sizeof(path), "%s/listed", tree->root);
	return site_open(path, &site, &error) != -EACCES ? 5 : 0;
}

static void test_unreadable(void **state) {
	const struct tree *tree = *state;
	char path[256];
	int status = 0;
	put(tree, "root/locked.txt", "SECRET");
	snprintf(path, sizeof(path), "%s/locked.txt", tree->root);
	assert_int_equal(chmod(path, 0), 0);
	snprintf(path, sizeof(path), "%s/locked", tree->root);
	assert_int_equal(mkdir(path, 0), 0);
	snprintf(path, sizeof(path), "%s/listed", tree->root);
	assert_int_equal(mkdir(path, 0), 0);
	assert_int_equal(chmod(path, 0444), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if(child == 0) {
		_exit(check_unreadable(tree));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Without a free descriptor the response is 503, and the site stays usable. */
static void test_no_descriptors(void **state) {
	const struct tree *tree = *state;
	struct rlimit before;
	int next = next_descriptor();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit tight = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_complete(&answer, 503);
	answer = get(tree->site, "/page.html");
	assert_complete(&answer, 200);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_inside),
		cmocka_unit_test(test_traps),
		cmocka_unit_test(test_long_targets),
		cmocka_unit_test(test_interrupted_lookup),
		cmocka_unit_test(test_without_openat2),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_no_descriptors),
	};
	return cmocka_run_group_tests_name("site_traps", tests, set_up, tear_down);
}
