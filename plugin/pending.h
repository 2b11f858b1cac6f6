/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Queries to backends of plugin API version 2, from the question to the answer.
 */
#ifndef WEBSOCKSY_PLUGIN_PENDING_H
#define WEBSOCKSY_PLUGIN_PENDING_H
#include "plugin/backend.h"
#include "plugin/instance.h"

/*
 * Asks `instance`. 0: `answer` is filled; -EINPROGRESS: request->answered will be called, and
 * `*out` (which owns the copies of the request from now on) is gone then; -ENOMEM.
 */
int pending_start(struct instance *instance, struct backend_request *request,
	struct backend_answer *answer, struct pending **out);

/* Ends a query that has not been answered, and tells the backend. */
void pending_cancel(struct pending *pending);

/* Frees what is kept of queries that are over. */
void pending_clear(struct instance *instance);

/* The functions of struct websocksy_core. */
const char *pending_find(struct websocksy_query *query, const char *source);
const char *pending_field(struct websocksy_query *query, size_t index, const char **name);
void pending_answer(struct websocksy_query *query, const struct websocksy_answer *answer);
void pending_refuse(struct websocksy_query *query, unsigned status, const char *text);
bool pending_cached(struct websocksy_query *query, const char *key);
#endif
