/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the options of websockify and wsproxy to those of websocksy.
 */
#ifndef WEBSOCKSY_TRANSLATE_H
#define WEBSOCKSY_TRANSLATE_H
#include "compat/options.h"

/*
 * Fills the arguments, notices and lines of `compat`. Relative paths become absolute ones. Errors
 * are reported with compat_fail().
 */
void translate(struct compat *compat, const struct given *given);

/* `path`, made absolute, which the caller frees. NULL: out of memory, or no working directory. */
char *translate_path(struct compat *compat, const char *path);

/* Adds "--option=/absolute/path". */
void translate_file(
	struct compat *compat, const char *source, const char *option, const char *path);
#endif
