/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How an open connection ends: the closing handshake (RFC 6455, section 7).
 */
#ifndef WEBSOCKSY_CLOSING_H
#define WEBSOCKSY_CLOSING_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stdint.h>

enum closing_side {
	CLOSING_BY_CLIENT, /* with a close frame, or it is gone */
	CLOSING_BY_PEER, /* its end or an error of it */
	CLOSING_BY_SERVER, /* the daemon */
	CLOSING_SIDES
};

/* For the log: why a connection ends. */
struct closing_note {
	enum closing_side side;
	uint16_t code; /* 0: the client's close frame had none */
	char why[];
};

/* Notes that, with a copy of the text. The first reason counts. */
void closing_note(struct connection *c, enum closing_side side, uint16_t code, const char *why);

/* Sends the close frame, once. `last`: the client's has come, or is not waited for. */
void closing_send(struct connection *c, uint16_t code, const char *reason, bool last);

/*
 * CONNECTION_CLOSING: our side starts; the client's bytes go on to the peer until its close frame.
 */
void closing_start(struct connection *c, uint16_t code, const char *why, uint64_t wait_ms);

/*
 * The client broke a rule, or its request cannot be met: no more input from it (RFC 6455, 7.1.7).
 * May end it.
 */
void closing_fail(struct connection *c, uint16_t code, const char *why);

/* closing_fail() after an error of memory_reserve() or memory_append(). */
void closing_no_memory(struct connection *c, int error);

/*
 * The client is gone without a close frame: the peer gets what is queued and an
 * end; a reset if bytes of the client are dropped. May end it.
 */
void closing_client_gone(struct connection *c, const char *why);

/* The same for a client that the daemon gives up. */
void closing_give_up(struct connection *c, const char *why);

/* Writing to the client has failed: data that it sent before is still read. CONNECTION_CLOSING. */
void closing_client_broken(struct connection *c);

/* Does the client wait for the peer to take data? */
bool closing_client_is_paused(const struct connection *c);

/* CONNECTION_CLOSING: the client is read again, after a pause that does not count. */
void closing_resumed(struct connection *c);

/* CONNECTION_CLOSING: bytes of the peer are thrown away. */
void closing_peer(struct connection *c);
void closing_deadline(struct connection *c);
#endif
