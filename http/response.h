/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses: phrases of statuses, and error responses.
 */
#ifndef WEBSOCKSY_RESPONSE_H
#define WEBSOCKSY_RESPONSE_H
#include <stddef.h>

/* The standard phrase of a status; "Unknown" for others. Static. */
const char *response_status_text(unsigned status);

/*
 * The `extra` of a 426: RFC 9110, 15.5.22 and 7.8 want Upgrade, named in Connection; RFC 6455, 4.4
 * wants the version. The second Connection field joins "close" in one list.
 */
#define RESPONSE_UPGRADE_FIELDS                                                                    \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/*
 * Formats a complete response with `message` and a line end as its text/plain body into `out`, NUL
 * included: Date, Content-Length, Connection, X-Content-Type-Options, Cache-Control: no-store, and
 * `extra` (whole header lines ending in CRLF, or NULL). `flags` are of those below. Returns the
 * length without the NUL, or -ENOSPC.
 */
#define RESPONSE_HEAD_ONLY 1u /* the body is left out and Content-Length stays */
#define RESPONSE_PERSISTENT 2u /* the connection stays open: keep-alive instead of close */
int response_format_error(char *out, size_t cap, unsigned status, const char *message,
	const char *extra, unsigned flags);
#endif
