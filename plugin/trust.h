/* SPDX-License-Identifier: BSD-2-Clause
 *
 * May a file be loaded as code? Only if no other user can change it or exchange it for another.
 */
#ifndef WEBSOCKSY_PLUGIN_TRUST_H
#define WEBSOCKSY_PLUGIN_TRUST_H
#include <sys/stat.h>

#define TRUST_ERROR_MAX 512

/*
 * Checks the regular file `path` (absolute), each directory that leads to it and each symbolic link
 * on the way: all of them are owned by root or by the user of this process, and neither group nor
 * others may write to them, except to sticky directories such as /tmp. Afterwards no other user can
 * make the path lead elsewhere, so it can be opened again by its name. 0 and the status of the file
 * in `*file`, or negative errno and one line in `error`.
 */
int trust_check(const char *path, struct stat *file, char error[TRUST_ERROR_MAX]);
#endif
