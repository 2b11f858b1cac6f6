/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lists of WebSocket extensions (RFC 6455, section 9.1).
 */
#ifndef WEBSOCKSY_EXTENSIONS_H
#define WEBSOCKSY_EXTENSIONS_H
#include "http/request.h"

#include <stdbool.h>

/*
 * Do the fields Sec-WebSocket-Extensions of a request, which are one list, conform to the grammar?
 * True as well if there are none.
 */
bool extensions_are_valid(const struct request *request);
#endif
