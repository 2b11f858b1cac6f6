/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A second instance of a shared object that is loaded already. The dynamic linker keeps one
 * instance, and so one set of globals, for each file, and a version 1 backend keeps its
 * configuration in globals. For a new configuration to be tried while the old one serves, the
 * second instance has to come from another file: a copy in memory.
 */
#ifndef WEBSOCKSY_PLUGIN_RESIDENT_H
#define WEBSOCKSY_PLUGIN_RESIDENT_H
#include <stdbool.h>

#define RESIDENT_PATH_MAX 32

/*
 * Does the dynamic linker hold an object under this path, or the same file under another? dlopen()
 * would return that one, even if the path now belongs to a newer file.
 */
bool resident_is_loaded(const char *path);

/*
 * Copies `file` into memory and stores a path in `path` from which dlopen() makes a new instance.
 * The descriptor, which has to stay open as long as that is loaded, or negative errno.
 */
int resident_copy(const char *file, char path[RESIDENT_PATH_MAX]);
#endif
