/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files in memory, for passwords that were given as arguments. Only this process can open them,
 * under the name `path`. The functions return the descriptor, which the caller closes, or negative
 * errno.
 */
#ifndef WEBSOCKSY_PASSWORD_H
#define WEBSOCKSY_PASSWORD_H
#include <stddef.h>

#define PASSWORD_PATH_MAX 32

/* The hash of the password in "user:password". -EINVAL: the text has another form. */
int password_file(const char *text, char path[PASSWORD_PATH_MAX]);

/* The passphrase of a key, as it is. -EINVAL: it is empty, or has several lines. */
int password_key_file(const char *passphrase, char path[PASSWORD_PATH_MAX]);
#endif
