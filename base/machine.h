/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine that the process runs on.
 */
#ifndef WEBSOCKSY_MACHINE_H
#define WEBSOCKSY_MACHINE_H
#include <stddef.h>

/*
 * The memory that the process may use at most: that of the machine, or the limit of its control
 * group (version 2 or 1, or of one above it) if that is lower. SIZE_MAX: not known.
 */
size_t machine_memory(void);

/*
 * The same with the list of control groups and the directory of their files from elsewhere: for
 * tests. `list` is as /proc/self/cgroup. The lowest limit, or SIZE_MAX.
 */
size_t machine_cgroup_memory(const char *list, const char *directory);

/* Raises the limit on descriptors as far as the system grants it. The limit; 0: not known. */
size_t machine_raise_descriptors(void);
#endif
