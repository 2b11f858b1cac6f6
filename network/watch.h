/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tells when files have been replaced or rewritten (inotify(7)).
 */
#ifndef WEBSOCKSY_WATCH_H
#define WEBSOCKSY_WATCH_H
#include "base/loop.h"

#include <stddef.h>

struct watch;

/* Something has changed; called from the loop, once for changes that come close together. */
typedef void watch_fn(void *ctx);

/* Makes a watch that looks at nothing yet. 0 or negative errno. */
int watch_open(struct watch **out, struct loop *loop, watch_fn *fn, void *ctx);

/*
 * Looks at these files instead of others; the paths are copied. What is watched is every name on the way to them, links
 * and what they lead to included: those who renew certificates replace the file, a directory above it, or a link.
 * Files need not exist yet. A directory that cannot be watched is skipped with a line in the log. 0 or -ENOMEM.
 */
int watch_files(struct watch *watch, size_t count, const char *const *paths);

/* NULL: nothing. */
void watch_close(struct watch *watch);
#endif
