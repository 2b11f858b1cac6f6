/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Replies of servers that are asked for a peer: a peer's address in one of three forms.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_REPLY_H
#define WEBSOCKSY_PLUGIN_COMMON_REPLY_H
#include "plugins/common/target.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes the address of the peer, as in the option host, that the reply names:
 *   host:port, scheme://..., unix_socket:PATH, see target_from_text()
 *   {"host": "h", "port": p} the port is a number or a string; {"host": "h:p"}; {"peer": "..."}
 * False: it is none of these.
 */
bool reply_to_peer(
	const struct websocksy_core *core, const char *reply, size_t len, char peer[TARGET_MAX]);
#endif
