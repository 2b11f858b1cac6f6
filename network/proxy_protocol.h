/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PROXY protocol, versions 1 and 2, in both directions (proxy-protocol.txt, which comes with
 * HAProxy).
 */
#ifndef WEBSOCKSY_PROXY_PROTOCOL_H
#define WEBSOCKSY_PROXY_PROTOCOL_H
#include "base/address.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum proxy_protocol_version {
	PROXY_PROTOCOL_OFF,
	PROXY_PROTOCOL_V1,
	PROXY_PROTOCOL_V2
};

enum proxy_protocol_result {
	PROXY_PROTOCOL_DONE,
	PROXY_PROTOCOL_MORE,
	PROXY_PROTOCOL_BAD
};

/*
 * Longest header that is accepted; version 2 allows up to 64 KiB of extensions, which are skipped.
 */
#define PROXY_PROTOCOL_HEADER_MAX (16 * 1024)

struct proxy_protocol_header {
	union address source; /* AF_UNSPEC: not given, use that of the socket */
	union address destination; /* the same */
};

/*
 * Parses the header at the start of a connection, of which `len` bytes have been received so far.
 * PROXY_PROTOCOL_DONE: `header` is filled in and `*used` is its length, the bytes behind it belong
 * to the next protocol. PROXY_PROTOCOL_MORE: incomplete. PROXY_PROTOCOL_BAD: `*why`, static text,
 * describes the error; it is reported as early as possible.
 */
enum proxy_protocol_result proxy_protocol_parse(const uint8_t *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why);

/* Longest header that is formatted: version 1 with two IPv6 addresses (107 bytes with CRLF). */
#define PROXY_PROTOCOL_FORMAT_MAX 108

/*
 * Formats a header of version 1 or 2 and returns its length. A source that is not an IP address
 * becomes UNKNOWN (version 1) or LOCAL (version 2). A destination that is not becomes the wildcard
 * address of the source's family; if the families differ, both become IPv6.
 */
size_t proxy_protocol_format(enum proxy_protocol_version version, const struct sockaddr *source,
	const struct sockaddr *destination, uint8_t out[PROXY_PROTOCOL_FORMAT_MAX]);
#endif
