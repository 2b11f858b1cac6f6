/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The document root: opening it, and opening regular files in it.
 *
 * Must not know: requests, which paths are public.
 * Invariants: every file is opened relative to a directory descriptor that is held, until its name
 * leads to another directory, and the kernel (openat2) keeps the lookup beneath it. A file that is
 * opened for reading has been seen to be a regular file, so a fifo or a device in the tree can
 * neither block the caller nor be disturbed.
 */
#include "http/root.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
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

static void release(struct root *root) {
	if(root->fd >= 0) {
		close(root->fd);
	}
	free(root->path);
	free(root->directory);
	free(root->file);
	*root = (struct root){.fd = -1};
}

/* Has to be readable and searchable; looking up "." needs search permission. */
static int open_directory(const char *path, struct root *root) {
	root->directory = strdup(path);
	if(!root->directory) {
		return -ENOMEM;
	}
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
	struct root_file probe = {.fd = -1};
	int result = -ENOMEM;
	root->directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	root->file = strdup(slash ? slash + 1 : path);
	if(root->directory && root->file) {
		root->fd = open(root->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
		result = root->fd < 0 ? -errno : root_open_file(root, NULL, &probe);
	}
	if(probe.fd >= 0) {
		close(probe.fd);
	}
	return result;
}

/* Opens the file or directory that `path` names now. 0 or negative errno. */
static int open_path(const char *path, struct root *root) {
	struct stat info;
	if(stat(path, &info) < 0) {
		return -errno;
	}
	int result = -EINVAL;
	if(S_ISDIR(info.st_mode)) {
		result = open_directory(path, root);
	} else if(S_ISREG(info.st_mode)) {
		result = open_single(path, root);
	}
	if(result == 0 && fstat(root->fd, &root->info) < 0) {
		result = -errno;
	}
	return result;
}

/* The current working directory may change. NULL: no memory. */
static char *absolute_path(const char *path) {
	char *directory = path[0] == '/' ? NULL : getcwd(NULL, 0);
	char *absolute = NULL;
	if(!directory) {
		return strdup(path);
	}
	if(asprintf(&absolute, "%s/%s", directory, path) < 0) {
		absolute = NULL;
	}
	free(directory);
	return absolute;
}

int root_open(const char *path, struct root **out) {
	struct root *root = calloc(1, sizeof(*root));
	int result = -ENOMEM;
	*out = NULL;
	if(!root) {
		return result;
	}
	root->fd = -1;
	root->path = absolute_path(path);
	if(root->path) {
		result = path[0] != '\0' ? open_path(root->path, root) : -ENOENT;
	}
	if(result < 0) {
		root_close(root);
		return result;
	}
	*out = root;
	return 0;
}

int root_open_directory(const struct root *root, const char *path) {
	return file_open_beneath(root->fd, path, O_RDONLY | O_DIRECTORY);
}

/* ---- replacement ---- */

/* Does the name of the directory still lead to the one that is open? */
static bool is_current(const struct root *root) {
	struct stat info;
	return stat(root->directory, &info) < 0 ||
		(info.st_dev == root->info.st_dev && info.st_ino == root->info.st_ino);
}

void root_follow(struct root *root) {
	struct root fresh = {.fd = -1};
	if(is_current(root)) {
		return;
	}
	if(open_path(root->path, &fresh) < 0) {
		release(&fresh);
		return;
	}
	fresh.path = root->path;
	root->path = NULL;
	release(root);
	*root = fresh;
	log_write(LOG_NOTICE, "web: %s has been replaced; the new files are served", root->path);
}

void root_close(struct root *root) {
	if(root) {
		release(root);
		free(root);
	}
}
