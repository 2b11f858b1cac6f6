/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The search for the addresses of one host: along the search list, with both families for each
 * name.
 */
#ifndef WEBSOCKSY_RESOLVE_WALK_H
#define WEBSOCKSY_RESOLVE_WALK_H
#include "network/resolve_channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVE_FAMILIES 2

struct resolve_walk;

/* A reply has come in. Possibly from within resolve_walk_begin(). */
typedef void resolve_walk_fn(struct resolve_walk *walk);

/* One address family. */
struct resolve_side {
	struct resolve_walk *walk;
	bool asked; /* the question runs */
	bool final; /* the reply is the answer, not only that of one name of the list */
	struct resolve_reply reply;
};

/* Embedded in its owner. Zeroed but for the first two. */
struct resolve_walk {
	const char *host; /* the owner's */
	resolve_walk_fn *fn;
	struct resolve_channel *channel;
	struct resolve_side side[RESOLVE_FAMILIES];
	size_t candidate; /* number in the search list of the name that is next */
	char name[RESOLVE_NAME_MAX]; /* that is asked for */
};

/*
 * Begins, or begins again with another channel after the first has been closed: a name that has
 * proved to exist stays, as do answers that are final. Calls `fn` after each reply but those of a
 * channel that is being closed.
 */
void resolve_walk_begin(struct resolve_walk *walk, struct resolve_channel *channel);

/* Ends a walk that does not run with these addresses, which may be of both families. */
void resolve_walk_set(struct resolve_walk *walk, const struct resolve_reply *reply);

/* Does a question run? */
bool resolve_walk_runs(const struct resolve_walk *walk);

/* Are the answers of both families known? */
bool resolve_walk_is_complete(const struct resolve_walk *walk);

/* The answer for AF_INET or AF_INET6; NULL: not known yet. */
const struct resolve_reply *resolve_walk_answer(const struct resolve_walk *walk, int family);

/*
 * How many seconds a complete answer may be kept; 0 unless a family has addresses and none has
 * failed.
 */
uint32_t resolve_walk_ttl_s(const struct resolve_walk *walk);
#endif
