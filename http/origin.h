/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Allowed values of the Origin header (RFC 6454; RFC 6455, section 10.2) and their comparison.
 */
#ifndef WEBSOCKSY_ORIGIN_H
#define WEBSOCKSY_ORIGIN_H
#include <stdbool.h>
#include <stddef.h>

enum origin_kind {
	ORIGIN_EXACT, /* scheme, host and port */
	ORIGIN_SUBDOMAIN, /* any name below host (its pattern begins with "*."), not host itself */
	ORIGIN_SAME, /* "same": host and port equal the request's Host */
	ORIGIN_NULL /* "null": the opaque origin, literally */
};

struct origin {
	enum origin_kind kind;
	char *scheme; /* lower case; exact and subdomain only */
	char *host; /* lower case, IPv6 in brackets */
	unsigned port; /* the default of the scheme if none is given; 0: unknown */
};

/*
 * Parses one pattern ("scheme://host[:port]", the same with "*." in front of the host, "same",
 * "null") into `out`, whose strings belong to the caller (origin_free; harmless after a failure
 * too). 0, or -ENOMEM or -EINVAL with `*error`: static text that describes the error.
 */
int origin_parse(const char *text, struct origin *out, const char **error);
void origin_free(struct origin *origin);

/*
 * Does a request with this Origin value (not NUL-terminated) and Host value match the pattern?
 * Scheme, host and port are all compared; default ports (http/ws 80, https/wss 443) equal their
 * absence. For ORIGIN_SAME without a port in Host, the origin's default port is assumed for Host,
 * and schemes without a known default port never match. An Origin that is not exactly one
 * serialised origin matches nothing. `host` may be NULL with length 0.
 */
bool origin_matches(const struct origin *origin, const char *value, size_t value_len,
	const char *host, size_t host_len);
#endif
