/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of the log about the configuration in use.
 */
#ifndef WEBSOCKSY_ANNOUNCE_H
#define WEBSOCKSY_ANNOUNCE_H
#include "bridge/connection.h"

/* The peers and how clients are accepted: one line. */
void announce_configuration(const struct connection_env *env);

/*
 * Warns if clients from everywhere are accepted without authentication, as the defaults, which are
 * meant for trying it out, have it.
 */
void announce_open_access(const struct connection_env *env);
#endif
