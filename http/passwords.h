/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Users and the hashes of their passwords, as read from a password file (lines of name:hash).
 */
#ifndef WEBSOCKSY_PASSWORDS_H
#define WEBSOCKSY_PASSWORDS_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PASSWORDS_FILE_MAX ((size_t)1 << 20) /* bytes of a password file */
#define PASSWORDS_HASH_MAX 256 /* bytes of a hash, parameters and NUL included */
#define PASSWORDS_ERRORS_MAX 20 /* lines that are reported one by one */

/* Receives one line of text for each mistake, which is valid during the call. */
struct passwords_errors {
	void (*fn)(void *ctx, const char *text);
	void *ctx;
};

/* The content of a password file. Does not change. */
struct passwords;

/*
 * Parses `len` bytes of `text`, lines of name:hash with hashes in the formats of crypt(5); blank
 * lines and lines that begin with '#' are skipped. `path` is for messages. 0 and `*out`
 * (passwords_free), or -EINVAL or -ENOMEM after all mistakes have been reported, with the path and
 * the number of the line. The text never contains a hash or a password.
 */
int passwords_parse(const char *path, struct slice text, struct passwords **out,
	const struct passwords_errors *errors);

/* The same from a regular file; other negative errno if it cannot be read. */
int passwords_read(const char *path, struct passwords **out, const struct passwords_errors *errors);

size_t passwords_count(const struct passwords *users);
bool passwords_has_user(const struct passwords *users, const char *name);

/* The hash of this user's password, alive as long as `users`; NULL if there is no such user. */
const char *passwords_find_hash(const struct passwords *users, const char *name);

/* The hash of the user at `index`, which is below passwords_count(). */
const char *passwords_hash_at(const struct passwords *users, size_t index);

/* How many bytes of a password a hash depends on: passwords that are longer must be refused. */
size_t passwords_hash_limit(const char *hash);

/*
 * A number that stands for a user with the present hash: it changes with either. 0: there is no
 * such user. And whether there still is a user with that number.
 */
uint64_t passwords_fingerprint(const struct passwords *users, const char *name);
bool passwords_has_fingerprint(const struct passwords *users, uint64_t fingerprint);

/* NULL: nothing. */
void passwords_free(struct passwords *users);
#endif
