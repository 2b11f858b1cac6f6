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
#endif
