/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The document root: opening it, and opening regular files in it.
 *
 * Must not know: requests, which paths are public.
 * Invariants: every file is opened relative to a directory descriptor that is held from the start,
 * and the kernel (openat2) keeps the lookup beneath it. A file that is opened for reading has been
 * seen to be a regular file, so a fifo or a device in the tree can neither block the caller nor be
 * disturbed.
 */
#include "http/root.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A single file was named by the operator: its symbolic links may lead anywhere. */
static int open_entry(const struct root *root, const char *path, int flags) {
	if(!root->file) {
		return file_open_beneath(root->fd, path, flags);
	}
	int fd = openat(root->fd, root->file, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* fstat() that closes `fd` when it fails; the descriptor or negative errno. */
static int stat_opened(int fd, struct stat *info) {
	if(fd < 0 || fstat(fd, info) == 0) {
		return fd;
	}
	int error = errno;
	close(fd);
	return -error;
}

/*
 * The file is opened with O_PATH first, which has no side effects: opening a fifo would wake its
 * writer, opening a device may do anything. The second check is for a file that was replaced in
 * between.
 */
int root_open_file(const struct root *root, const char *path, struct root_file *file) {
	static const int ways[] = {O_PATH, O_RDONLY | O_NONBLOCK | O_NOCTTY};
	for(size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
		int fd = stat_opened(open_entry(root, path, ways[way]), &file->info);
		if(fd < 0) {
			return fd;
		}
		if(!S_ISREG(file->info.st_mode)) {
			close(fd);
			return S_ISDIR(file->info.st_mode) ? -EISDIR : -EINVAL;
		}
		if(way == 0) {
			close(fd);
		} else {
			file->fd = fd;
		}
	}
	return 0;
}

const char *root_error(int error) {
	switch(-error) {
	case ENOENT:
	case ENOTDIR:
		return "no such file or directory";
	case EACCES:
	case EPERM:
		return "permission denied";
	case EINVAL:
		return "neither a directory nor a regular file";
	case ELOOP:
		return "too many levels of symbolic links";
	case ENAMETOOLONG:
		return "the name is too long";
	case ENOMEM:
		return "out of memory";
	default:
		return "cannot be opened";
	}
}

/* Has to be readable and searchable; looking up "." needs search permission. */
static int open_directory(const char *path, struct root *root) {
	root->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if(root->fd < 0) {
		return -errno;
	}
	int probe = openat(root->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if(probe < 0) {
		return -errno;
	}
	close(probe);
	return 0;
}

/* Opens the directory that holds the file, and the file once to check that it can be read. */
static int open_single(const char *path, struct root *root) {
	const char *slash = strrchr(path, '/');
	char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct root_file probe = {.fd = -1};
	int result = -ENOMEM;
	root->file = strdup(slash ? slash + 1 : path);
	if(directory && root->file) {
		root->fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
		result = root->fd < 0 ? -errno : root_open_file(root, NULL, &probe);
	}
	if(probe.fd >= 0) {
		close(probe.fd);
	}
	free(directory);
	return result;
}

int root_open(struct root *root, const char *path) {
	struct stat info;
	*root = (struct root){.fd = -1};
	if(stat(path, &info) < 0) {
		return -errno;
	}
	int result = -EINVAL;
	if(S_ISDIR(info.st_mode)) {
		result = open_directory(path, root);
	} else if(S_ISREG(info.st_mode)) {
		result = open_single(path, root);
	}
	if(result < 0) {
		root_close(root);
	}
	return result;
}

int root_open_directory(const struct root *root, const char *path) {
	return file_open_beneath(root->fd, path, O_RDONLY | O_DIRECTORY);
}

void root_close(struct root *root) {
	if(root->fd >= 0) {
		close(root->fd);
	}
	free(root->file);
	*root = (struct root){.fd = -1};
}
