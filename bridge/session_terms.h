/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The time and the key that a backend gives a connection: it is closed at that time, and of each
 * key only so many connections may be open.
 */
#ifndef WEBSOCKSY_SESSION_TERMS_H
#define WEBSOCKSY_SESSION_TERMS_H

struct connection;

enum session_terms_result {
	SESSION_TERMS_FINE,
	SESSION_TERMS_FULL, /* max-per-key */
	SESSION_TERMS_OVER, /* the time has come already */
	SESSION_TERMS_NO_MEMORY
};

/*
 * The handshake of the connection is done: takes the terms of its answer into account, which may
 * close an older connection with the same key.
 */
enum session_terms_result session_terms_enter(struct connection *c);
#endif
