/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The order in which passwords are verified, and how many of one address or user name may wait.
 */
#ifndef WEBSOCKSY_LOGIN_QUEUE_H
#define WEBSOCKSY_LOGIN_QUEUE_H
#include "base/list.h"
#include "http/login_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Verifications that wait: in all; from one address; for one user name; for both. */
#define LOGIN_QUEUE_MAX 64
#define LOGIN_QUEUE_ADDRESS 8
#define LOGIN_QUEUE_USER 8
#define LOGIN_QUEUE_PAIR 2

/* Of all places, those for users at addresses that they have logged in from. */
#define LOGIN_QUEUE_KNOWN 16

/* One verification, embedded in its request. */
struct login_ticket {
	struct list link; /* next NULL: not in a queue */
	struct login_source source;
	bool known; /* login_limits_known(): goes first, and without a limit for the user name */
	uint64_t round;
};

struct login_queue {
	struct list tickets; /* known ones first, then by round */
	size_t count;
	uint64_t round; /* of the last ticket that was taken */
};

void login_queue_init(struct login_queue *queue);

/*
 * Queues a ticket, of which `source` and `known` are set; it stays the caller's. Addresses take
 * turns. 0; -EDQUOT: too many of its address or user name wait; -EBUSY: the queue is full.
 */
int login_queue_put(struct login_queue *queue, struct login_ticket *ticket);

/* Removes and returns the next ticket; NULL: there is none. */
struct login_ticket *login_queue_take(struct login_queue *queue);

/* Removes a ticket that is in the queue. */
void login_queue_remove(struct login_queue *queue, struct login_ticket *ticket);
#endif
