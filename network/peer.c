/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of the kinds of peers, and the choice of a kind by scheme or by transport.
 *
 * Must not know: WebSocket, connections.
 * Invariants: differences between kinds are in their rows; no other file compares kinds.
 */
#include "network/peer.h"

#include "network/datagram.h"
#include "network/exec_address.h"
#include "network/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

const struct peer_kind peer_kinds[] = {
	{
		.scheme = "tcp://",
		.transport = peer_tcp_client,
		.parameters = PEER_PARAMETERS_PROXY,
		.parse = peer_address_network,
		.connect = connect_network,
		.socket_type = SOCK_STREAM,
		.ops = &stream_tcp_ops,
	},
	{
		.scheme = "tls://",
		.transport = peer_transport_detect,
		.parameters = PEER_PARAMETERS_PROXY | PEER_PARAMETERS_TLS,
		.parse = peer_address_network,
		.connect = connect_network,
		.socket_type = SOCK_STREAM,
		.ops = &stream_tcp_ops,
		.tls = true,
	},
	{
		.scheme = "udp://",
		.transport = peer_udp_client,
		.parse = peer_address_network,
		.connect = connect_network,
		.socket_type = SOCK_DGRAM,
		.ops = &datagram_ops,
		.messages = true,
	},
	{
		.scheme = "unix://",
		.transport = peer_unix_stream,
		.parameters = PEER_PARAMETERS_PROXY,
		.parse = peer_address_unix,
		.connect = connect_unix,
		.socket_type = SOCK_STREAM,
		.ops = &stream_unix_ops,
	},
	{
		.scheme = "unix-dgram://",
		.transport = peer_unix_dgram,
		.parse = peer_address_unix,
		.connect = connect_unix,
		.socket_type = SOCK_DGRAM,
		.ops = &datagram_ops,
		.messages = true,
	},
	{
		.scheme = "fifotx://", /* from the client to the fifo */
		.transport = peer_fifo_tx,
		.parse = peer_address_fifo,
		.connect = connect_fifo,
		.access = O_WRONLY,
		.ops = &fifo_tx_ops,
	},
	{
		.scheme = "fiforx://", /* from the fifo to the client */
		.transport = peer_fifo_rx,
		.parse = peer_address_fifo,
		.connect = connect_fifo,
		.access = O_RDONLY,
		.ops = &fifo_rx_ops,
	},
	{
		.scheme = "exec://",
		.transport = peer_transport_detect,
		.parse = exec_address_parse,
		.connect = connect_exec,
		.program = true,
	},
	{
		.scheme = "program://",
		.transport = peer_transport_detect,
		.parse = peer_address_program,
		.connect = connect_program,
		.socket_type = SOCK_STREAM,
	},
	{
		.scheme = "echo://",
		.transport = peer_transport_detect,
		.parse = peer_address_none,
		.messages = true,
		.loopback = true,
	},
};

static const struct peer_kind *kind_of_scheme(const char *host) {
	for(int i = 0; i < PEER_KINDS; i++) {
		const char *scheme = peer_kinds[i].scheme;
		if(strncasecmp(host, scheme, strlen(scheme)) == 0) {
			return &peer_kinds[i];
		}
	}
	return NULL;
}

static const struct peer_kind *kind_of_transport(peer_transport transport) {
	for(int i = 0; i < PEER_KINDS; i++) {
		if(peer_kinds[i].transport == transport) {
			return &peer_kinds[i];
		}
	}
	return NULL;
}

int peer_parse(peer_transport transport, const char *host, const char *port,
	struct peer_address *out, const char **why) {
	const char *rest = host;
	*out = (struct peer_address){0};
	if(transport != peer_transport_detect) {
		out->kind = kind_of_transport(transport);
	} else {
		out->kind = kind_of_scheme(host);
		out->guessed = !out->kind;
		if(out->kind) {
			rest += strlen(out->kind->scheme);
		} else if(!strstr(host, "://")) {
			out->kind = kind_of_transport(peer_tcp_client);
		}
	}
	if(!out->kind) {
		*why = "the transport is unknown";
		return -EINVAL;
	}
	return peer_address_parse(out, rest, port, why);
}

bool peer_is_program(const char *host) {
	const struct peer_kind *kind = kind_of_scheme(host);
	return kind && kind->program;
}
