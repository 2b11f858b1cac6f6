/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connections of one of several workers: what they share with those of the others.
 */
#ifndef WEBSOCKSY_WORKER_H
#define WEBSOCKSY_WORKER_H
#include "bridge/bridge.h"

struct connection_env;

/* The limits apply to all workers from here on. 0 or -ENOMEM. */
int worker_join(struct connection_env *env, const struct bridge_worker *worker);

/*
 * Starts the thread that verifies passwords if there are users, with the history of logins of all
 * workers; `worker` NULL: there is one. Once there have been users it stays, idle without them. 0; or
 * negative errno after a line in the log.
 */
int worker_open_auth(struct connection_env *env, const struct bridge_worker *worker,
	const struct config *config);

/* A message for the supervisor. No effect with only one process (NULL). */
void worker_tell(const struct bridge_worker *worker, uint32_t kind);

/* Sessions of TLS can be resumed with every worker. No effect with only one process. */
void worker_share_tickets(struct connection_env *env);
#endif
