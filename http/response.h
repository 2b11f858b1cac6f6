/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reason phrases, and error responses.
 */
#ifndef WEBSOCKSY_RESPONSE_H
#define WEBSOCKSY_RESPONSE_H
#include <stddef.h>

/* The reason phrase of a status; "Unknown" for statuses that are not used here. Static. */
const char *response_status_text(unsigned status);

/*
 * The `extra` of a 426: Upgrade, listed in Connection (RFC 9110, 15.5.22 and 7.8), and the version
 * (RFC 6455, 4.4). The two Connection fields form one list.
 */
#define RESPONSE_UPGRADE_FIELDS                                                                    \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

/*
 * Formats a complete response to `out`, with a NUL behind it: Date, Content-Type, Content-Length,
 * Connection, X-Content-Type-Options, Cache-Control, the fields in `extra` (complete lines with
 * CRLF, or NULL), and `message` with a line feed as a text/plain body. Flags as below. The length
 * without the NUL, or -ENOSPC.
 */
#define RESPONSE_HEAD_ONLY 1u /* without the body, but with its Content-Length */
#define RESPONSE_PERSISTENT 2u /* "Connection: keep-alive" instead of "close" */
int response_format_error(char *out, size_t cap, unsigned status, const char *message,
	const char *extra, unsigned flags);
#endif
