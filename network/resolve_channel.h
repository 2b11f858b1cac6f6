/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Questions to the hosts file and to name servers that never block on the network: c-ares driven
 * by the event loop.
 */
#ifndef WEBSOCKSY_RESOLVE_CHANNEL_H
#define WEBSOCKSY_RESOLVE_CHANNEL_H
#include "base/address.h"
#include "base/loop.h"
#include "network/resolve_search.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVE_ADDRESSES_MAX 16 /* kept of one answer */

enum resolve_status {
	RESOLVE_FOUND,
	RESOLVE_NO_ADDRESS, /* the name exists, without an address of the family */
	RESOLVE_NO_NAME,
	RESOLVE_FAILED
};

struct resolve_reply {
	enum resolve_status status;
	int error; /* RESOLVE_FAILED: negative errno, with `why` a static text */
	const char *why;
	uint32_t ttl_s; /* RESOLVE_FOUND: how long it may be kept */
	size_t count;
	union address
		address[RESOLVE_ADDRESSES_MAX]; /* in order of preference (RFC 6724); port 0 */
};

typedef void resolve_reply_fn(void *ctx, const struct resolve_reply *reply);

struct resolve_channel;

/*
 * Opens a channel with the system's settings and files; `servers` as resolver_open(), with its
 * results.
 */
int resolve_channel_open(struct resolve_channel **out, struct loop *loop, const char *servers);

/*
 * Ends it; every open question gets a reply with -ECANCELED before. Not from within a reply. NULL:
 * nothing.
 */
void resolve_channel_close(struct resolve_channel *channel);

/*
 * Asks the name servers for addresses of one family (AF_INET or AF_INET6) of the name, which ends
 * with a dot. Calls `fn` once, possibly from within.
 */
void resolve_channel_ask(struct resolve_channel *channel, const char *name, int family,
	resolve_reply_fn *fn, void *ctx);

/*
 * Looks into the hosts file for the host, as it is written, and both families. RESOLVE_FOUND or
 * RESOLVE_NO_NAME.
 */
void resolve_channel_ask_file(
	struct resolve_channel *channel, const char *host, struct resolve_reply *reply);

/* The system's search list; the channel's. */
const struct resolve_search *resolve_channel_search(const struct resolve_channel *channel);

/* Is this address, of whatever port, one of the servers that are asked? */
bool resolve_channel_has_server(const struct resolve_channel *channel, const union address *server);
#endif
