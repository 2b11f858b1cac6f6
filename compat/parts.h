/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parts of the translated command line.
 */
#ifndef WEBSOCKSY_PARTS_H
#define WEBSOCKSY_PARTS_H
#include "compat/compat.h"

/* Adds "--option=value". */
void parts_add(struct compat *compat, const char *source, const char *option, const char *value);

/* The same with a path, made absolute. */
void parts_add_file(
	struct compat *compat, const char *source, const char *option, const char *path);

/* Adds "-c key=value". */
void parts_add_backend(
	struct compat *compat, const char *source, const char *key, const char *value);

/* `path`, made absolute, which the caller frees. NULL: out of memory, or no working directory. */
char *parts_path(struct compat *compat, const char *path);
#endif
