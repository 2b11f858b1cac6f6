/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All files that a configuration names.
 */
#ifndef WEBSOCKSY_CONFIG_FILES_H
#define WEBSOCKSY_CONFIG_FILES_H
#include "config.h"

/*
 * The process has made settings.chroot its root: changes the paths in the configuration, and those
 * that are read for the next one, to paths beneath it. 0 or -ENOMEM.
 */
int files_enter_root(struct config *config);

/*
 * Calls `fn` for each file that a reload reads: the option (NULL: a configuration file) and the
 * path.
 */
typedef void files_fn(void *ctx, const char *option, const char *path);
void files_each(const struct config *config, files_fn *fn, void *ctx);
#endif
