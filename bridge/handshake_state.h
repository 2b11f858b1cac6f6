/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state of a connection before it is open, shared by the files of the handshake and by no
 * other.
 */
#ifndef WEBSOCKSY_HANDSHAKE_STATE_H
#define WEBSOCKSY_HANDSHAKE_STATE_H
#include "base/dynbuf.h"
#include "base/loop.h"
#include "bridge/connection.h"
#include "http/request.h"
#include "http/verifier.h"
#include "network/connect.h"
#include "network/peer.h"
#include "network/peer_address.h"
#include "network/tls_credentials.h"
#include "websocket/key.h"
#include "websocket/legacy.h"

struct handshake {
	/*
	 * An incomplete head; in CONNECTION_AUTH a complete one with what follows; later what
	 * followed.
	 */
	struct dynbuf input;
	size_t scanned;
	size_t head_len; /* CONNECTION_AUTH: of the head in `input`; otherwise 0 */
	struct verifier_job *job; /* CONNECTION_AUTH: the password is being verified */
	char *user; /* the name in the credentials; NULL: no authentication so far */
	uint64_t login; /* passwords_fingerprint() of the user; 0: not authenticated */
	struct pending *pending; /* CONNECTION_QUERY: the question to the backend */
	struct dynbuf head; /* the request meanwhile */
	struct terms *terms; /* of the answer; NULL: none */
	size_t peer; /* how many further peers of the answer have been tried */
	struct connect *connect;
	struct tls_credentials *tls; /* for a TLS peer; one reference */
	struct peer_address address;
	char **environment; /* of a program, one block; NULL: the peer is something else */
	size_t protocols; /* subprotocols that the client offers */
	char *protocol; /* the chosen one, or NULL */
	char *legacy_fields; /* of the response to a version before HyBi; NULL: none */
	uint64_t asked_ms; /* when the backend was asked */
	uint64_t file_at;
	uint64_t file_left;
	uint64_t measured_ms;
	struct loop_task task; /* goes on in the next turn, see handshake_yield() */
	struct connection *connection;
	union address destination; /* address that the client connected to, from a PROXY header */
	int file; /* body of a response; -1: none */
	uint32_t listener; /* the number of the one that accepted it */
	unsigned requests; /* so far */
	uint32_t taken; /* bytes of responses that the client had taken at `measured_ms` */
	char accept[WEBSOCKET_KEY_ACCEPT_LEN + 1];
	uint8_t legacy_answer
		[LEGACY_ANSWER_LEN]; /* version 76: first the bytes behind the request */
	uint8_t legacy; /* enum legacy_version */
	bool granted; /* authenticated */
	bool https; /* the client's own connection uses TLS; set by login_check() */
	bool head_only; /* the request is HEAD */
	bool upgrade; /* the request asks for WebSocket */
	bool proxy_header; /* a PROXY header has to come first; `input` is its beginning */
	bool unnamed; /* the PROXY header names no client: header fields do not either */
	bool identified; /* the client's address is final */
	bool shared; /* by clients of a proxy: header fields tell which one a request is from */
	bool challenge; /* the request is for a challenge of a certificate authority */
	bool costly; /* the last response took long to make: others have their turn */
	bool reply; /* the peer's reply to the prelude is awaited */
	bool keep; /* the response leaves the connection open for the next request */
	char *summary; /* of the request, for the log: GET "/path"; NULL: there is none yet */
};

/* The deadline of a phase; 0: none. */
static inline void handshake_arm(struct connection *c, uint64_t timeout_ms) {
	if(timeout_ms) {
		connection_set_deadline(c, c->env->loop->now_ms + timeout_ms);
	} else {
		loop_timer_cancel(c->env->loop, &c->timer);
	}
}

/* Lets other connections run: the handshake's task goes on in the next turn. */
static inline void handshake_yield(struct connection *c) {
	loop_timer_cancel(c->env->loop, &c->timer);
	loop_next_turn(c->env->loop, &c->handshake->task);
}

/* The field with the subprotocols: in version hixie-75 its name has no prefix. */
static inline const char *handshake_protocol_field(const struct handshake *h) {
	return h->legacy == LEGACY_HIXIE_75 ? "WebSocket-Protocol" : "Sec-WebSocket-Protocol";
}

/* The value of the first field of that name; empty: there is none. */
static inline struct slice header_value(const struct request *request, const char *name) {
	const struct request_header *header = request_find_header(request, name, 0);
	return header ? header->value : (struct slice){0};
}
#endif
