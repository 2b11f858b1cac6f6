/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The request that a connection has made, in a few words for lines of the log: GET "/path".
 */
#ifndef WEBSOCKSY_SUMMARY_H
#define WEBSOCKSY_SUMMARY_H
#include "bridge/connection.h"
#include "http/request.h"

#include <stddef.h>

/* Keeps method and path of the request; a query string may hold secrets. */
void summary_begin(struct connection *c, const struct request *request);

/* Adds a part of the request to them: its name, and a value without control characters. */
void summary_add(struct connection *c, const char *name, const char *value);

/* Adds the origin to them. */
void summary_add_origin(struct connection *c, struct slice origin);

/* The path of the request, as far as the summary has it; without a summary: empty. */
void summary_path(const struct connection *c, char *out, size_t cap);
#endif
