/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing functions auto, binary, separator, newline and text, and the default backend.
 */
#ifndef WEBSOCKSY_BUILTINS_H
#define WEBSOCKSY_BUILTINS_H

/* Registers all of them with plugin.c; to be called once, before any plugin is loaded. 0 or -ENOMEM. */
int builtins_register(void);
#endif
