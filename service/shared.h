/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters that all workers share: limits apply to all of them together, and the counts of a worker
 * that has died are released at once.
 */
#ifndef WEBSOCKSY_SHARED_H
#define WEBSOCKSY_SHARED_H
#include "network/tls_tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARED_SECRET 32

/* A client address as far as limits distinguish it. */
struct shared_address {
	uint64_t half[2];
};

/* Memory that the supervisor and its workers map. */
struct shared;

/*
 * Makes the counters of `workers` processes, before these are forked. `addresses`: how many client
 * addresses one worker may have at a time; its table is larger. 0 or negative errno.
 */
int shared_open(struct shared **out, size_t workers, size_t addresses);

/* Ends the use in this process. NULL: nothing. */
void shared_close(struct shared *shared);

/* Random bytes that are the same in all workers, for signatures. */
const uint8_t *shared_secret(const struct shared *shared);

/* Keys for session tickets of TLS. */
struct tls_tickets *shared_tickets(struct shared *shared);

/* The next number of a connection, different in all workers. */
uint64_t shared_next_id(struct shared *shared);

/*
 * Counts a connection of the worker. False, and it is not counted: there are `limit` already. Of
 * two workers that count the last one at the same time, both may be refused; the limit is never
 * exceeded.
 */
bool shared_enter(struct shared *shared, size_t worker, size_t limit);
void shared_leave(struct shared *shared, size_t worker);

/* Connections of all workers. */
size_t shared_total(const struct shared *shared);

/* The same for the connections of one client address. */
bool shared_enter_address(
	struct shared *shared, size_t worker, struct shared_address address, size_t limit);
void shared_leave_address(struct shared *shared, size_t worker, struct shared_address address);
size_t shared_total_of_address(const struct shared *shared, struct shared_address address);

/* Tells how many bytes the worker holds. */
void shared_hold(struct shared *shared, size_t worker, size_t bytes);

/* Bytes that all workers hold, as they have told last. */
size_t shared_held(const struct shared *shared);

/* How many WebSocket connections the worker has, from `now_ms` on. */
void shared_set_open(struct shared *shared, size_t worker, size_t count, uint64_t now_ms);

/*
 * Since when there has been no WebSocket connection in any worker; `now_ms` while there is one.
 */
uint64_t shared_idle_since(const struct shared *shared, uint64_t now_ms);

/* The loop of the worker runs; when it has last done so. */
void shared_beat(struct shared *shared, size_t worker, uint64_t now_ms);
uint64_t shared_last_beat(const struct shared *shared, size_t worker);

/* For the supervisor: the worker has ended, and with it all that it has counted. */
void shared_release(struct shared *shared, size_t worker, uint64_t now_ms);
#endif
