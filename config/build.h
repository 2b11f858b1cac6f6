/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads the files that the options of a configuration name. Errors are reported to the reader.
 */
#ifndef WEBSOCKSY_BUILD_H
#define WEBSOCKSY_BUILD_H
#include "config/reader.h"

/* Reads the users of auth-file. */
void build_passwords(struct reader *reader);

/* Reads certificates and keys. */
void build_tls(struct reader *reader);

/* Loads framing plugins and the backend and passes it its options. */
void build_backend(struct reader *reader);

/* Drops the backend and its options. */
void build_drop_backend(struct config *config);
#endif
