/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The addresses of peers: their parts, their syntax, and their form in the log.
 */
#ifndef WEBSOCKSY_PEER_ADDRESS_H
#define WEBSOCKSY_PEER_ADDRESS_H
#include "network/proxy_protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer_kind;

/*
 * TLS to a peer: how it is authenticated, and how this side is. Texts are NULL where the address
 * has none.
 */
struct peer_tls {
	char *ca; /* file of authorities; NULL: the system's */
	char *cert; /* file of the client certificate */
	char *key; /* file of its key; NULL: the same file */
	char *sni; /* name to ask for and to verify; NULL: the host of the address */
	bool insecure; /* the peer's certificate is not verified */
};

struct peer_address {
	const struct peer_kind *kind;
	uint16_t port; /* 0: this kind has no port */
	bool guessed; /* there was no scheme: TCP was assumed */
	enum proxy_protocol_version
		proxy; /* PROXY header that the peer expects first, before TLS */
	struct peer_tls tls;
	union address ip4; /* `host`, if that is an IPv4 address; otherwise no family */
	/* name or literal without brackets; path; "@name" of an abstract socket; NULL */
	char *host;
};

/*
 * Reads what follows the scheme; `rest` has no parameters any more and may be changed; `port`: see
 * peer_parse(). 0, -ENOMEM, or -EINVAL with `*why` a static text.
 */
typedef int peer_address_rest_fn(
	struct peer_address *out, char *rest, const char *port, const char **why);

/* The parsers of the kinds: host and port; a path or an abstract name; a path; nothing. */
peer_address_rest_fn peer_address_network;
peer_address_rest_fn peer_address_unix;
peer_address_rest_fn peer_address_fifo;
peer_address_rest_fn peer_address_program; /* a name, for the log */
peer_address_rest_fn peer_address_none;

/* Parses what follows the scheme of an address whose kind is known; see peer_parse(). */
int peer_address_parse(
	struct peer_address *out, const char *rest, const char *port, const char **why);

void peer_address_free(struct peer_address *address);

/* Formats it as URL: tcp://[::1]:5900, unix://@name, echo://. Cut if it does not fit. */
void peer_address_format(const struct peer_address *address, char *out, size_t cap);
#endif
