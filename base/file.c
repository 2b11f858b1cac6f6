/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading files without waiting, and opening files without leaving a directory.
 *
 * Must not know: the purpose of the files.
 * Invariants: nothing here waits for another process; only regular files are read.
 */
#include "base/file.h"

#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The kernel gives up a lookup if a directory is renamed meanwhile; the next attempt mostly
 * succeeds.
 */
#define LOOKUP_TRIES 4

/* ---- whole files ---- */

/* Reads up to `cap` bytes. Their number, or negative errno. */
static ssize_t read_up_to(int fd, char *out, size_t cap) {
	size_t used = 0;
	while(used < cap) {
		ssize_t got = RETRY_INTERRUPTED(read(fd, out + used, cap - used));
		if(got < 0) {
			return -errno;
		}
		if(got == 0) {
			break;
		}
		used += (size_t)got;
	}
	return (ssize_t)used;
}

/* `*size`: what the file says; 0 if it does not tell. */
static int check_regular(int fd, size_t max, size_t *size) {
	struct stat status;
	if(fstat(fd, &status) < 0) {
		return -errno;
	}
	if(!S_ISREG(status.st_mode)) {
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	*size = status.st_size > 0 ? (size_t)status.st_size : 0;
	return *size > max ? -EFBIG : 0;
}

/* One byte more than allowed tells that there is more. */
static int read_whole(int fd, size_t max, char **out, size_t *len) {
	char *content = malloc(max + 2);
	if(!content) {
		return -ENOMEM;
	}
	ssize_t got = read_up_to(fd, content, max + 1);
	if(got < 0 || (size_t)got > max) {
		free(content);
		return got < 0 ? (int)got : -EFBIG;
	}
	content[got] = '\0';
	*out = content;
	*len = (size_t)got;
	return 0;
}

/*
 * A file that does not tell its size (/proc), or that has grown meanwhile, is read into memory for the
 * most that is allowed.
 */
static int read_regular(int fd, size_t max, char **out, size_t *len) {
	size_t size = 0;
	int result = check_regular(fd, max, &size);
	if(result) {
		return result;
	}
	result = size > 0 ? read_whole(fd, size, out, len) : -EFBIG;
	if(result == -EFBIG && size < max) {
		result = lseek(fd, 0, SEEK_SET) < 0 ? -errno : read_whole(fd, max, out, len);
	}
	return result;
}

int file_read(const char *path, size_t max, char **out, size_t *len) {
	*out = NULL;
	*len = 0;
	/* Without O_NONBLOCK a fifo would wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if(fd < 0) {
		return -errno;
	}
	int result = read_regular(fd, max, out, len);
	close(fd);
	return result;
}

const char *file_error(int error) {
	return error == -EINVAL ? "Not a regular file" : strerror(-error);
}

/* ---- beneath a directory ---- */

/* Opens one segment, which ends at a slash or with the path. A descriptor or negative errno. */
static int open_segment(int directory, const char *path, size_t len, int flags) {
	char segment[NAME_MAX + 1];
	if(len >= sizeof(segment)) {
		return -ENAMETOOLONG;
	}
	memcpy(segment, path, len);
	segment[len] = '\0';
	if(strcmp(segment, "..") == 0) {
		return -EXDEV;
	}
	int fd = openat(directory, segment, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Without openat2: one segment after the other. */
static int walk_beneath(int directory, const char *path, int flags) {
	int fd = directory;
	bool last;
	do {
		size_t len = strcspn(path, "/");
		last = path[len] == '\0';
		int next = open_segment(fd, path, len, last ? flags : O_PATH | O_DIRECTORY);
		if(fd != directory) {
			close(fd);
		}
		fd = next;
		path += len + 1;
	} while(fd >= 0 && !last);
	return fd;
}

int file_open_beneath(int directory, const char *path, int flags) {
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	for(int i = 0; i < LOOKUP_TRIES; i++) {
		ssize_t fd =
			RETRY_INTERRUPTED(syscall(SYS_openat2, directory, path, &how, sizeof(how)));
		if(fd >= 0) {
			return (int)fd;
		}
		/* Older container sandboxes answer unknown system calls with EPERM. */
		if(errno == ENOSYS || errno == EPERM) {
			return walk_beneath(directory, path, flags);
		}
		if(errno != EAGAIN) {
			return -errno;
		}
	}
	return -EAGAIN;
}

const char *file_beneath(const char *directory, const char *path) {
	size_t len = strlen(directory);
	while(len > 0 && directory[len - 1] == '/') {
		len--;
	}
	if(strncmp(path, directory, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
		return path;
	}
	return path[len] == '\0' ? "/" : path + len;
}

/* ---- modes ---- */

#ifndef SYS_fchmodat2 /* newer than the headers of some systems; the same everywhere */
#define SYS_fchmodat2 452
#endif

/*
 * A descriptor of O_PATH is of no use with fchmod(). Linux 6.6 has fchmodat2(); before, its name in
 * /proc leads to the file that was opened, if there is a /proc in the root directory.
 */
static int change_mode(int fd, mode_t mode) {
	char name[32];
	if(syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0) {
		return 0;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, mode) == 0 ? 0 : errno == ENOENT ? -ENOSYS : -errno;
}

int file_change_mode(const char *path, const struct stat *file, mode_t mode) {
	struct stat now;
	int fd = (int)RETRY_INTERRUPTED(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	if(fd < 0) {
		return -errno;
	}
	int result = fstat(fd, &now) < 0 ? -errno : 0;
	if(result == 0 && (now.st_dev != file->st_dev || now.st_ino != file->st_ino)) {
		result = -ESTALE;
	}
	if(result == 0) {
		result = change_mode(fd, mode);
	}
	close(fd);
	return result;
}

/* ---- values of options ---- */

const char *file_check_absolute(const char *text) {
	return text[0] == '/' ? NULL : "is not an absolute path (it has to begin with /)";
}

const char *file_check_readable(const char *text) {
	struct stat status;
	if(text[0] == '\0') {
		return NULL;
	}
	if(stat(text, &status)) {
		return errno == ENOENT ? "does not exist (use a directory or a file)"
				       : "cannot be accessed (use a directory or a file)";
	}
	bool usable = S_ISDIR(status.st_mode) || S_ISREG(status.st_mode);
	return usable ? NULL : "is neither a directory nor a regular file";
}
