/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A fair queue of logins.
 *
 * Must not know: passwords, threads (the caller locks), time.
 * Invariants: between two tickets of one address, each other address that waits has its turn; so
 * the delay of a login depends on the number of addresses before it, not on how much each sends.
 */
#include "http/login_queue.h"

#include <errno.h>
#include <string.h>

static struct login_ticket *ticket_of(struct list *link) {
	return container_of(link, struct login_ticket, link);
}

static bool same(const uint8_t a[LOGIN_LIMITS_KEY], const uint8_t b[LOGIN_LIMITS_KEY]) {
	return memcmp(a, b, LOGIN_LIMITS_KEY) == 0;
}

void login_queue_init(struct login_queue *queue) {
	*queue = (struct login_queue){0};
	list_init(&queue->tickets);
}

/*
 * How many tickets have something in common with a new one, and the round after the last of them.
 */
struct shares {
	size_t address;
	size_t user;
	size_t pair;
	uint64_t round;
};

static struct shares count_shares(struct login_queue *queue, const struct login_ticket *ticket) {
	struct shares shares = {.round = queue->round + 1};
	for(struct list *at = queue->tickets.next; at != &queue->tickets; at = at->next) {
		const struct login_ticket *other = ticket_of(at);
		bool address = same(other->source.address, ticket->source.address);
		shares.address += address;
		shares.user += same(other->source.user, ticket->source.user);
		shares.pair += same(other->source.pair, ticket->source.pair);
		if(address && other->round >= shares.round) {
			shares.round = other->round + 1;
		}
	}
	return shares;
}

static bool goes_before(const struct login_ticket *a, const struct login_ticket *b) {
	return a->known == b->known ? a->round < b->round : a->known;
}

int login_queue_put(struct login_queue *queue, struct login_ticket *ticket) {
	struct shares shares = count_shares(queue, ticket);
	size_t places = LOGIN_QUEUE_MAX - (ticket->known ? 0 : LOGIN_QUEUE_KNOWN);
	if(shares.address >= LOGIN_QUEUE_ADDRESS || shares.pair >= LOGIN_QUEUE_PAIR ||
		(shares.user >= LOGIN_QUEUE_USER && !ticket->known)) {
		return -EDQUOT;
	}
	if(queue->count >= places) {
		return -EBUSY;
	}
	ticket->round = shares.round;
	struct list *before = &queue->tickets;
	while(before->prev != &queue->tickets && goes_before(ticket, ticket_of(before->prev))) {
		before = before->prev;
	}
	list_append(before, &ticket->link); /* in front of `before` */
	queue->count++;
	return 0;
}

void login_queue_remove(struct login_queue *queue, struct login_ticket *ticket) {
	list_remove(&ticket->link);
	queue->count--;
}

struct login_ticket *login_queue_take(struct login_queue *queue) {
	if(list_is_empty(&queue->tickets)) {
		return NULL;
	}
	struct login_ticket *ticket = ticket_of(queue->tickets.next);
	login_queue_remove(queue, ticket);
	if(ticket->round > queue->round) {
		queue->round = ticket->round;
	}
	return ticket;
}
