/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The summary of a request for the log.
 *
 * Must not know: how a request is answered.
 * Invariants: text of the client is in quotes, and escaped.
 */
#include "bridge/summary.h"

#include "bridge/handshake_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_VALUE_MAX 160 /* of a path or an origin */
#define SUMMARY_METHOD_MAX 16

void summary_begin(struct connection *c, const struct request *request) {
	/* For each request, mostly for no line at all: without snprintf(). */
	char summary[SUMMARY_METHOD_MAX + 1 + SUMMARY_VALUE_MAX];
	size_t len =
		request->method.len < SUMMARY_METHOD_MAX ? request->method.len : SUMMARY_METHOD_MAX;
	memcpy(summary, request->method.at, len);
	summary[len++] = ' ';
	text_quote(request_path(request), summary + len, SUMMARY_VALUE_MAX);
	free(c->handshake->summary);
	c->handshake->summary = strdup(summary);
}

void summary_add(struct connection *c, const char *name, const char *value) {
	struct handshake *h = c->handshake;
	char *summary;
	if(h->summary && asprintf(&summary, "%s, %s %s", h->summary, name, value) >= 0) {
		free(h->summary);
		h->summary = summary;
	}
}

void summary_add_origin(struct connection *c, struct slice origin) {
	char value[SUMMARY_VALUE_MAX];
	text_quote(origin, value, sizeof(value));
	summary_add(c, "Origin", value);
}

void summary_path(const struct connection *c, char *out, size_t cap) {
	const char *summary = c->handshake->summary;
	const char *quoted = summary ? strchr(summary, '"') : NULL;
	text_unquote(quoted ? quoted : "", out, cap);
}
