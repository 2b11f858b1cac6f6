/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Subprotocols: choosing one of those that a client offers, and the framing that one implies.
 */
#ifndef WEBSOCKSY_PLUGIN_PROTOCOLS_H
#define WEBSOCKSY_PLUGIN_PROTOCOLS_H
#include "plugin/backend.h"
#include "plugin/framings.h"

#define PROTOCOLS_NONE_OFFERED (-1) /* none of the list is among the offers */
#define PROTOCOLS_EMPTY_LIST (-2)

/*
 * The index of the offer that `list` prefers ("binary, base64"; "*": the first offer), or one of
 * the above.
 */
int64_t protocols_choose(const char *list, const struct backend_request *request);

/*
 * The framing of a connection: `name` (NULL or "": not configured), otherwise what the subprotocol
 * (NULL: none) implies. Base64 is how that subprotocol transports what is configured as binary.
 * NULL: there is no framing of that name.
 */
const struct websocksy_framing *protocols_framing(const char *name, const char *protocol);
#endif
