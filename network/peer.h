/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kinds of peers: one row each, with everything that differs between them.
 */
#ifndef WEBSOCKSY_PEER_H
#define WEBSOCKSY_PEER_H
#include "network/connect.h"
#include "network/peer_address.h"
#include "network/stream.h"
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>

#define PEER_KINDS 10

/* Groups of parameters behind the `?` of an address. */
#define PEER_PARAMETERS_PROXY 1u /* the PROXY header */
#define PEER_PARAMETERS_TLS 2u

struct peer_kind {
	const char *scheme; /* "tcp://" */
	peer_transport transport; /* of the plugin interface; peer_transport_detect: it has none */
	unsigned parameters; /* groups that the address may have */
	peer_address_rest_fn *parse; /* reads what follows the scheme */
	connect_begin_fn *connect; /* NULL: a loopback */
	int socket_type; /* SOCK_STREAM or SOCK_DGRAM */
	int access; /* fifos: O_RDONLY or O_WRONLY */
	const struct stream_ops *ops; /* of the connected stream; NULL: connect_take() chooses */
	bool messages; /* preserves message boundaries: a read or write is one message */
	bool tls; /* the caller does the TLS handshake on the connected stream */
	bool program; /* a program is started for each connection; only with `exec` */
	bool loopback; /* without a stream: messages come back as they went */
};

extern const struct peer_kind peer_kinds[PEER_KINDS];

/*
 * Parses a peer's address as backends return it: `transport` (peer_transport_detect: by the scheme
 * in front of `host`), `host` and `port` (NULL, or a port for hosts that name none). Behind a `?`
 * in `host` are parameters, `key=value&...`; in paths and in values `%3F`, `%26` and `%25` stand
 * for `?`, `&` and `%`. `out` is the caller's (peer_address_free()). 0, -ENOMEM, or -EINVAL with
 * `*why` a static text that says what is wrong.
 */
int peer_parse(peer_transport transport, const char *host, const char *port,
	struct peer_address *out, const char **why);

/* Does the scheme of the address stand for a program? */
bool peer_is_program(const char *host);
#endif
