/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files that a plugin reads, and reads again when they have changed.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_READING_H
#define WEBSOCKSY_PLUGIN_COMMON_READING_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

/* The state of a file or directory when it was read; all zero: it was not. */
struct reading_stamp {
	bool settled; /* later changes will differ from it */
	dev_t device;
	ino_t number;
	off_t size;
	struct timespec changed;
};

/*
 * Is the file `name` (below the directory `at`, which may be AT_FDCWD) still that of the stamp?
 * False also if it is not certain.
 */
bool reading_is_current(const struct reading_stamp *stamp, int at, const char *name);

struct reading_text {
	char *at; /* with a NUL behind the last byte; to be freed */
	size_t len;
};

/*
 * Reads a regular file of at most `max` bytes, without waiting for other processes. `stamp` may be
 * NULL. 0 or negative errno; -EINVAL: it is not a regular file; -EFBIG. Nothing is to be freed
 * then.
 */
int reading_take(int at, const char *name, size_t max, struct reading_text *out,
	struct reading_stamp *stamp);

/* Opens a directory for reading its names. The descriptor or negative errno. */
int reading_open_directory(const char *name, struct reading_stamp *stamp);
#endif
