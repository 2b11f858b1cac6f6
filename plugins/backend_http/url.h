/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The option `url` of the backend `http`, and the requests that are made of it.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_HTTP_URL_H
#define WEBSOCKSY_PLUGIN_BACKEND_HTTP_URL_H
#include "plugins/common/server.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>

#define URL_MAX 4096
#define URL_HEADERS_MAX 16
#define URL_TOKEN_MAX 1024
#define URL_REQUEST_MAX 16384

struct url {
	char address[SERVER_MAX]; /* for connect(), without parameters */
	bool tls;
	bool has_token;
	bool has_path;
	const char *host; /* for the field Host and for the log, in the text that was parsed */
	size_t host_len;
	const char *target; /* path and query with placeholders, in the text that was parsed */
	const char *from; /* the source of the token */
	char *source[URL_HEADERS_MAX]; /* header:NAME of fields that are passed on */
	size_t headers;
};

/* Reads `text`, which has to stay. NULL, or static text about the correct form. */
const char *url_parse(struct url *url, const char *text);

/* Is it the name of a field that can be passed on? NULL, or static text about the correct form. */
const char *url_check_header(const char *name);

enum url_result {
	URL_OK = 0,
	URL_NO_TOKEN,
	URL_BAD_TOKEN, /* it could change the path, or is too long */
	URL_TOO_LONG, /* the request is longer than URL_REQUEST_MAX, or a field is invalid */
};

struct url_request {
	size_t len;
	char text[URL_REQUEST_MAX]; /* a NUL behind it */
};

/* Makes the request for a client. */
enum url_result url_request(const struct url *url, const struct websocksy_core *core,
	struct websocksy_query *query, struct url_request *out);
#endif
