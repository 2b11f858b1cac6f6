/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The target in the URL of a request of the backend `url`.
 */
#ifndef WEBSOCKSY_PLUGIN_URL_REQUEST_H
#define WEBSOCKSY_PLUGIN_URL_REQUEST_H
#include "plugins/backend_url/rule.h"
#include "websocksy_plugin.h"

/*
 * Reads the parameter address (host:port), the parameters host and port, or the last segment of the
 * path (host:port). NULL, or static text about the error for the client.
 */
const char *request_read(const struct websocksy_core *core, struct websocksy_query *query,
	struct rule_target *target);
#endif
