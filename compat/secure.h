/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS towards clients.
 */
#ifndef WEBSOCKSY_SECURE_H
#define WEBSOCKSY_SECURE_H
#include "compat/options.h"

void secure_translate(struct compat *compat, const struct given *given);
#endif
