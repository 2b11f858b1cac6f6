/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Verification of credentials against password hashes, on a thread of its own, since such a hash is made to
 * take long to compute; results are cached for a short time.
 */
#ifndef WEBSOCKSY_VERIFIER_H
#define WEBSOCKSY_VERIFIER_H
#include "base/loop.h"
#include "http/basic.h"
#include "http/passwords.h"

#define VERIFIER_QUEUE_MAX 64 /* verifications that wait for the thread */
#define VERIFIER_CACHE_MAX 256 /* verified credentials that are remembered */
#define VERIFIER_CACHE_MS 60000 /* for how long */

/* The thread, its queue, and the credentials that have been verified lately. */
struct verifier;

/* Starts the thread, which has all signals blocked. 0 or negative errno. */
int verifier_open(struct verifier **out, struct loop *loop);

/* Ends and joins the thread; waits for the hash that it is at. Jobs are cancelled by then. NULL: nothing. */
void verifier_close(struct verifier *verifier);

/*
 * `users` (the caller's, alive until the next call) count from now on; NULL: nobody is asked who he is.
 * What had been verified is forgotten, and what is being verified ends as VERIFIER_STALE.
 */
void verifier_set_passwords(struct verifier *verifier, const struct passwords *users);

/* The users that count; NULL without any. `verifier` may be NULL. */
const struct passwords *verifier_get_passwords(const struct verifier *verifier);

enum verifier_result {
	VERIFIER_GRANTED,
	VERIFIER_DENIED,
	VERIFIER_STALE, /* the users have changed meanwhile: ask again */
	VERIFIER_BROKEN /* the hash could not be computed: no memory */
};

/* The job is gone. May do anything but close `verifier`. */
typedef void verifier_fn(void *ctx, enum verifier_result result);

struct verifier_job;

/*
 * Are these credentials right? 0: yes, known from the last minute; -EACCES: no, as there are no users;
 * -EINPROGRESS: `fn` will be called, once, never from within this function, unless verifier_cancel(*out);
 * -EBUSY: too many are waiting; -ENOMEM. A name that is not there costs the same time as one that is.
 */
int verifier_check(struct verifier *verifier, const struct basic_credentials *credentials,
	verifier_fn *fn, void *ctx, struct verifier_job **out);

/* Makes sure that the function is not called. NULL: nothing. */
void verifier_cancel(struct verifier_job *job);
#endif
