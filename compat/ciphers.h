/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cipher lists of OpenSSL as parts of a priority string of GnuTLS.
 */
#ifndef WEBSOCKSY_CIPHERS_H
#define WEBSOCKSY_CIPHERS_H
#include "compat/options.h"

#include <stdbool.h>

#define CIPHERS_MAX 512

/*
 * Translates `list` (the value of --ssl-ciphers) into `out`, which begins with ':' and goes behind
 * the versions of a priority string. `tls13`: the list has an algorithm of TLS 1.3. False: the
 * error of `compat` is set. A difference from OpenSSL is a notice.
 */
bool ciphers_translate(struct compat *compat, const char *list, char out[CIPHERS_MAX], bool *tls13);
#endif
