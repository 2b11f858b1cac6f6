/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Allowed values of the Origin header (RFC 6454; RFC 6455, section 10.2) and their comparison.
 */
#ifndef WEBSOCKSY_ORIGIN_H
#define WEBSOCKSY_ORIGIN_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum origin_kind {
	ORIGIN_EXACT, /* scheme, host and port */
	ORIGIN_SUBDOMAIN, /* any name below host (its pattern begins with "*."), not host itself */
	ORIGIN_SAME, /* "same": the origin is that of the server itself, see origin_matches() */
	ORIGIN_NULL, /* "null": the opaque origin, literally */
	ORIGIN_FILE /* "file://": pages of files in some embedded browsers, literally */
};

struct origin {
	enum origin_kind kind;
	char *scheme; /* lower case; exact and subdomain only */
	char *host; /* lower case, IPv6 in brackets */
	unsigned port; /* the default of the scheme if none is given; 0: unknown */
};

/*
 * Parses one pattern ("scheme://host[:port]", the same with "*." in front of the host, "same",
 * "null", "file://") into `out`, whose strings belong to the caller (origin_free; harmless after a
 * failure too). 0, or -ENOMEM or -EINVAL with `*error`: static text that describes the error.
 */
int origin_parse(const char *text, struct origin *out, const char **error);
void origin_free(struct origin *origin);

#define ORIGIN_FILE_TEXT "file://"

/* The server as the client sees it. */
struct origin_self {
	struct slice host; /* without its port; IPv6 in brackets; empty: unknown, matches nothing */
	unsigned port; /* 0: none in Host */
	bool https; /* the client uses TLS */
};

/*
 * Does a request with this Origin value match the pattern? Scheme, host and port are all compared;
 * default ports (http/ws 80, https/wss 443) equal their absence. For ORIGIN_SAME, a server without
 * a port has the default port of the origin, and schemes without a known default port never match;
 * if the client uses TLS the scheme has to be https or wss. (If it does not, TLS may end at a
 * proxy, so both are possible.) An Origin that is not exactly one serialised origin matches
 * nothing.
 */
bool origin_matches(
	const struct origin *origin, struct slice value, const struct origin_self *self);
#endif
