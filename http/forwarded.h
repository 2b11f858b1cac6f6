/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The header fields by which reverse proxies pass on the client's address: Forwarded (RFC 7239),
 * X-Forwarded-For and X-Real-IP.
 */
#ifndef WEBSOCKSY_FORWARDED_H
#define WEBSOCKSY_FORWARDED_H
#include "base/address.h"
#include "base/cidr.h"

#include <stdbool.h>
#include <stddef.h>

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
#endif
