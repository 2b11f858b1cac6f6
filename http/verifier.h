/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who may come in: the password file, credentials of HTTP Basic authentication (RFC 7617), and their
 * verification on a thread of its own, since hashing a password is made to take long.
 */
#ifndef WEBSOCKSY_VERIFIER_H
#define WEBSOCKSY_VERIFIER_H
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASIC_USER_MAX 255 /* bytes of a user's name */
#define BASIC_PASSWORD_MAX 511 /* bytes of a password: what crypt(3) takes */
#define PASSWORDS_FILE_MAX ((size_t)1 << 20) /* bytes of a password file */
#define VERIFIER_QUEUE_MAX 64 /* verifications that wait for the thread */
#define VERIFIER_CACHE_MAX 256 /* verified credentials that are remembered */
#define VERIFIER_CACHE_MS 60000 /* for how long */
#define PASSWORDS_ERROR_MAX 512

/* The content of a password file. Does not change. */
struct passwords;

/*
 * Reads the users from `len` bytes of `text`, lines of name:hash with hashes as crypt(3) knows them; blank
 * lines and lines that begin with '#' are skipped. `path` is for messages. 0 and `*out`
 * (passwords_free), or -EINVAL or -ENOMEM with one line in `error` that names the path and, for a
 * line that is wrong, its number. Never holds a hash or a password.
 */
int passwords_parse(const char *path, const char *text, size_t len, struct passwords **out,
	char error[PASSWORDS_ERROR_MAX]);

/* The same from a regular file; other negative errno if it cannot be read. */
int passwords_read(const char *path, struct passwords **out, char error[PASSWORDS_ERROR_MAX]);

size_t passwords_count(const struct passwords *users);
bool passwords_has_user(const struct passwords *users, const char *name);
void passwords_free(struct passwords *users);

struct basic_credentials {
	char user[BASIC_USER_MAX + 1];
	char password[BASIC_PASSWORD_MAX + 1];
};

/*
 * Takes the value of an Authorization field apart (RFC 7617, section 2). 0, -EPROTONOSUPPORT for another
 * scheme, -EINVAL if it is malformed: no base64, no colon, no UTF-8, control characters, too long.
 * basic_wipe() afterwards in any case.
 */
int basic_parse(const char *value, size_t len, struct basic_credentials *out);
void basic_wipe(struct basic_credentials *credentials);

/* The thread, its queue, and the credentials that have been verified lately. */
struct verifier;

/* Starts the thread, which has all signals blocked. 0 or negative errno. */
int verifier_open(struct verifier **out, struct loop *loop);

/* Ends and joins the thread; waits for the hash that it is at. Jobs are cancelled by then. NULL: nothing. */
void verifier_close(struct verifier *auth);

/*
 * `users` (the caller's, alive until the next call) count from now on; NULL: nobody is asked who he is.
 * What had been verified is forgotten, and what is being verified ends as VERIFIER_STALE.
 */
void verifier_set_passwords(struct verifier *auth, const struct passwords *users);

/* The users that count; NULL without any. `auth` may be NULL. */
const struct passwords *verifier_get_passwords(const struct verifier *auth);

enum verifier_result {
	VERIFIER_GRANTED,
	VERIFIER_DENIED,
	VERIFIER_STALE, /* the users have changed meanwhile: ask again */
	VERIFIER_BROKEN /* the hash could not be computed: no memory */
};

/* The job is gone. May do anything but close `auth`. */
typedef void verifier_fn(void *ctx, enum verifier_result result);

struct verifier_job;

/*
 * Are these credentials right? 0: yes, known from the last minute; -EACCES: no, as there are no users;
 * -EINPROGRESS: `fn` will be called, once, never from within this function, unless verifier_cancel(*out);
 * -EBUSY: too many are waiting; -ENOMEM. A name that is not there costs the same time as one that is.
 */
int verifier_check(struct verifier *auth, const struct basic_credentials *credentials,
	verifier_fn *fn, void *ctx, struct verifier_job **out);

/* Makes sure that the function is not called. NULL: nothing. */
void verifier_cancel(struct verifier_job *job);
#endif
