/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files that are read as a whole, and files beneath a directory.
 */
#ifndef WEBSOCKSY_FILE_H
#define WEBSOCKSY_FILE_H
#include <stddef.h>
#include <sys/stat.h>

/*
 * Reads the whole of a regular file. Never waits: a fifo or a device in its place is an error. 0
 * and the content in `*out`, a NUL behind its `*len` bytes, which the caller frees; -EISDIR;
 * -EINVAL: neither regular file nor directory; -EFBIG: longer than `max` bytes; or other negative
 * errno. `*out` is NULL after errors.
 */
int file_read(const char *path, size_t max, char **out, size_t *len);

/* The text for an error of file_read(), without the path. */
const char *file_error(int error);

/*
 * Opens `path`, which is relative, beneath `directory`: neither ".." nor symbolic links lead out of
 * it. O_CLOEXEC is added to the flags of open(2). The descriptor or negative errno; -EXDEV: the
 * path leads out. Where the system call openat2 is not available, no symbolic link is followed at
 * all.
 */
int file_open_beneath(int directory, const char *path, int flags);

/*
 * Changes the mode of the file at `path` if it is still the one with this device and inode. Never
 * follows a symbolic link at the end of the path. 0; -ESTALE: another file is there; or other
 * negative errno.
 */
int file_change_mode(const char *path, const struct stat *file, mode_t mode);

/*
 * The path behind `directory`, with a slash in front, if `path` is in there; otherwise `path`. Both
 * are absolute; symbolic links are not looked at.
 */
const char *file_beneath(const char *directory, const char *path);

/*
 * Checks a value. NULL: valid; otherwise static text that continues a sentence which begins with
 * the quoted value. An absolute path; an existing directory or regular file, or nothing.
 */
const char *file_check_absolute(const char *text);
const char *file_check_readable(const char *text);
#endif
