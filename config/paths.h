/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Paths in options: relative ones begin in the directory that the daemon was started in, and all of
 * them keep their meaning when the daemon has changed its root directory.
 */
#ifndef WEBSOCKSY_PATHS_H
#define WEBSOCKSY_PATHS_H
#include "config.h"

/* The absolute path for the value `text` of an option, to be freed. NULL: no memory. */
char *paths_resolve(const struct config *config, const char *text);
#endif
