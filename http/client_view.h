/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Scheme, host and port of a request as its client sees them: behind a trusted reverse proxy they
 * are in header fields.
 */
#ifndef WEBSOCKSY_CLIENT_VIEW_H
#define WEBSOCKSY_CLIENT_VIEW_H
#include "base/cidr.h"
#include "http/request.h"

#include <stdbool.h>
#include <stdint.h>

struct client_view {
	bool https;
	struct slice host; /* without its port; IPv6 in brackets; empty: none, or invalid */
	uint16_t port; /* 0: the default of the scheme */
	bool told; /* a trusted reverse proxy has told the scheme */
};

/*
 * Fills `view` with slices into `request`. `tls`: the connection uses TLS. `trusted`: the trusted
 * reverse proxies, if the request comes from one of them, otherwise NULL: then only the connection
 * and Host count. From a trusted proxy come, in this order: "proto" and "host" of Forwarded, in the
 * element about the client (see forwarded_chain_add()); the last element of X-Forwarded-Proto and
 * X-Forwarded-Host; for a host without port X-Forwarded-Port; Host. Invalid values do not count;
 * nor does the scheme if Forwarded and X-Forwarded-Proto contradict each other.
 */
void client_view_read(struct client_view *view, const struct request *request, bool tls,
	const struct cidr_list *trusted);

/* The port, with the default of the scheme filled in. */
unsigned client_view_port(const struct client_view *view);
#endif
