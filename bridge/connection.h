/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection object: one WebSocket client and its peer, the phases they go through, their
 * deadline, the lingering close, and the one destructor.
 */
#ifndef WEBSOCKSY_CONNECTION_H
#define WEBSOCKSY_CONNECTION_H
#include "base/address.h"
#include "base/dynbuf.h"
#include "base/log_limit.h"
#include "base/loop.h"
#include "base/process.h"
#include "bridge/admission.h"
#include "bridge/lifetime.h"
#include "bridge/memory.h"
#include "bridge/names.h"
#include "bridge/sessions.h"
#include "config/settings.h"
#include "http/verifier.h"
#include "network/announced.h"
#include "network/resolve.h"
#include "network/stream.h"
#include "plugin/backend.h"
#include "plugin/framing.h"
#include "plugin/services.h"
#include "service/program.h"
#include "websocket.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_phase {
	CONNECTION_HEAD, /* the request head is arriving */
	CONNECTION_AUTH, /* the client's password is being verified */
	CONNECTION_QUERY, /* the backend is asked for the peer */
	CONNECTION_CONNECT, /* the peer's name is looked up, its addresses are tried, TLS begins */
	CONNECTION_RESPONSE, /* an HTTP response is being sent */
	CONNECTION_OPEN, /* 101 is sent, both directions run */
	CONNECTION_CLOSING, /* our close frame is sent, the client's is awaited */
	CONNECTION_LINGER, /* both sides receive the queued data, then their end is awaited */
	CONNECTION_DEAD,
	CONNECTION_PHASES
};

struct closing_note;
struct listeners;
struct recorder;
struct shared;
struct connection;
struct handshake;

/*
 * One row of the table of phases. Handlers may end the connection. NULL: the event cannot happen in
 * this phase (client, peer, deadline), or changes nothing (shutdown, reload, leave).
 */
struct phase {
	const char *name;
	unsigned next; /* phases that may follow, one bit each */
	void (*client)(struct connection *connection, unsigned events); /* STREAM_* */
	void (*peer)(struct connection *connection, unsigned events);
	void (*deadline)(struct connection *connection);
	void (*shutdown)(struct connection *connection); /* the daemon is to stop */
	void (*reload)(struct connection *connection); /* the settings have changed */
	/*
	 * The phase ends and `next` follows: releases the objects that the latter does not use.
	 * Must not end the connection.
	 */
	void (*leave)(struct connection *connection, enum connection_phase next);
};

/* Shared by all connections of a bridge, which fills it; strings and pointers are its own. */
struct connection_env {
	struct loop *loop;
	const struct phase *phases; /* CONNECTION_PHASES rows */
	const struct settings *settings;
	struct resolver *resolver;
	struct backend *backend;
	struct tls_credentials *tls; /* NULL: no TLS */
	bool tls_detect; /* the first byte of a connection decides */
	uint16_t tls_port; /* of a socket for TLS alone; 0: none */
	bool ending; /* the daemon exits with the last connection; those that are idle end */
	bool leaving; /* it will stop (drain-delay): health checks are answered with 503 */
	bool draining; /* it stops: so are all new requests */
	uint8_t reloads; /* how many there have been, see reload.h */
	size_t drain_remaining; /* open connections that are still to be closed, see stopping.h */
	struct tls_cache *tls_cache; /* credentials for TLS peers */
	struct plugin_host host; /* for the services of plugins */
	struct site *web; /* NULL: no pages */
	struct verifier *auth; /* without users, or NULL: no authentication */
	struct admission admission;
	struct memory memory;
	struct lifetime lifetime;
	struct process_set processes; /* programs that are peers, or were */
	struct announced announced; /* addresses of the program that the daemon runs */
	struct program program; /* that one; zero: there is none */
	struct list connections;
	struct sessions sessions; /* with terms of the backend */
	struct names names; /* of peers, and what access.c keeps */
	const struct listeners *listeners;
	struct recorder *recorder;
	uint64_t next_id;
	struct shared *shared; /* counters of all workers; NULL: there is one */
	size_t worker; /* which of them this is */
	/* for messages that a framing converts; empty between two calls */
	struct websocksy_output room;
	struct log_limit_table log_limits; /* of lines that clients can cause */
};

/* The open connection's direction from the client to the peer, see to_peer.c. */
struct to_peer {
	struct websocket_parser parser;
	uint64_t bytes; /* payload */
};

/* The other direction, see to_client.c. */
struct to_client {
	struct websocksy_framing_stream framing; /* not in use before the backend has answered */
	uint64_t bytes; /* payload */
	uint64_t messages;
};

/* The times from which the deadlines of an open connection are measured, see deadlines.c. */
struct activity {
	uint64_t client_ms; /* last byte from the client */
	uint64_t data_ms; /* last data read, or taken from a queue, in either direction */
	uint64_t ping_sent_ms; /* when the unanswered ping was sent; 0: none */
};

/*
 * Bytes per second that a client has to take of a response at least. Not for open connections: a
 * service may be as slow as a serial line.
 */
#define CONNECTION_RATE_MIN 1024

/* Who sees the messages of an open connection, see tap.c. */
enum tap {
	TAP_RECORDED = 1, /* there is a recording with its number */
	TAP_SHOWN = 2 /* by characters on standard output */
};

/* One connection. Kept small: an idle one owns nothing else but its share of the peer's name. */
struct connection {
	struct stream client;
	struct stream peer; /* fd -1 before it is connected, and always for echo:// */
	struct ev_timer timer;
	union {
		struct list link; /* of env->connections */
		struct deferred_free dead; /* once it is in there no longer */
	};
	struct connection_env *env;
	union {
		struct handshake *handshake; /* until the connection is open, lingers or is dead */
		uint64_t login; /* once it is open: that of the handshake */
	};
	uint64_t id;
	uint64_t since_ms; /* accepted; from the upgrade on: opened */
	union address address; /* the client's; once a trusted proxy has told it, the real one */
	uint8_t phase;
	uint8_t reloads; /* env->reloads, unless it has to be told about the last one */
	uint8_t tls : 2; /* enum address_tls of the listening socket */
	bool over_limit : 1; /* above the limit on connections: its request is answered with 503 */
	bool counted : 1; /* counts for its address, see admission.c */
	bool proxied : 1; /* by a trusted proxy: counted when `address` is the real one */
	bool upgraded : 1; /* 101 has been sent */
	bool loopback : 1; /* echo://: there is no peer stream, messages go back to the client */
	bool close_sent : 1;
	bool peer_ended : 1; /* end or error of the peer has been seen and dealt with */
	bool keepalive : 1; /* the peer's socket has been told, see deadlines.c */
	bool ping_queued : 1; /* the unanswered ping waited behind data that a slow client takes */
	bool partial_is_input : 1;
	bool converts : 1; /* messages of the peer take the way through convert.c */
	bool encodes : 1; /* so is what is sent of one of the client */
	uint8_t tapped : 2; /* enum tap: the messages are recorded or shown */
	uint32_t in_message : 1; /* a part of one of the client has been encoded, not the last */
	uint32_t noted : 1; /* why it ends is known; from then on no ping is kept */
	uint32_t bound : 1; /* it has a time or a key, see sessions.c */
	uint32_t connect_ms : 23; /* for the log: from the question to the backend to the upgrade */
	uint32_t partial_type : 4; /* of `partial` if the peer ended now; 0: not asked */
	uint32_t legacy : 2; /* enum legacy_version: its frames are not those of RFC 6455 */
	uint32_t unseen; /* bytes at the end of `partial` that the framing has not seen */
	union { /* owned */
		/* newest unanswered ping: its length, then its payload; mostly NULL */
		uint8_t *kept_ping;
		struct closing_note *note; /* once `noted` is set, for the log: why it ends */
	};
	/*
	 * For the log: the peer's address, see connection_name_peer(). From the upgrade on there
	 * may be more behind its NUL, see access.c.
	 */
	const char *peer_name;
	struct backend *backend; /* the framing may be its code */
	/*
	 * Stream peer: bytes of an incomplete message from the peer. Datagram and echo: an
	 * incomplete message from the client, or with `partial_is_input` frames of the client that
	 * have not been parsed. Never two of them.
	 */
	struct dynbuf partial;
	struct to_peer to_peer;
	struct to_client to_client;
	union {
		struct activity activity; /* from the upgrade on */
		uint64_t taken_by_ms; /* CONNECTION_LINGER behind a response: it ends then */
	};
};

/*
 * Makes a connection of an accepted socket (owned from here on, closed on failure) in
 * CONNECTION_HEAD. NULL: no memory. `env` outlives it.
 */
struct connection *connection_new(
	struct connection_env *env, int fd, const struct sockaddr *address, socklen_t len);

/* Stops the loop if the daemon is to stop and nothing is left: no connection, no process. */
void connection_check_end(struct connection_env *env);

/* The stream_fn of `peer`: hands its events to the phase. */
void connection_peer_event(struct stream *stream, unsigned events);

/*
 * Sets the peer's name to a copy of `text`; there must be none yet. Connections to the same peer
 * that follow each other share it. 0 or -ENOMEM.
 */
int connection_name_peer(struct connection *connection, const char *text);

/*
 * The one destructor: ends everything at once, from any phase. A peer that has not been given
 * everything that the client sent gets a reset. The memory stays until the end of the turn.
 */
void connection_close(struct connection *connection);

/* The same for each that there is. */
void connection_close_all(struct connection_env *env);

/* Changes the phase; the transition must be in the table. The deadline is the caller's. */
void connection_enter(struct connection *connection, enum connection_phase phase);

/* Arms the one timer for `due_ms` on the loop's clock. */
void connection_set_deadline(struct connection *connection, uint64_t due_ms);

/*
 * CONNECTION_LINGER: what is queued goes out on both sides, their write sides are shut down, input
 * is thrown away until they end (so that no reset destroys what is in flight), then the connection
 * is closed. The deadline is `close-timeout` in which neither side takes anything; behind a
 * response the client also has to keep CONNECTION_RATE_MIN. The client's side may be closed
 * already.
 */
void connection_linger(struct connection *connection);

/* CONNECTION_LINGER, for the table of phases. */
void connection_linger_client(struct connection *connection, unsigned events);
void connection_linger_peer(struct connection *connection, unsigned events);
void connection_linger_deadline(struct connection *connection);
void connection_linger_shutdown(struct connection *connection);

/*
 * Has the other side of an open stream taken bytes of ours within the last `patience_ms`, so that a
 * deadline may wait until `*due_ms`?
 */
bool connection_progresses(struct stream *stream, uint64_t patience_ms, uint64_t *due_ms);

/* The same, but only while there is something left that it has not taken. */
bool connection_drains(struct stream *stream, uint64_t patience_ms, uint64_t *due_ms);

/* Has the client sent bytes that have not been read? */
bool connection_has_input(const struct connection *connection);

/*
 * Closes the peer's side with a reset instead of an end, because not everything that the client has
 * sent reaches it: it must not take the rest for all. (A Unix socket, a datagram socket and a fifo
 * cannot tell the difference.)
 */
void connection_reset_peer(struct connection *connection);

/* Logs a line that begins with the connection's number and its client. */
void connection_log(const struct connection *connection, enum log_level level, const char *format,
	...) __attribute__((format(printf, 3, 4)));

/*
 * The same, for events that clients can cause: limited by kind and address, see log_limit_client().
 */
void connection_log_limited(struct connection *connection, enum log_kind kind, enum log_level level,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
