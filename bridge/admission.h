/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Admission: the limits on connections, in all and per IP address.
 */
#ifndef WEBSOCKSY_ADMISSION_H
#define WEBSOCKSY_ADMISSION_H
#include <stdbool.h>
#include <stddef.h>

struct connection;
struct settings;
struct shared;

/* Connections above a limit that live long enough to be answered with 503. */
#define ADMISSION_OVER_LIMIT 64

/*
 * Zero is ready, with `settings` and `fd_limit` set. Empty again when the last connection has left.
 */
struct admission {
	const struct settings *settings; /* max-clients, max-clients-per-ip */
	size_t fd_limit; /* descriptors of the process: the limit if max-clients is not set */
	size_t count; /* connections */
	size_t over_limit; /* of them, those above a limit */
	void *ip_counters; /* tsearch(3) tree */
	struct shared *shared; /* the limits are for all workers together; NULL: there is one */
};

/* The limit on connections. */
size_t admission_limit(const struct admission *admission);

/* Has the limit been reached, so that a further connection would be above it? */
bool admission_is_full(const struct admission *admission);

/* Is it so far above the limit that a further connection is to be closed without a response? */
bool admission_is_closed(const struct admission *admission);

/*
 * Counts a new connection; one from a trusted proxy (`proxied`) counts for its address when that is
 * known. Sets `over_limit` of one that is to be answered with 503. False: there are too many of
 * those, it is to be closed.
 */
bool admission_enter(struct connection *connection);

/* The address of a proxied connection is final. False: as above. */
bool admission_identify(struct connection *connection);

/* Would a further connection of the same client be above a limit? */
bool admission_at_limit(const struct connection *connection);

/* The connection ends. */
void admission_leave(const struct connection *connection);

/*
 * May a connection above a limit have a page? A page loads its files over several connections at
 * once, which must not fail for those that exceed max-clients-per-ip only; they are closed behind
 * their response. All connections above the limits are bounded by ADMISSION_OVER_LIMIT.
 */
bool admission_serves_page(const struct connection *connection);
#endif
