/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Verification of credentials against password hashes, on a thread of its own, since such a hash is
 * made to take long to compute; results are cached for a short time.
 */
#ifndef WEBSOCKSY_VERIFIER_H
#define WEBSOCKSY_VERIFIER_H
#include "base/address.h"
#include "base/loop.h"
#include "http/basic.h"
#include "http/passwords.h"

#define VERIFIER_RETRY_S 5 /* Retry-After while the queue, or a share of it, is full */

/* The thread, its queue, and the cache of verified credentials. */
struct login_limits;
struct verifier;

/* What several processes share; it outlives the verifier. */
struct verifier_shared {
	struct login_limits *limits;
	const uint8_t *cookie_key; /* LOGIN_COOKIE_KEY random bytes */
};

/*
 * Starts the thread, which has all signals blocked. `shared` (NULL: nothing is) is copied. 0 or
 * negative errno.
 */
int verifier_open(struct verifier **out, struct loop *loop, const struct verifier_shared *shared);

/*
 * Stops the thread and waits for it, and thus for the current hash. All jobs have been cancelled.
 * NULL: nothing.
 */
void verifier_close(struct verifier *verifier);

/*
 * Sets the users, which the caller owns and keeps until the next call; NULL: no authentication. The
 * cache is cleared, and pending verifications end with VERIFIER_STALE.
 */
void verifier_set_passwords(struct verifier *verifier, const struct passwords *users);

/* The current users; NULL: no authentication. `verifier` may be NULL. */
const struct passwords *verifier_get_passwords(const struct verifier *verifier);

/* A random key for login_cookie.h, drawn at the start. */
const uint8_t *verifier_cookie_key(const struct verifier *verifier);

enum verifier_result {
	VERIFIER_GRANTED,
	VERIFIER_DENIED,
	VERIFIER_STALE, /* the users have been replaced meanwhile: verify again */
	VERIFIER_BROKEN /* the hash could not be computed: out of memory */
};

/* The job has been freed. May call anything but verifier_close(). */
typedef void verifier_fn(void *ctx, enum verifier_result result);

struct verifier_job;

struct verifier_request {
	const struct basic_credentials *credentials;
	const union address *address; /* of the client */
	verifier_fn *fn;
	void *ctx;
	unsigned retry_s; /* result: seconds after which another attempt has better prospects */
};

/*
 * Verifies credentials. 0: valid, from the cache; -EACCES: invalid, as the list of users is empty;
 * -EINPROGRESS: `fn` is called once, never from within this function, unless verifier_cancel(*out)
 * is called before; -EAGAIN: too many failures, a later attempt is verified; -EDQUOT: too many of
 * this address or user are waiting; -EBUSY: the queue is full; -E2BIG: the password is longer than
 * what its hash takes into account; -ENOMEM. Unknown users take the same time as known ones.
 */
int verifier_check(
	struct verifier *verifier, struct verifier_request *request, struct verifier_job **out);

/* Cancels the job: its function will not be called. NULL: nothing. */
void verifier_cancel(struct verifier_job *job);
#endif
