/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Notices when files have been replaced or rewritten: their status is compared at regular
 * intervals.
 */
#ifndef WEBSOCKSY_WATCH_H
#define WEBSOCKSY_WATCH_H
#include "base/loop.h"

#include <stddef.h>

#define WATCH_PERIOD_MS 1000
/* Changes are told when there was none for a period, or this long after the first. */
#define WATCH_SETTLE_MAX_MS 3000

struct watch;

/* Something has changed; called from the loop, once for changes that come close together. */
typedef void watch_fn(void *ctx);

/* Makes a watch of no files. 0 or negative errno. */
int watch_open(struct watch **out, struct loop *loop, watch_fn *fn, void *ctx);

/*
 * Watches these files instead of others, from now on; the paths are copied. A path is followed
 * through symbolic links each time, so an exchange of a link or of a directory on the way is a
 * change as well. Files need not exist. 0 or -ENOMEM.
 */
int watch_files(struct watch *watch, size_t count, const char *const *paths);

/* NULL: nothing. */
void watch_close(struct watch *watch);
#endif
