/* SPDX-License-Identifier: BSD-2-Clause
 *
 * User name and password as a request carries them: the Basic authentication scheme (RFC 7617).
 */
#ifndef WEBSOCKSY_BASIC_H
#define WEBSOCKSY_BASIC_H
#include <stdbool.h>
#include <stddef.h>

#define BASIC_USER_MAX 255 /* bytes of a user name */
/*
 * Bytes of a password. crypt(3) takes 511, but hashes of the SHA kinds cost up to eight times as
 * much with those, which is paid by the daemon for each guess.
 */
#define BASIC_PASSWORD_MAX 128

struct basic_credentials {
	char user[BASIC_USER_MAX + 1];
	char password[BASIC_PASSWORD_MAX + 1];
};

/*
 * Parses the value of an Authorization field (RFC 7617, section 2). 0, -EPROTONOSUPPORT for another
 * scheme, -EILSEQ for other encodings than UTF-8, -E2BIG if user or password are too long, -EINVAL
 * if it is malformed: invalid base64, a missing colon, control characters. basic_wipe() afterwards
 * in any case.
 */
int basic_parse(const char *value, size_t len, struct basic_credentials *out);
void basic_wipe(struct basic_credentials *credentials);

/*
 * Is this UTF-8 without control characters, as RFC 7617, section 2 demands of user names and
 * passwords?
 */
bool basic_is_text(const char *text, size_t len);
#endif
