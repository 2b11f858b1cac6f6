/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framings auto, binary, text, separator, newline and base64, and the built-in backend.
 */
#ifndef WEBSOCKSY_BUILTINS_H
#define WEBSOCKSY_BUILTINS_H

/*
 * Registers all of them with plugin.c; to be called once, before any plugin is loaded. 0 or
 * -ENOMEM.
 */
int builtins_register(void);
#endif
