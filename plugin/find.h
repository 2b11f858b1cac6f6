/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts of a request by the name of their source, for backends of plugin API version 2.
 */
#ifndef WEBSOCKSY_PLUGIN_FIND_H
#define WEBSOCKSY_PLUGIN_FIND_H
#include "plugin/backend.h"

/* A text that has been found, in a list; freed with find_free(). Initialised by NULL. */
struct found;

/*
 * The text of `source`, see struct websocksy_core. NULL: there is none, it is not valid, or there
 * is no memory. It is kept in `list`.
 */
const char *find_text(
	const struct backend_request *request, const char *source, struct found **list);

void find_free(struct found *list);

/* NULL, or static text that describes valid sources. */
const char *find_check(const char *source);
#endif
