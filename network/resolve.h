/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Name lookup that never blocks: the hosts file, the search list, and answers that are shared and
 * kept.
 */
#ifndef WEBSOCKSY_RESOLVE_H
#define WEBSOCKSY_RESOLVE_H
#include "base/address.h"
#include "base/loop.h"

#include <stddef.h>
#include <stdint.h>

struct resolver;
struct resolve_query;

/* The result of a lookup; valid during the callback. */
struct resolve_answer {
	int error; /* 0, or negative errno: -ENOENT no such name or no address of the family */
	const char *why; /* with an error: one piece of text; static */
	size_t count; /* at most RESOLVE_ADDRESSES_MAX */
	const union address *address; /* in order of preference (RFC 6724) */
};

typedef void resolve_fn(void *ctx, const struct resolve_answer *answer);

/*
 * Opens a resolver. `servers`: comma-separated ADDRESS[:PORT], or NULL for those of
 * /etc/resolv.conf. The search list of that file and /etc/hosts are used in either case. 0,
 * -EINVAL for servers that cannot be read, or other negative errno.
 */
int resolver_open(struct resolver **out, struct loop *loop, const char *servers);

/* Ends all lookups with -ECANCELED and frees it. NULL: nothing. */
void resolver_close(struct resolver *resolver);

/*
 * Reads the system's files again and asks `servers` from now on, also for lookups that are
 * running; forgets all answers. 0; or negative errno as resolver_open(), and the old settings
 * stay. Not from within a callback.
 */
int resolver_reload(struct resolver *resolver, const char *servers);

/*
 * Looks `host` up for one family (AF_INET or AF_INET6); answers carry `port`. Calls `fn` once,
 * never from within this function; afterwards the query is gone. 0 or -ENOMEM.
 *
 * A host that /etc/hosts has is found there and nowhere else, whatever the families of its
 * addresses; "localhost" and names below it are the loopback addresses (RFC 6761, section 6.3).
 * Other names are asked of the name servers, along the search list until a name exists. Queries
 * for one host share one lookup, and its answer is kept for its TTL. A resolv.conf that has
 * changed is read before.
 */
int resolve_start(struct resolver *resolver, const char *host, uint16_t port, int family,
	resolve_fn *fn, void *ctx, struct resolve_query **out);

/* Makes sure that the callback is not called. The query is gone afterwards. */
void resolve_cancel(struct resolve_query *query);
#endif
