/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bridge: listening sockets, accepting, taking a new
 * configuration, and stopping.
 */
#ifndef WEBSOCKSY_BRIDGE_H
#define WEBSOCKSY_BRIDGE_H
#include "base/loop.h"
#include "config.h"

#include <stddef.h>

struct bridge;

/*
 * Opens a bridge with the objects of `config`; its contents move to the bridge on success. `passed`
 * listening sockets from the service manager, numbered from `first_fd` on, are used instead of
 * `port` and `listen`. `fd_limit`: the process's limit on descriptors, from which max-clients
 * follows if it is not set. 0, or negative errno after a line in the log that says what is wrong.
 */
int bridge_open(struct bridge **out, struct loop *loop, struct config *config, int first_fd,
	int passed, size_t fd_limit);

/* The configuration of the bridge; its own, valid until the next reload. */
const struct config *bridge_config(const struct bridge *bridge);

/*
 * Takes a new configuration: its contents move to the bridge. Running connections stay as they are,
 * with the new timeouts. On failure (a line in the log says why) nothing changes and `config` stays
 * the caller's.
 */
int bridge_reload(struct bridge *bridge, struct config *config);

/* Has bridge_stop() been called? */
bool bridge_is_stopping(const struct bridge *bridge);

/*
 * Stops listening and asks every connection to end; when all have gone, or after `grace`, the loop
 * is stopped. A second call drops what is left at once.
 */
void bridge_stop(struct bridge *bridge);

/* Drops all connections and frees everything. NULL: nothing. */
void bridge_close(struct bridge *bridge);
#endif
