/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is really calling, as proxies tell it: lists of networks that are believed, the header fields Forwarded
 * (RFC 7239), X-Forwarded-For and X-Real-IP, and the PROXY protocol, versions 1 and 2 (the text
 * proxy-protocol.txt that comes with haproxy), both ways. No descriptors.
 */
#ifndef WEBSOCKSY_PROXY_PROTOCOL_H
#define WEBSOCKSY_PROXY_PROTOCOL_H
#include "base/address.h"
#include "base/cidr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* ---- header fields ---- */

enum forwarded_field {
	FORWARDED_STANDARD,
	FORWARDED_X_FORWARDED_FOR,
	FORWARDED_X_REAL_IP,
	FORWARDED_FIELDS
};

/* The name of a field; static. */
const char *forwarded_field_name(enum forwarded_field field);

enum forwarded_claim {
	FORWARDED_CLAIM_NONE, /* nothing was claimed: there were only empty elements */
	FORWARDED_CLAIM_ADDRESS,
	FORWARDED_CLAIM_HIDDEN, /* "unknown" or a name of RFC 7239, 6.3: valid, but no address */
	FORWARDED_CLAIM_BAD, /* malformed */
	FORWARDED_CLAIM_DISPUTED /* fields of two kinds name different clients */
};

/* The outcome so far; zero at first. */
struct forwarded_chain {
	enum forwarded_claim claim;
	union address address;
	bool settled; /* what comes in front does not matter */
};

/*
 * Adds the value of one field; the lines of a request from the last one to the first. Each proxy appends whom it
 * saw, so what counts is the last element that is no trusted proxy itself, and the first one if all are:
 * everything in front of it may be invented. An element that cannot be read is not trusted.
 */
void forwarded_chain_add(struct forwarded_chain *chain, enum forwarded_field field,
	const char *value, size_t len, struct cidr_list trusted);

/*
 * Joins what one kind of field has come to with what those before it have, in the order of enum forwarded_field. Many
 * proxies write one kind and pass on the others as the client has sent them, so a client must not choose which
 * one counts: those that name a client have to name the same. One that names a trusted proxy gives way, as a
 * proxy may tell its next neighbour in one field and the whole chain in another. True: `*all` is now what `*told`
 * is, or it is BAD or DISPUTED because of it.
 */
bool forwarded_chain_join(
	struct forwarded_chain *all, const struct forwarded_chain *told, struct cidr_list trusted);

/* ---- the PROXY protocol ---- */

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

/* Longest header that is taken; version 2 allows 64 KiB of extensions, which are skipped here. */
#define PROXY_PROTOCOL_HEADER_MAX (16 * 1024)

struct proxy_protocol_header {
	union address source; /* AF_UNSPEC: none is told, that of the socket stays */
	union address destination; /* the same */
};

/*
 * Reads the header at the start of a connection. `len` bytes have come so far. PROXY_PROTOCOL_DONE: `header` is filled and
 * `*used` is its length, what follows belongs to the next protocol. PROXY_PROTOCOL_MORE: all bytes so far belong to the
 * header. PROXY_PROTOCOL_BAD: `*why` (static) says what is wrong, as soon as it can be known.
 */
enum proxy_protocol_result proxy_protocol_parse(const uint8_t *data, size_t len,
	struct proxy_protocol_header *header, size_t *used, const char **why);

/* Longest header that is written: version 1 with two IPv6 addresses (107 bytes with its line end). */
#define PROXY_PROTOCOL_FORMAT_MAX 108

/*
 * Writes a header, not PROXY_PROTOCOL_OFF, and returns its length. A source that is no IP address becomes UNKNOWN (version 1)
 * or LOCAL (version 2). A destination that is none becomes the wildcard address of the source's family;
 * of two families both become IPv6.
 */
size_t proxy_protocol_format(enum proxy_protocol_version version, const struct sockaddr *source,
	const struct sockaddr *destination, uint8_t out[PROXY_PROTOCOL_FORMAT_MAX]);
#endif
