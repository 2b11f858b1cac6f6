/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The certificates that the settings name, at start and whenever their files change.
 */
#ifndef WEBSOCKSY_CERTIFICATES_H
#define WEBSOCKSY_CERTIFICATES_H
#include "config/settings.h"
#include "network/tls_credentials.h"

/*
 * Reads certificates and keys of `settings` into `*out` (NULL: TLS is off): one reference. 0, or
 * negative errno with the cause in `error`.
 */
int certificates_open(
	const struct settings *settings, struct tls_credentials **out, struct tls_error *error);

/*
 * The files that it reads: an array of `*count` paths of `settings`, to be freed by the caller. 0, or
 * -ENOMEM.
 */
int certificates_files(const struct settings *settings, const char ***paths, size_t *count);
#endif
