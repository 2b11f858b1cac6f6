/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state of connecting to a peer, shared by the files that connect to the kinds and by no other.
 */
#ifndef WEBSOCKSY_CONNECT_INTERNAL_H
#define WEBSOCKSY_CONNECT_INTERNAL_H
#include "base/address.h"
#include "network/announced.h"
#include "network/candidates.h"
#include "network/connect.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One address that is being tried. */
struct attempt {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct connect *connect;
};

struct connect {
	struct connect_owner owner;
	const struct peer_kind *kind;
	int fd; /* connected and not registered; -1: none */
	struct attempt *winner;
	struct list attempts;
	size_t under_way; /* attempts in the list */
	struct candidates candidates;
	struct ev_timer timer; /* the next attempt may begin */
	void (*again)(struct connect *connect); /* for which the timer is; NULL: see above */
	void (*failed)(struct connect *connect); /* an attempt has failed; NULL: the next begins */
	struct announced_waiter waiter;
	size_t tried; /* announced addresses */
	bool local_peer; /* the address that was tried last is a Unix socket */
	const struct peer_address *local; /* to be tried again: the caller's */
	uint64_t retry_ms; /* how long that waited last */
	struct exec *exec; /* the program behind `fd`; NULL: there is none */
	bool begun; /* attempts have begun: no more waiting for the other family */
	int error; /* of what failed last */
	const char *why;
	struct deferred_free dead;
};

/* Starts one address. 0: connected at once (connect->fd); -EINPROGRESS; or why not. */
int connect_attempt(struct connect *connect, const struct sockaddr *address, socklen_t len);

/* Why an attempt failed; `why`: static text, or NULL. */
void connect_note(struct connect *connect, int error, const char *why);

/* Ends it all, with the failure that was noted last or with 0, and tells the owner. */
void connect_done(struct connect *connect, int error);
#endif
