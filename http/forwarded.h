/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The header fields by which reverse proxies pass on the client's address: Forwarded (RFC 7239),
 * X-Forwarded-For and X-Real-IP.
 */
#ifndef WEBSOCKSY_FORWARDED_H
#define WEBSOCKSY_FORWARDED_H
#include "base/address.h"
#include "base/cidr.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum forwarded_field {
	FORWARDED_STANDARD,
	FORWARDED_X_FORWARDED_FOR,
	FORWARDED_X_REAL_IP,
	FORWARDED_FIELDS
};

/* The name of the header field, static. */
const char *forwarded_field_name(enum forwarded_field field);

/* How to read the field of this name: unknown ones hold a single address, like X-Real-IP. */
enum forwarded_field forwarded_field_of(const char *name);

enum forwarded_claim {
	FORWARDED_CLAIM_NONE, /* no field, or only empty elements */
	FORWARDED_CLAIM_ADDRESS,
	/* "unknown" or an obfuscated identifier: valid, but not an address */
	FORWARDED_CLAIM_HIDDEN,
	FORWARDED_CLAIM_BAD, /* malformed */
	FORWARDED_CLAIM_DISPUTED /* fields of two kinds contradict each other */
};

/* The result so far; zero at first. */
struct forwarded_chain {
	enum forwarded_claim claim;
	union address address;
	struct slice proto; /* of the same element of Forwarded; empty: not given */
	struct slice host; /* the same */
	bool settled; /* elements further left do not matter */
};

/*
 * Evaluates the value of one field; the lines of a request are passed from the last one to the
 * first. Each proxy appends the address that connected to it, so the result is the last element
 * that is not a trusted reverse proxy itself, or the first one if all are: elements further left
 * may be spoofed. A malformed element is not trusted.
 */
void forwarded_chain_add(struct forwarded_chain *chain, enum forwarded_field field,
	const char *value, size_t len, struct cidr_list trusted);

/*
 * Combines the result of one kind of field, `found`, with that of the kinds before it, in the order
 * of enum forwarded_field. Many proxies write one kind and pass the others on as the client sent
 * them, so a client must not be able to choose the kind that is used: all that contain a client
 * have to agree. A trusted reverse proxy as the result yields to any other address, since a proxy
 * may write only its neighbour to one field and the whole chain to another. True: `*all` was
 * replaced by `*found`, or is BAD or DISPUTED because of it.
 */
bool forwarded_chain_join(
	struct forwarded_chain *all, const struct forwarded_chain *found, struct cidr_list trusted);
#endif
