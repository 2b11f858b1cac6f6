/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Protection of the secrets in memory.
 */
#ifndef WEBSOCKSY_HARDENING_H
#define WEBSOCKSY_HARDENING_H

/*
 * Passwords and private keys stay in this process: no core dump, no reading of its memory by other
 * processes of the same user, no debugger. 0 or negative errno.
 */
int hardening_hide_memory(void);
#endif
