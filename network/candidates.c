/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The addresses of a host.
 *
 * Must not know: sockets, attempts, time.
 * Invariants: at most one lookup runs for each family; at most CANDIDATES_MAX addresses are
 * returned.
 * Implements RFC 8305 sections 3 (both families are asked at once) and 4 (interleaving).
 */
#include "network/candidates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void candidates_init(struct candidates *candidates, candidates_fn *fn, void *ctx) {
	*candidates = (struct candidates){.fn = fn, .ctx = ctx};
	for(int i = 0; i < CANDIDATES_FAMILIES; i++) {
		candidates->list[i].candidates = candidates;
	}
}

static void lookup_done(void *ctx, const struct resolve_answer *answer) {
	struct candidates_list *list = ctx;
	struct candidates *candidates = list->candidates;
	struct candidates_answer out = {.error = answer->error, .why = answer->why};
	out.family = (enum candidates_family)(list - candidates->list);
	list->query = NULL;
	if(!out.error) {
		list->address = calloc(answer->count, sizeof(*list->address));
		if(list->address) {
			memcpy(list->address, answer->address,
				answer->count * sizeof(*list->address));
			list->count = answer->count;
		} else {
			out.error = -ENOMEM;
			out.why = strerror(ENOMEM);
		}
	}
	out.count = list->count;
	candidates->fn(candidates->ctx, &out);
}

int candidates_start(
	struct candidates *candidates, struct resolver *resolver, const char *host, uint16_t port) {
	static const int families[CANDIDATES_FAMILIES] = {
		[CANDIDATES_IPV6] = AF_INET6, [CANDIDATES_IPV4] = AF_INET};
	for(int i = 0; i < CANDIDATES_FAMILIES; i++) {
		struct candidates_list *list = &candidates->list[i];
		int result = resolve_start(
			resolver, host, port, families[i], lookup_done, list, &list->query);
		if(result) {
			return result;
		}
	}
	return 0;
}

const union address *candidates_next(struct candidates *candidates) {
	if(candidates->returned == CANDIDATES_MAX) {
		return NULL;
	}
	for(int i = 0; i < CANDIDATES_FAMILIES; i++) {
		struct candidates_list *list = &candidates->list[candidates->turn];
		candidates->turn =
			candidates->turn == CANDIDATES_IPV6 ? CANDIDATES_IPV4 : CANDIDATES_IPV6;
		if(list->next < list->count) {
			candidates->returned++;
			return &list->address[list->next++];
		}
	}
	return NULL;
}

bool candidates_is_waiting(const struct candidates *candidates) {
	return candidates->list[CANDIDATES_IPV6].query || candidates->list[CANDIDATES_IPV4].query;
}

bool candidates_has_more(const struct candidates *candidates) {
	const struct candidates_list *list = candidates->list;
	bool unused = list[CANDIDATES_IPV6].next < list[CANDIDATES_IPV6].count ||
		list[CANDIDATES_IPV4].next < list[CANDIDATES_IPV4].count;
	return candidates_is_waiting(candidates) ||
		(unused && candidates->returned < CANDIDATES_MAX);
}

void candidates_cancel(struct candidates *candidates) {
	for(int i = 0; i < CANDIDATES_FAMILIES; i++) {
		if(candidates->list[i].query) {
			resolve_cancel(candidates->list[i].query);
			candidates->list[i].query = NULL;
		}
	}
}

void candidates_free(struct candidates *candidates) {
	for(int i = 0; i < CANDIDATES_FAMILIES; i++) {
		free(candidates->list[i].address);
		candidates->list[i] = (struct candidates_list){.candidates = candidates};
	}
}
