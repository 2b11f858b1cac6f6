/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP responses: errors, the health check, the redirect to https, and files.
 */
#ifndef WEBSOCKSY_RESPOND_H
#define WEBSOCKSY_RESPOND_H
#include "bridge/connection.h"
#include "http/request.h"

#include <stdbool.h>

/* For upgrades beside the one of run-once. */
#define RESPOND_TAKEN "this server takes a single connection"

/* An answer instead of a connection. */
struct error_response {
	unsigned status;
	const char *message; /* one line for the client */
	const char *extra; /* header lines, or NULL */
	const char *user; /* for the log, or NULL */
	bool minor; /* not worth a line of the normal log */
};

/* Fills `response`. Always false. */
static inline bool error_response_set(
	struct error_response *response, unsigned status, const char *message, const char *extra) {
	*response = (struct error_response){.status = status, .message = message, .extra = extra};
	return false;
}

/*
 * Sends an error response and logs it; the connection ends behind it. CONNECTION_RESPONSE from any
 * earlier phase.
 */
void respond_error(struct connection *c, const struct error_response *response);
void respond_status(struct connection *c, unsigned status, const char *message);

/* 503 with Retry-After. */
void respond_busy(struct connection *c, const char *message);

/* 503 to a request that is being handled when the daemon stops. */
void respond_shutdown(struct connection *c);

/* False: the daemon stops or is above a limit; `response` is a 503. */
bool respond_check_admission(const struct connection *c, struct error_response *response);

/* Does redirect-https apply to the request? */
bool respond_must_redirect(const struct connection *c, const struct request *request);

/* 308 to the same target under https, or the reason why there is none. */
void respond_redirect(struct connection *c, const struct request *request);

/* A file, a listing or the hint that this is a WebSocket server. */
void respond_web(struct connection *c, const struct request *request);

/* Is the request for the path of the option `health`? */
bool respond_is_health(const struct connection *c, const struct request *request);
void respond_health(struct connection *c, const struct request *request);

/*
 * Is it for a file of an ACME challenge (RFC 8555, 8.3)? Certificate authorities ask for these
 * without TLS and without credentials.
 */
bool respond_is_challenge(const struct connection *c, const struct request *request);

/*
 * Has the client taken at least CONNECTION_RATE_MIN of its response on average since this was last
 * asked, or since the response began?
 */
bool respond_keeps_pace(struct connection *c);

/*
 * CONNECTION_RESPONSE: sends more of the file; at its end the connection lingers, or is in
 * CONNECTION_HEAD again for the next request.
 */
void respond_pump(struct connection *c);
void respond_deadline(struct connection *c);

/* Closes the file of a response, if there is one. */
void respond_close_file(struct handshake *h);
#endif
