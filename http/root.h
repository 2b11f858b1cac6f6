/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The document root of a site: a directory, or a single file.
 */
#ifndef WEBSOCKSY_ROOT_H
#define WEBSOCKSY_ROOT_H
#include <sys/stat.h>

struct root {
	int fd; /* the directory, or the one that holds `file` */
	char *file; /* name in the directory; NULL: the whole directory is served */
	char *path; /* as it was opened */
	char *directory; /* the path of `fd` */
	struct stat info; /* of `fd` */
};

/* A regular file that is open for reading; fd -1: none. */
struct root_file {
	int fd;
	struct stat info;
};

/*
 * Opens the document root at `path`, relative to the current working directory. 0 and `*out`, which
 * the caller gives to root_close(), or negative errno (root_error); -EINVAL: neither a directory
 * nor a regular file.
 */
int root_open(const char *path, struct root **out);

/*
 * Opens the root anew, with a line in the log, if the name of its directory leads to another one by
 * now: a symbolic link was switched, or the directory was replaced. While nothing can be opened
 * there, the root stays.
 */
void root_follow(struct root *root);

/* The text for an error of root_open(), static. */
const char *root_error(int error);

/*
 * Opens the file at `path`, which is relative and never leads out of the root; if the root is a
 * single file, that file, whatever `path` is. 0, or negative errno; -EISDIR for a directory,
 * -EINVAL for anything else but a regular file.
 */
int root_open_file(const struct root *root, const char *path, struct root_file *file);

/* Opens the directory at `path`, as above, to read its names. A descriptor or negative errno. */
int root_open_directory(const struct root *root, const char *path);

/* NULL: nothing. */
void root_close(struct root *root);
#endif
