/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The option `expression` of the backend `file`: from a request to the name of a file.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_FILE_EXPRESSION_H
#define WEBSOCKSY_PLUGIN_BACKEND_FILE_EXPRESSION_H
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>

/* A file name while it is put together, or the text of a file while it is taken apart. */
struct text {
	char *at;
	size_t len;
	size_t cap;
};

/* Is the expression valid? NULL, or a static text with its valid form. */
const char *expression_check(const char *expression);

/*
 * Writes the file name for this request to `name`, with a NUL behind it. False: the request does
 * not match the expression, or the name is too long.
 */
bool expression_evaluate(const char *expression, struct websocksy_query *query, struct text *name);
#endif
