/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The addresses of a service that become known while clients wait for it: those that the program
 * listens on which the daemon has been started with.
 */
#ifndef WEBSOCKSY_ANNOUNCED_H
#define WEBSOCKSY_ANNOUNCED_H
#include "base/address.h"
#include "base/list.h"

#include <stddef.h>

#define ANNOUNCED_MAX 8 /* addresses; older ones are forgotten */

/* Initialised by announced_init(); embedded in its owner. */
struct announced {
	struct socket_address address[ANNOUNCED_MAX]; /* the newest is the first */
	size_t count;
	struct list waiting;
	void (*changed)(struct announced *announced); /* the addresses have; NULL: nothing */
};

/* Is to be told of a new address. `link` is in the list exactly while it waits. */
struct announced_waiter {
	struct list link;
	void (*fn)(struct announced_waiter *waiter);
};

void announced_init(struct announced *announced);

/* Adds an address, or moves it to the front, and calls all waiters; they wait no longer. */
void announced_add(struct announced *announced, const struct socket_address *address);

/* Forgets all addresses. */
void announced_clear(struct announced *announced);

void announced_wait(struct announced *announced, struct announced_waiter *waiter);

/* No effect on one that does not wait. */
void announced_cancel(struct announced_waiter *waiter);
#endif
