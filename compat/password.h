/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A password file in memory, for a password that was given as an argument.
 */
#ifndef WEBSOCKSY_PASSWORD_H
#define WEBSOCKSY_PASSWORD_H
#include <stddef.h>

#define PASSWORD_PATH_MAX 32

/*
 * Makes a file with the hash of the password in "user:password" that only this process can open,
 * under the name `path`. Its descriptor, which the caller closes, or negative errno; -EINVAL: the
 * text has another form.
 */
int password_file(const char *text, char path[PASSWORD_PATH_MAX]);
#endif
