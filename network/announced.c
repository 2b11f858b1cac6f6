/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses that become known while clients wait for them.
 *
 * Must not know: how they become known.
 */
#include "network/announced.h"

#include <string.h>

void announced_init(struct announced *announced) {
	announced->count = 0;
	list_init(&announced->waiting);
}

static bool is_same(const struct socket_address *a, const struct socket_address *b) {
	return a->len == b->len && memcmp(&a->un, &b->un, a->len) == 0;
}

void announced_add(struct announced *announced, const struct socket_address *address) {
	struct list waiting;
	size_t at = 0;
	while(at < announced->count && !is_same(&announced->address[at], address)) {
		at++;
	}
	if(at == announced->count) {
		at = at < ANNOUNCED_MAX ? announced->count++ : ANNOUNCED_MAX - 1;
	}
	memmove(&announced->address[1], &announced->address[0], at * sizeof(*address));
	announced->address[0] = *address;
	if(announced->changed) {
		announced->changed(announced);
	}
	list_take(&waiting, &announced->waiting);
	while(!list_is_empty(&waiting)) {
		struct list *first = waiting.next;
		list_remove(first);
		struct announced_waiter *waiter =
			container_of(first, struct announced_waiter, link);
		waiter->fn(waiter);
	}
}

void announced_clear(struct announced *announced) {
	announced->count = 0;
	if(announced->changed) {
		announced->changed(announced);
	}
}

void announced_wait(struct announced *announced, struct announced_waiter *waiter) {
	if(!list_is_linked(&waiter->link)) {
		list_append(&announced->waiting, &waiter->link);
	}
}

void announced_cancel(struct announced_waiter *waiter) {
	if(list_is_linked(&waiter->link)) {
		list_remove(&waiter->link);
	}
}
