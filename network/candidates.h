/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The addresses of a host, IPv6 and IPv4, in the order in which they are tried.
 */
#ifndef WEBSOCKSY_CANDIDATES_H
#define WEBSOCKSY_CANDIDATES_H
#include "base/address.h"
#include "network/resolve.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CANDIDATES_MAX 16 /* returned for one host, of both families together */

enum candidates_family {
	CANDIDATES_IPV6,
	CANDIDATES_IPV4,
	CANDIDATES_FAMILIES
};

/* The answer for one family. */
struct candidates_answer {
	enum candidates_family family;
	size_t count; /* of its addresses */
	int error; /* 0, or negative errno: there are no addresses */
	const char *why; /* with an error: static text, or strerror()'s */
};

typedef void candidates_fn(void *ctx, const struct candidates_answer *answer);

struct candidates;

struct candidates_list {
	struct candidates *candidates;
	struct resolve_query *query; /* running, or NULL */
	union address *address;
	size_t count;
	size_t next; /* the first that has not been returned */
};

/*
 * Embedded in its owner, which keeps it until candidates_free(). Its fields belong to candidates.c.
 */
struct candidates {
	candidates_fn *fn;
	void *ctx;
	struct candidates_list list[CANDIDATES_FAMILIES];
	enum candidates_family turn; /* whose address is next */
	size_t returned;
};

/* Without addresses and lookups. `fn` is called once for each family, see candidates_start(). */
void candidates_init(struct candidates *candidates, candidates_fn *fn, void *ctx);

/* Asks for the addresses of both families. 0 or -ENOMEM; never calls `fn` itself. */
int candidates_start(
	struct candidates *candidates, struct resolver *resolver, const char *host, uint16_t port);

/*
 * The next address that is known, of alternating families; NULL: none now. Valid until
 * candidates_free().
 */
const union address *candidates_next(struct candidates *candidates);

/* Is a lookup running? */
bool candidates_is_waiting(const struct candidates *candidates);

/* Can candidates_next() return another address, now or after an answer? */
bool candidates_has_more(const struct candidates *candidates);

/* Cancels the lookups that run: `fn` is not called any more. */
void candidates_cancel(struct candidates *candidates);

/* Frees the addresses. The lookups have been cancelled. */
void candidates_free(struct candidates *candidates);
#endif
