/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HOST:PORT, as websockify has it.
 */
#ifndef WEBSOCKSY_ENDPOINT_H
#define WEBSOCKSY_ENDPOINT_H
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct endpoint {
	struct slice host; /* without brackets; empty: any, or this machine */
	uint16_t port;
};

/* Splits at the last colon; without one, `text` is a port. False: the port is not valid. */
bool endpoint_parse(const char *text, struct endpoint *out);

/*
 * "HOST:PORT" with IPv6 addresses in brackets, and `any` in place of an empty host. The caller
 * frees it; NULL: out of memory.
 */
char *endpoint_format(const struct endpoint *endpoint, const char *any);
#endif
