/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The pid file. The lock decides whether a process runs, not the number in the file, which may be
 * that of another process meanwhile.
 *
 * Must not know: why the process must be the only one.
 * Invariants: nothing is written to a file before it is locked, nor through a symbolic or a second
 * hard link; only the file that was locked here is removed.
 */
#include "service/pid_file.h"

#include "base/file.h"
#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_FILE_TRIES 16 /* another process may remove the file between opening and locking */
#define PID_FILE_TEXT 24

/* The directory may belong to other users, who must not choose the file that is written to. */
static int check_file(int fd, char error[PID_FILE_ERROR_MAX]) {
	struct stat status;
	if(fstat(fd, &status) < 0) {
		int result = -errno;
		snprintf(error, PID_FILE_ERROR_MAX, "cannot be used: %s", strerror(-result));
		return result;
	}
	const char *why = !S_ISREG(status.st_mode)                 ? "is not a regular file"
		: status.st_nlink > 1                              ? "has several hard links"
		: status.st_uid != geteuid() && status.st_uid != 0 ? "belongs to another user"
								   : NULL;
	if(why) {
		snprintf(error, PID_FILE_ERROR_MAX, "%s (remove it)", why);
		return -EINVAL;
	}
	return 0;
}

static void report_holder(int fd, char error[PID_FILE_ERROR_MAX]) {
	char text[PID_FILE_TEXT] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	long pid = got > 0 ? strtol(text, NULL, 10) : 0;
	if(pid > 0) {
		snprintf(error, PID_FILE_ERROR_MAX, "is locked by the running process %ld", pid);
	} else {
		snprintf(error, PID_FILE_ERROR_MAX, "is locked by another process");
	}
}

/* A locked descriptor; -EAGAIN: try again; or negative errno. */
static int open_locked(const char *path, char error[PID_FILE_ERROR_MAX]) {
	struct stat own, now;
	int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
	if(fd < 0) {
		int result = -errno;
		snprintf(error, PID_FILE_ERROR_MAX, "cannot be written: %s",
			result == -ELOOP ? "symbolic links are not followed" : strerror(-result));
		return result;
	}
	int result = check_file(fd, error);
	if(result == 0 && RETRY_INTERRUPTED(flock(fd, LOCK_EX | LOCK_NB)) < 0) {
		result = errno == EWOULDBLOCK ? -EBUSY : -errno;
		report_holder(fd, error);
	}
	if(result == 0 &&
		(fstat(fd, &own) < 0 || lstat(path, &now) < 0 || own.st_dev != now.st_dev ||
			own.st_ino != now.st_ino)) {
		result = -EAGAIN;
	}
	if(result) {
		close(fd);
		return result;
	}
	return fd;
}

static int write_number(int fd) {
	char text[PID_FILE_TEXT];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if(fchmod(fd, 0644) < 0 || ftruncate(fd, 0) < 0) {
		return -errno;
	}
	ssize_t sent = RETRY_INTERRUPTED(pwrite(fd, text, (size_t)len, 0));
	return sent == len ? 0 : sent < 0 ? -errno : -ENOSPC;
}

int pid_file_open(struct pid_file *file, const char *path, char error[PID_FILE_ERROR_MAX]) {
	int fd = -EAGAIN;
	snprintf(error, PID_FILE_ERROR_MAX, "is removed again and again");
	for(int i = 0; i < PID_FILE_TRIES && fd == -EAGAIN; i++) {
		fd = open_locked(path, error);
	}
	if(fd < 0) {
		return fd;
	}
	*file = (struct pid_file){.fd = fd, .path = strdup(path)};
	int result = file->path ? write_number(fd) : -ENOMEM;
	if(result) {
		snprintf(error, PID_FILE_ERROR_MAX, "cannot be written: %s", strerror(-result));
		pid_file_remove(file);
	}
	return result;
}

void pid_file_enter_root(struct pid_file *file, const char *root) {
	char *inside = file->path ? strdup(file_beneath(root, file->path)) : NULL;
	if(inside) {
		free(file->path);
		file->path = inside;
	}
}

/* Does the path still name the file that is locked? */
static int is_own(const struct pid_file *file) {
	struct stat own, now;
	return file->path && fstat(file->fd, &own) == 0 && lstat(file->path, &now) == 0 &&
		own.st_dev == now.st_dev && own.st_ino == now.st_ino;
}

void pid_file_remove(struct pid_file *file) {
	if(file->fd > 0 && (!is_own(file) || unlink(file->path) < 0) &&
		ftruncate(file->fd, 0) < 0) {
		/* The number stays, but without a lock it means nothing. */
	}
	pid_file_forget(file);
}

void pid_file_forget(struct pid_file *file) {
	if(file->fd > 0) {
		close(file->fd);
	}
	free(file->path);
	*file = (struct pid_file){0};
}
