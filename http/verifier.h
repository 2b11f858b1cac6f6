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

#define AUTH_USER_MAX 255 /* bytes of a user's name */
#define AUTH_PASSWORD_MAX 511 /* bytes of a password: what crypt(3) takes */
#define AUTH_FILE_MAX ((size_t)1 << 20) /* bytes of a password file */
#define AUTH_QUEUE_MAX 64 /* verifications that wait for the thread */
#define AUTH_CACHE_MAX 256 /* verified credentials that are remembered */
#define AUTH_CACHE_MS 60000 /* for how long */
#define AUTH_ERROR_MAX 512

/* The content of a password file. Does not change. */
struct auth_users;

/*
 * Reads the users from `len` bytes of `text`, lines of name:hash with hashes as crypt(3) knows them; blank
 * lines and lines that begin with '#' are skipped. `path` is for messages. 0 and `*out`
 * (auth_users_free), or -EINVAL or -ENOMEM with one line in `error` that names the path and, for a
 * line that is wrong, its number. Never holds a hash or a password.
 */
int auth_users_parse(const char *path, const char *text, size_t len, struct auth_users **out,
	char error[AUTH_ERROR_MAX]);

/* The same from a regular file; other negative errno if it cannot be read. */
int auth_users_read(const char *path, struct auth_users **out, char error[AUTH_ERROR_MAX]);

size_t auth_users_count(const struct auth_users *users);
bool auth_users_has(const struct auth_users *users, const char *name);
void auth_users_free(struct auth_users *users);

struct auth_credentials {
	char user[AUTH_USER_MAX + 1];
	char password[AUTH_PASSWORD_MAX + 1];
};

/*
 * Takes the value of an Authorization field apart (RFC 7617, section 2). 0, -EPROTONOSUPPORT for another
 * scheme, -EINVAL if it is malformed: no base64, no colon, no UTF-8, control characters, too long.
 * auth_credentials_wipe() afterwards in any case.
 */
int auth_parse_basic(const char *value, size_t len, struct auth_credentials *out);
void auth_credentials_wipe(struct auth_credentials *credentials);

/* The thread, its queue, and the credentials that have been verified lately. */
struct auth;

/* Starts the thread, which has all signals blocked. 0 or negative errno. */
int auth_open(struct auth **out, struct loop *loop);

/* Ends and joins the thread; waits for the hash that it is at. Jobs are cancelled by then. NULL: nothing. */
void auth_close(struct auth *auth);

/*
 * `users` (the caller's, alive until the next call) count from now on; NULL: nobody is asked who he is.
 * What had been verified is forgotten, and what is being verified ends as AUTH_STALE.
 */
void auth_set_users(struct auth *auth, const struct auth_users *users);

/* The users that count; NULL without any. `auth` may be NULL. */
const struct auth_users *auth_get_users(const struct auth *auth);

enum auth_result {
	AUTH_GRANTED,
	AUTH_DENIED,
	AUTH_STALE, /* the users have changed meanwhile: ask again */
	AUTH_BROKEN /* the hash could not be computed: no memory */
};

/* The job is gone. May do anything but close `auth`. */
typedef void auth_fn(void *ctx, enum auth_result result);

struct auth_job;

/*
 * Are these credentials right? 0: yes, known from the last minute; -EACCES: no, as there are no users;
 * -EINPROGRESS: `fn` will be called, once, never from within this function, unless auth_cancel(*out);
 * -EBUSY: too many are waiting; -ENOMEM. A name that is not there costs the same time as one that is.
 */
int auth_check(struct auth *auth, const struct auth_credentials *credentials, auth_fn *fn,
	void *ctx, struct auth_job **out);

/* Makes sure that the function is not called. NULL: nothing. */
void auth_cancel(struct auth_job *job);
#endif
