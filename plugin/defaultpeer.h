/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in backend: one peer for all clients, from the options host, port, framing,
 * framing-config and protocol.
 */
#ifndef WEBSOCKSY_PLUGIN_DEFAULTPEER_H
#define WEBSOCKSY_PLUGIN_DEFAULTPEER_H
#include "plugin/backend.h"

extern const struct backend_builtin defaultpeer_backend;
#endif
