/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `http`: an HTTP server is asked for the peer of each client.
 *
 * Must not know: anything of the core but websocksy_plugin.h. Options and replies:
 * man/websocksy-http.7.
 * Invariants: the option `url` is valid before a client is asked for.
 */
#include "websocksy_plugin.h"

#include "plugins/backend_http/client.h"
#include "plugins/backend_http/url.h"
#include "plugins/common/duration.h"
#include "plugins/common/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HTTP_CONNECTIONS_MAX 4096
#define HTTP_ADDRESS_MAX (SERVER_MAX + TARGET_MAX + 8)

struct http {
	char *text; /* of the option url */
	char *from;
	char *ca;
	char address[HTTP_ADDRESS_MAX];
	struct url url;
	struct http_client client;
};

static const struct websocksy_option http_options[] = {
	{"url", NULL, "http:// or https:// with %s, %token% or %path%; required"},
	{"ca", NULL, "certificate authorities of the server, in PEM format"},
	{"pass-header", NULL, "a header field of the client that is passed on; repeatable"},
	{"from", "query:token", "where the token is"},
	{"connections", "256", "connections to the server, up to 4096"},
	{"timeout", "10s", "time for a response"},
	{"ttl", "0", "time for which a response is used again"},
	{0},
};

static int http_open(const struct websocksy_core *core, void **state) {
	struct http *http = calloc(1, sizeof(*http));
	if(!http) {
		return -ENOMEM;
	}
	http->client.core = core;
	http->client.connections_max = 256;
	http->client.timeout_ms = 10 * 1000;
	*state = http;
	return 0;
}

/* ---- options ---- */

static int http_invalid(char error[WEBSOCKSY_ERROR_MAX], const char *form) {
	snprintf(error, WEBSOCKSY_ERROR_MAX, "%s", form);
	return -EINVAL;
}

static int http_set_copy(char **text, const char *value) {
	char *copy = strdup(value);
	if(!copy) {
		return -ENOMEM;
	}
	free(*text);
	*text = copy;
	return 0;
}

static int http_set_url(struct http *http, const char *value, char *error) {
	if(http_set_copy(&http->text, value)) {
		return -ENOMEM;
	}
	const char *form = url_parse(&http->url, http->text);
	return form ? http_invalid(error, form) : 0;
}

static int http_set_ca(struct http *http, const char *value, char *error) {
	if(!value[0] || strlen(value) > TARGET_MAX / 4) {
		return http_invalid(error, "must be the name of a file, of up to 256 bytes");
	}
	return http_set_copy(&http->ca, value);
}

static int http_set_pass_header(struct http *http, const char *value, char *error) {
	const char *form = url_check_header(value);
	if(form) {
		return http_invalid(error, form);
	}
	if(http->url.headers == URL_HEADERS_MAX) {
		return http_invalid(error, "is possible 16 times");
	}
	char **source = &http->url.source[http->url.headers];
	if(asprintf(source, "header:%s", value) < 0) {
		*source = NULL;
		return -ENOMEM;
	}
	http->url.headers++;
	return 0;
}

static int http_set_from(struct http *http, const char *value, char *error) {
	const char *form = http->client.core->check_source(value);
	return form ? http_invalid(error, form) : http_set_copy(&http->from, value);
}

static int http_set_connections(struct http *http, const char *value, char *error) {
	size_t digits = strspn(value, "0123456789");
	unsigned long number = digits > 0 && digits < 6 ? strtoul(value, NULL, 10) : 0;
	if(value[digits] || number == 0 || number > HTTP_CONNECTIONS_MAX) {
		return http_invalid(error, "must be a number from 1 to 4096");
	}
	http->client.connections_max = number;
	return 0;
}

static int http_set_timeout(struct http *http, const char *value, char *error) {
	if(!duration_parse(value, &http->client.timeout_ms) || http->client.timeout_ms == 0) {
		return http_invalid(error, DURATION_FORM ", and not 0");
	}
	return 0;
}

static int http_set_ttl(struct http *http, const char *value, char *error) {
	return duration_parse(value, &http->client.cache_ms) ? 0
							     : http_invalid(error, DURATION_FORM);
}

static const struct http_setter {
	const char *name;
	int (*set)(struct http *http, const char *value, char *error);
} http_setters[] = {
	{"url", http_set_url},
	{"ca", http_set_ca},
	{"pass-header", http_set_pass_header},
	{"from", http_set_from},
	{"connections", http_set_connections},
	{"timeout", http_set_timeout},
	{"ttl", http_set_ttl},
};

static int http_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	for(size_t i = 0; i < sizeof(http_setters) / sizeof(http_setters[0]); i++) {
		if(strcmp(key, http_setters[i].name) == 0) {
			return http_setters[i].set(state, value, error);
		}
	}
	return http_invalid(error, "is not an option of this backend");
}

/* Writes the address for connect(). */
static bool http_set_address(struct http *http) {
	static const char scheme[] = "unix://";
	char ca[TARGET_MAX];
	if(!http->ca) {
		snprintf(http->address, HTTP_ADDRESS_MAX, "%s", http->url.address);
		return true;
	}
	/* For its escapes: a path in an address and one in a parameter are written alike. */
	if(!target_from_path(http->ca, strlen(http->ca), ca)) {
		return false;
	}
	snprintf(http->address, HTTP_ADDRESS_MAX, "%s?ca=%s", http->url.address,
		ca + sizeof(scheme) - 1);
	return true;
}

static int http_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	struct http *http = state;
	struct url *url = &http->url;
	if(!http->text) {
		return http_invalid(
			error, "url is missing, as in url=http://localhost:8000/peer?token=%s");
	}
	if(!url->has_token && !url->has_path && url->headers == 0) {
		return http_invalid(error,
			"url needs %s, %token% or ?%path% in the place of the token or the path, "
			"unless there is a pass-header");
	}
	if(http->ca && !url->tls) {
		return http_invalid(error, "ca needs a url with https://");
	}
	if(!http_set_address(http) || http->client.core->check_address(http->address)) {
		return http_invalid(error, "url has no valid host and port");
	}
	url->from = http->from ? http->from : "query:token";
	http->client.url = url;
	http->client.address = http->address;
	return 0;
}

/* ---- clients ---- */

static const struct http_refusal {
	unsigned status;
	const char *text;
} http_refusals[] = {
	[URL_NO_TOKEN] = {404, "The request has no token."},
	[URL_BAD_TOKEN] = {404, "The token is unknown."},
	[URL_TOO_LONG] = {400, "The header fields of the request are too long or invalid."},
};

static void http_query(void *state, struct websocksy_query *query) {
	struct http_client *client = &((struct http *)state)->client;
	const struct websocksy_core *core = client->core;
	struct url_request request;
	enum url_result result = url_request(client->url, core, query, &request);
	if(result != URL_OK) {
		core->refuse(query, http_refusals[result].status, http_refusals[result].text);
	} else if(client->cache_ms == 0 || !core->cached(query, request.text)) {
		client_query(client, query);
	}
}

static void http_cancel(void *state, struct websocksy_query *query) {
	client_cancel(&((struct http *)state)->client, query);
}

static void http_close(void *state) {
	struct http *http = state;
	client_close(&http->client);
	for(size_t i = 0; i < http->url.headers; i++) {
		free(http->url.source[i]);
	}
	free(http->text);
	free(http->from);
	free(http->ca);
	free(http);
}

static const struct websocksy_backend http_backend = {
	.size = sizeof(http_backend),
	.name = "http",
	.description = "Asks an HTTP server for the peer of each client",
	.options = http_options,
	.flags = WEBSOCKSY_REMOTE,
	.open = http_open,
	.configure = http_configure,
	.check = http_check,
	.query = http_query,
	.cancel = http_cancel,
	.close = http_close,
};

static const struct websocksy_backend *const http_backends[] = {&http_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "http",
	.version = "1.0",
	.description = "Peers from an HTTP server",
	.backends = http_backends,
};
