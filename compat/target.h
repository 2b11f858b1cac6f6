/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The target: an address, a Unix socket, a program, or the choice of a token plugin.
 */
#ifndef WEBSOCKSY_TARGET_H
#define WEBSOCKSY_TARGET_H
#include "compat/options.h"

/* Adds the peer, and the program behind all other arguments. The number of arguments is right. */
void target_translate(struct compat *compat, const struct given *given);
#endif
