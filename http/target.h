/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets of HTTP requests (RFC 9112, section 3.2), and authorities (RFC 3986, section 3.2).
 */
#ifndef WEBSOCKSY_TARGET_H
#define WEBSOCKSY_TARGET_H
#include "base/text.h"

#include <stdbool.h>

/* Does this have the form host[:port]? */
bool target_is_authority(struct slice text);

/*
 * Checks a target and reduces it to path and query, which may begin with '?' if the path of an
 * absolute form is empty, or to "*", for OPTIONS only. `*authority`: that of an absolute form,
 * otherwise empty. False: malformed.
 */
bool target_reduce(struct slice *target, bool is_options, struct slice *authority);

/*
 * May the file at this path, decoded and with its slash in front, be served? Not with hidden names,
 * of which ".." is one, except /.well-known, nor with empty segments: "//host/dir" would not be one
 * place.
 */
bool target_path_is_public(const char *path);
#endif
