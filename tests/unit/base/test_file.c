/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading files whole, and opening files beneath a directory, with and without openat2.
 */
#include "support.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/* So many bytes are missing in what a file tells of its size. */
static off_t grown_by;

int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);

int __wrap_fstat(int fd, struct stat *status) {
	int result = __real_fstat(fd, status);
	status->st_size -= grown_by;
	return result;
}

/*
 * A directory with `file` (5 bytes), `sub/file`, `fifo`, and links; the working directory of the
 * tests.
 */
static int tree_make(void **state) {
	char template[] = "/tmp/websocksy-file-XXXXXX";
	char *root = mkdtemp(template);
	assert_non_null(root);
	assert_int_equal(chdir(root), 0);
	assert_int_equal(mkdir("sub", 0755), 0);
	static const char *const files[] = {"file", "sub/file"};
	for(size_t i = 0; i < COUNT(files); i++) {
		int fd = open(files[i], O_WRONLY | O_CREAT | O_EXCL, 0644);
		assert_int_equal(write(fd, "12345", 5), 5);
		close(fd);
	}
	assert_int_equal(mkfifo("fifo", 0644), 0);
	assert_int_equal(symlink("file", "inside"), 0);
	assert_int_equal(symlink("/etc/passwd", "outside"), 0);
	assert_int_equal(symlink("..", "up"), 0);
	*state = strdup(root);
	return 0;
}

static int tree_remove(void **state) {
	static const char *const names[] = {"file", "sub/file", "fifo", "inside", "outside", "up"};
	for(size_t i = 0; i < COUNT(names); i++) {
		unlink(names[i]);
	}
	rmdir("sub");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(*state), 0);
	free(*state);
	return 0;
}

static void check_read(const char *path, size_t max, int expected) {
	char *content;
	size_t len;
	int result = file_read(path, max, &content, &len);
	if(result != expected) {
		fail_msg("%s: %d instead of %d", path, result, expected);
	}
	if(result) {
		assert_null(content);
	}
	free(content);
}

static void test_read(void **state) {
	char *content;
	size_t len;
	(void)state;
	assert_int_equal(file_read("file", 5, &content, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(content, "12345");
	free(content);
	check_read("file", 4, -EFBIG);
	check_read("inside", 64, 0);
	check_read("absent", 64, -ENOENT);
	check_read("sub", 64, -EISDIR);
	check_read("fifo", 64, -EINVAL);
	check_read("/dev/zero", 64, -EINVAL);
	check_read("/proc/self/status", 1 << 20, 0); /* its size is reported as 0 */
	check_read("/proc/self/status", 16, -EFBIG);
	assert_string_equal(file_error(-EINVAL), "Not a regular file");
	assert_string_equal(file_error(-ENOENT), strerror(ENOENT));
}

/* Between the question for its size and reading. */
static void test_file_that_grows(void **state) {
	char *content;
	size_t len;
	(void)state;
	grown_by = 2;
	assert_int_equal(file_read("file", 5, &content, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(content, "12345");
	free(content);
	check_read("file", 4, -EFBIG);
	check_read("file", 3, -EFBIG);
	grown_by = 0;
}

/* -1: it can be opened. */
static int open_error(int directory, const char *path) {
	int fd = file_open_beneath(directory, path, O_RDONLY);
	if(fd < 0) {
		return -fd;
	}
	bool closes = fcntl(fd, F_GETFD) & FD_CLOEXEC;
	close(fd);
	return closes ? -1 : 0;
}

/* `walks`: without openat2. True: as expected. */
static bool stays_beneath(bool walks) {
	int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool good = open_error(root, "file") == -1 && open_error(root, "sub/file") == -1 &&
		open_error(root, "sub") == -1 && open_error(root, "absent") == ENOENT &&
		open_error(root, "file/x") == ENOTDIR && open_error(root, "") == ENOENT &&
		open_error(root, "..") == EXDEV &&
		open_error(root, "up/file") == (walks ? ENOTDIR : EXDEV) &&
		open_error(root, "inside") == (walks ? ELOOP : -1) &&
		open_error(root, "outside") == (walks ? ELOOP : EXDEV) &&
		(!walks || open_error(root, "sub/../file") == EXDEV);
	char name[512];
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	good = good && open_error(root, name) == ENAMETOOLONG;
	close(root);
	return good;
}

static void test_beneath(void **state) {
	(void)state;
	assert_true(stays_beneath(false));
}

/* Lets openat2 fail in this process from now on. */
static bool forbid_openat2(int error) {
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = COUNT(filter), .filter = filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
		syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) == -1 && errno == error;
}

static void test_beneath_without_openat2(void **state) {
	static const int errors[] = {ENOSYS, EPERM};
	(void)state;
	for(size_t i = 0; i < COUNT(errors); i++) {
		int status;
		pid_t child = fork();
		assert_true(child >= 0);
		if(child == 0) {
			_exit(forbid_openat2(errors[i]) ? !stays_beneath(true) : 2);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if(WEXITSTATUS(status) == 2) {
			skip(); /* no seccomp filters here */
		}
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static unsigned mode_of(const char *path) {
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	return status.st_mode & 0777;
}

/* A link in place of the file was followed: another file got the mode. */
static void test_change_mode(void **state) {
	struct stat socket_file;
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(lstat("socket", &socket_file), 0);
	assert_int_equal(file_change_mode("socket", &socket_file, 0640), 0);
	assert_int_equal(mode_of("socket"), 0640);
	assert_int_equal(rename("socket", "moved"), 0);
	assert_int_equal(file_change_mode("socket", &socket_file, 0666), -ENOENT);
	assert_int_equal(chmod("file", 0600), 0);
	assert_int_equal(symlink("file", "socket"), 0);
	assert_int_equal(file_change_mode("socket", &socket_file, 0666), -ESTALE);
	assert_int_equal(unlink("socket"), 0);
	assert_int_equal(link("file", "socket"), 0);
	assert_int_equal(file_change_mode("socket", &socket_file, 0666), -ESTALE);
	assert_int_equal(mode_of("file"), 0600);
	assert_int_equal(unlink("socket"), 0);
	assert_int_equal(unlink("moved"), 0);
}

/* In a root directory without /proc. */
static void test_change_mode_without_proc(void **state) {
	struct stat file;
	int status;
	(void)state;
	assert_int_equal(lstat("file", &file), 0);
	pid_t pid = fork();
	if(pid == 0) {
		if(chroot(".") < 0) {
			_exit(EPERM);
		}
		_exit(-file_change_mode("/file", &file, 0604));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if(WEXITSTATUS(status) == EPERM || WEXITSTATUS(status) == ENOSYS) {
		skip(); /* not root, or a kernel before 6.6 */
	}
	assert_int_equal(status, 0);
	assert_int_equal(mode_of("file"), 0604);
}

static void test_checks(void **state) {
	(void)state;
	assert_null(file_check_absolute("/usr/lib"));
	assert_non_null(file_check_absolute("plugins"));
	assert_non_null(file_check_absolute(""));
	assert_null(file_check_readable(""));
	assert_null(file_check_readable("/"));
	assert_null(file_check_readable("file"));
	assert_non_null(file_check_readable("fifo"));
	assert_non_null(file_check_readable("/dev/null"));
	assert_non_null(file_check_readable("absent"));
}

static void test_path_beneath(void **state) {
	static const char *const cases[][3] = {
		{"/a", "/a/b/c", "/b/c"},
		{"/a/", "/a/b", "/b"},
		{"/a", "/a", "/"},
		{"/a", "/a/", "/"},
		{"/a", "/ab", "/ab"},
		{"/a/b", "/a", "/a"},
		{"/", "/a", "/a"},
		{"/", "/", "/"},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		assert_string_equal(file_beneath(cases[i][0], cases[i][1]), cases[i][2]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_beneath),
		cmocka_unit_test_setup_teardown(test_read, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(test_file_that_grows, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(test_beneath, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(
			test_beneath_without_openat2, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(test_change_mode, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(
			test_change_mode_without_proc, tree_make, tree_remove),
		cmocka_unit_test_setup_teardown(test_checks, tree_make, tree_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
