/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Peers: the syntax of their addresses, and how to get from an address to a connected stream without
 * blocking (lookup, staggered attempts at all addresses: RFC 8305), for every transport.
 */
#ifndef WEBSOCKSY_PEER_H
#define WEBSOCKSY_PEER_H
#include "network.h"
#include "network/proxy_protocol.h"
#include "network/resolve.h"
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_kind {
	PEER_TCP,
	PEER_TLS, /* TCP; the handshake is the caller's */
	PEER_UDP,
	PEER_UNIX,
	PEER_UNIX_DGRAM,
	PEER_FIFO_TX, /* client to fifo */
	PEER_FIFO_RX, /* fifo to client */
	PEER_ECHO, /* built in: no descriptor, messages come back as they went */
	PEER_KINDS
};

/* PEER_TLS: what the peer has to prove, and we. Texts are NULL where nothing is said. */
struct peer_tls {
	char *ca; /* file of authorities; NULL: the system's */
	char *cert; /* file of our own certificate */
	char *key; /* file of its key; NULL: the same */
	char *sni; /* the peer's name; NULL: the host of its address */
	bool insecure; /* it has to prove nothing */
};

struct peer_address {
	enum peer_kind kind;
	uint16_t port; /* TCP, TLS and UDP */
	bool guessed; /* there was no scheme: TCP was assumed */
	/* TCP, TLS and Unix streams: the header that the peer wants to have first, in front of TLS */
	enum proxy_protocol_version proxy;
	struct peer_tls tls;
	char *host; /* name or literal without brackets; path; "@name" for an abstract socket */
};

/*
 * Parses what a backend answered: `transport` (peer_transport_detect: by the scheme in front of `host`),
 * `host` and `port` (NULL, or a port for hosts that name none). Behind a `?` in `host` are parameters,
 * `key=value&...`; in paths and in values `%3F`, `%26` and `%25` stand for `?`, `&` and `%`. `out` is the
 * caller's (peer_address_free).
 * 0, -ENOMEM, or -EINVAL with `*why` a static text that says what is wrong.
 */
int peer_parse(peer_transport transport, const char *host, const char *port,
	struct peer_address *out, const char **why);
void peer_address_free(struct peer_address *address);

/* Formats it as URL: tcp://[::1]:5900, unix://@name, echo://. */
void peer_format(const struct peer_address *address, char *out, size_t cap);

/* Whole messages go to and come from this kind, one datagram each. */
bool peer_is_datagram(enum peer_kind kind);

struct peer_connect;

/* `error`: 0, or negative errno with `why` a static text or strerror()'s. May free the attempt. */
typedef void peer_connect_fn(void *ctx, int error, const char *why);

/*
 * Starts connecting to any kind but PEER_ECHO. 0: connected at once; -EINPROGRESS: `fn` will be called, once,
 * never from within this function; other negative errno: failed, with `*why` set. `address` must outlive it. With 0 and -EINPROGRESS
 * `*out` is the caller's: peer_connect_free(). There is no time limit here; the caller has one.
 */
int peer_connect_start(struct peer_connect **out, const struct peer_address *address,
	struct loop *loop, struct resolver *resolver, peer_connect_fn *fn, void *ctx,
	const char **why);

/* The connected peer becomes `stream`, as stream_open(). 0 or negative errno. */
int peer_connect_take(struct peer_connect *connect, struct stream *stream, stream_fn *fn);

/* Cancels whatever runs. NULL: nothing. */
void peer_connect_free(struct peer_connect *connect);
#endif
