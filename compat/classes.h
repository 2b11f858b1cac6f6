/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Classes of token and authentication plugins of websockify.
 */
#ifndef WEBSOCKSY_CLASSES_H
#define WEBSOCKSY_CLASSES_H
#include "compat/options.h"

/* The class of --token-plugin or --target-config without its module; NULL: neither is given. */
const char *classes_token_name(const struct given *given);

/* Adds the backend and its options that are equivalent to the token plugin. */
void classes_translate_token(struct compat *compat, const struct given *given);

/* Adds the options that are equivalent to the authentication plugin, if one is given. */
void classes_translate_auth(struct compat *compat, const struct given *given);
#endif
