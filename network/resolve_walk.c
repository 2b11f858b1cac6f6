/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The walk along the search list.
 *
 * Must not know: who waits for the answer, how long it is kept.
 * Invariants: both families have their addresses from one name, and a name is left only when both
 * say that it does not exist; each step takes one name of the list, so the walk ends.
 * Implements RFC 2308 section 2.2 (a name without records of one family exists).
 */
#include "network/resolve_walk.h"

#include <errno.h>

enum {
	SIDE_6,
	SIDE_4
};
static const int families[RESOLVE_FAMILIES] = {[SIDE_6] = AF_INET6, [SIDE_4] = AF_INET};

static void side_replied(void *ctx, const struct resolve_reply *reply);

/* Asks for the families that have no answer yet. */
static void walk_ask(struct resolve_walk *walk) {
	/* Both are marked first: a reply may come from within. */
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		walk->side[i].asked = !walk->side[i].final;
	}
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		struct resolve_side *side = &walk->side[i];
		if(side->asked) {
			resolve_channel_ask(
				walk->channel, walk->name, families[i], side_replied, side);
		}
	}
}

/* Takes the next valid name of the search list. False: there are no more. */
static bool walk_next_name(struct resolve_walk *walk) {
	const struct resolve_search *search = resolve_channel_search(walk->channel);
	int result;
	do {
		result = resolve_search_name(search, walk->host, walk->candidate++, walk->name);
	} while(result == -ENAMETOOLONG);
	return result == 0;
}

/* Do both families say that this name does not exist? */
static bool name_is_missing(const struct resolve_walk *walk) {
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		const struct resolve_side *side = &walk->side[i];
		if(side->asked || side->final || side->reply.status != RESOLVE_NO_NAME) {
			return false;
		}
	}
	return true;
}

/*
 * "There is no such name" has to wait for the other family; anything else is an answer, and ends
 * the walk.
 */
static void walk_judge(struct resolve_walk *walk) {
	if(name_is_missing(walk) && walk_next_name(walk)) {
		walk_ask(walk);
		return;
	}
	bool runs = resolve_walk_runs(walk);
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		struct resolve_side *side = &walk->side[i];
		bool waits = side->reply.status == RESOLVE_NO_NAME && runs;
		side->final = side->final || (!side->asked && !waits);
	}
	walk->fn(walk);
}

static void side_replied(void *ctx, const struct resolve_reply *reply) {
	struct resolve_side *side = ctx;
	side->asked = false;
	side->reply = *reply;
	if(reply->status != RESOLVE_FAILED || reply->error != -ECANCELED) {
		walk_judge(side->walk);
	}
}

static void walk_end(struct resolve_walk *walk, enum resolve_status status) {
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		walk->side[i].final = true;
		walk->side[i].reply = (struct resolve_reply){.status = status};
	}
}

void resolve_walk_begin(struct resolve_walk *walk, struct resolve_channel *channel) {
	bool exists = walk->side[SIDE_6].final || walk->side[SIDE_4].final;
	walk->channel = channel;
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		walk->side[i].walk = walk;
	}
	if(!exists) {
		walk->candidate = 0;
		if(!walk_next_name(walk)) {
			walk_end(walk, RESOLVE_NO_NAME);
			walk->fn(walk);
			return;
		}
	}
	walk_ask(walk);
}

void resolve_walk_set(struct resolve_walk *walk, const struct resolve_reply *reply) {
	walk_end(walk, RESOLVE_NO_ADDRESS);
	for(size_t i = 0; i < reply->count; i++) {
		int which = reply->address[i].any.sa_family == AF_INET6 ? SIDE_6 : SIDE_4;
		struct resolve_reply *to = &walk->side[which].reply;
		to->status = RESOLVE_FOUND;
		to->address[to->count++] = reply->address[i];
	}
}

bool resolve_walk_runs(const struct resolve_walk *walk) {
	return walk->side[SIDE_6].asked || walk->side[SIDE_4].asked;
}

bool resolve_walk_is_complete(const struct resolve_walk *walk) {
	return walk->side[SIDE_6].final && walk->side[SIDE_4].final;
}

const struct resolve_reply *resolve_walk_answer(const struct resolve_walk *walk, int family) {
	const struct resolve_side *side = &walk->side[family == AF_INET6 ? SIDE_6 : SIDE_4];
	return side->final ? &side->reply : NULL;
}

uint32_t resolve_walk_ttl_s(const struct resolve_walk *walk) {
	uint32_t ttl_s = UINT32_MAX;
	bool found = false;
	for(int i = 0; i < RESOLVE_FAMILIES; i++) {
		const struct resolve_reply *reply = &walk->side[i].reply;
		if(reply->status == RESOLVE_FAILED) {
			return 0;
		}
		if(reply->status == RESOLVE_FOUND) {
			ttl_s = reply->ttl_s < ttl_s ? reply->ttl_s : ttl_s;
			found = true;
		}
	}
	return found ? ttl_s : 0;
}
