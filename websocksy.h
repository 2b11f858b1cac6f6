/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The plugin interface of websocksy, API version 1: what a backend (choosing the peer of a
 * connection) or a framing function (cutting a peer's byte stream into WebSocket messages) may use.
 * The core itself keeps its internals elsewhere. How to write a plugin: docs/plugins.md.
 */
#ifndef WEBSOCKSY_HEADER_INCLUDED
#define WEBSOCKSY_HEADER_INCLUDED
#include <stdint.h>
#include <stdlib.h>

/*
 * Plugins written for the first releases may rely on these two being included here. Nothing below
 * needs them, so plugins can be built without the headers of nettle.
 */
#if defined(__has_include)
#if __has_include(<nettle/sha1.h>) && __has_include(<nettle/base64.h>)
#include <nettle/base64.h>
#include <nettle/sha1.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The value that init() of a backend returns; with another one the backend is not loaded. */
#define WEBSOCKSY_API_VERSION 1
#define WEBSOCKSY_VERSION "0.9.0"

/* Sizes of the arrays in `websocket` below. The core's own limits are larger. */
#define WS_MAX_LINE 16384
#define PEER_BUFFER_SIZE 16384
#define WS_HEADER_LIMIT 10

/* The state of a connection. query() is always called in ws_http. */
typedef enum {
	ws_new = 0,
	ws_http,
	ws_open,
	ws_closed
} ws_state;

/*
 * Frame opcodes, RFC 6455 section 5.2. Framing functions choose between text and binary; with
 * ws_frame_discard the bytes that they return are cut off, but not sent.
 */
typedef enum {
	ws_frame_continuation = 0,
	ws_frame_text = 1,
	ws_frame_binary = 2,
	ws_frame_close = 8,
	ws_frame_ping = 9,
	ws_frame_pong = 10,
	ws_frame_discard = 11
} ws_operation;

/* Close codes, RFC 6455 section 7.4.1 (ws_close_http: not a code on the wire). */
typedef enum {
	ws_close_http = 100,
	ws_close_normal = 1000,
	ws_close_shutdown = 1001,
	ws_close_proto = 1002,
	ws_close_data = 1003,
	ws_close_format = 1007,
	ws_close_policy = 1008,
	ws_close_limit = 1009,
	ws_close_unexpected = 1011
} ws_close_reason;

/* One header field of the request, as received: names keep their case (compare with strcasecmp). */
typedef struct /*_ws_http_header*/ {
	char *tag;
	char *value;
} ws_http_header;

/*
 * A framing function: decides how many bytes at the start of `data` are one message.
 *
 * It is called after each successful read from the peer, and again after each message that it cut
 * off while bytes remain. It is never called from two threads.
 *
 *   data          `length` bytes (at least one), contiguous and writable, with a NUL behind them;
 *                 the core's, valid during the call. NULL: see below.
 *   last_read     how many bytes at the end of `data` are new since this message was looked at the
 *                 last time. `length - last_read` bytes need not be searched again.
 *   opcode        ws_frame_binary before each call; set it to ws_frame_text for a text message, or to
 *                 ws_frame_discard for bytes that the client does not get. Set together with a
 *                 result of 0 it tells the type of what is left over if the peer closes now.
 *   framing_data  *framing_data is NULL on the first call for a connection and then the function's
 *                 own. If it is not NULL when the connection ends, the function is called once more
 *                 with `data` NULL, `length` and `last_read` 0, and frees it.
 *   config        the configuration string of this connection, "" if there is none; the core's.
 *
 * Returns the length of the message (1 to `length`), 0 if more bytes are needed. A negative number,
 * or one above `length`, is an error: the connection is closed with 1011.
 */
typedef int64_t (*ws_framing)(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config);

/*
 * Optional companion of a framing function: is this configuration usable?
 *
 * Returns NULL if it is, otherwise a static string that says what would be right. Called before any
 * connection uses the configuration, so that an error is a message at start and not a broken
 * session.
 */
typedef const char *(*ws_framing_check)(const char *config);

/*
 * The transport to a peer. `detect` means the scheme in front of the host (tcp:// without one), and
 * is the only way to use schemes that are not listed: tls://, echo://.
 */
typedef enum {
	peer_transport_detect,
	peer_tcp_client,
	peer_udp_client,
	peer_fifo_tx,
	peer_fifo_rx,
	peer_unix_stream,
	peer_unix_dgram
} peer_transport;

/*
 * A backend's answer. `host`, `port` and `framing_config` are NULL or come from malloc; the core
 * frees them.
 */
typedef struct /*_ws_peer_info*/ {
	peer_transport transport;
	/* address, or path for the Unix and fifo transports; NULL: the connection is refused */
	char *host;
	char *port; /* NULL where the host names it or the transport has none */
	ws_framing framing; /* NULL: auto */
	char *framing_config; /* NULL: "" */
	size_t protocol; /* index into the offered subprotocols; their number or more: none */
} ws_peer_info;

/*
 * The connection that a query() is about, as a view: the core fills it before each query(), and it
 * is invalid when query() returns. Writing to it changes nothing.
 */
typedef struct /*_web_socket*/ {
	int ws_fd;
	uint8_t read_buffer[WS_MAX_LINE]; /* zeroes */
	size_t read_buffer_offset; /* 0 */
	ws_state state;
	size_t headers; /* as many as fit into header[]; query() is passed all of them */
	ws_http_header header[WS_HEADER_LIMIT];
	char *request_path;
	unsigned websocket_version;
	char *socket_key;
	unsigned want_upgrade;
	size_t protocols;
	char **protocol;
	ws_peer_info peer; /* zeroes */
	int peer_fd; /* -1 */
	uint8_t peer_buffer[PEER_BUFFER_SIZE]; /* zeroes */
	size_t peer_buffer_offset; /* 0 */
	void *peer_framing_data; /* NULL */
} websocket;

/*
 * A backend is a shared object backend_<name>.so that exports `init` and `query` and may export
 * `configure` and `cleanup`, with these types.
 */

/* Called once after loading. Returns the WEBSOCKSY_API_VERSION that the backend was built with. */
typedef uint64_t (*ws_backend_init)(void);

/*
 * Called for each option, in order; the strings are valid during the call. 0: accepted; otherwise
 * the option is an error in the configuration.
 */
typedef uint64_t (*ws_backend_configure)(char *key, char *value);

/*
 * Called once for each connection that requests an upgrade, and returns its peer. It must not
 * block: no other connection is served meanwhile. All strings are private copies that it may
 * change, valid during the call. `endpoint` is the request target with its query string. `protocol`
 * holds the subprotocols that the client offers, in its order.
 */
typedef ws_peer_info (*ws_backend_query)(char *endpoint, size_t protocols, char **protocol,
	size_t headers, ws_http_header *header, websocket *ws);

/*
 * Optional, exported as `websocksy_check`: called after the last option. NULL; or, if all clients
 * would be refused with these options, a static text that begins with the name of the option to be
 * corrected. The daemon logs it as a warning when it starts, and `websocksy -t` fails.
 */
typedef const char *(*ws_backend_check)(void);

/* Called once when the backend is no longer needed. */
typedef void (*ws_backend_cleanup)(void);

typedef struct /*_ws_backend*/ {
	ws_backend_init init;
	ws_backend_configure config;
	ws_backend_query query;
	ws_backend_cleanup cleanup;
} ws_backend;

#define WEBSOCKSY_API __attribute__((visibility("default")))

/*
 * Functions of the core for plugins. All of them are called from the main thread of the daemon
 * only.
 */

/*
 * The framing function registered under `name`; NULL, with a line in the log, if there is none.
 * core_framing(NULL) is `auto`.
 */
WEBSOCKSY_API ws_framing core_framing(char *name);

/*
 * Registers `func` as `name` (copied; letters, digits, `_`, `-`). To be called while the plugin is
 * being loaded, from a function with __attribute__((constructor)). Returns 0, or 1 with a line in
 * the log if the name is taken or invalid.
 */
WEBSOCKSY_API int core_register_framing(char *name, ws_framing func);

/*
 * Adds a check of configurations to a registered framing function. Returns 0, or 1 for an unknown
 * name.
 */
WEBSOCKSY_API int core_register_framing_check(char *name, ws_framing_check check);

/*
 * query() may call it before it returns a peer with host NULL: the HTTP status (400 to 599), and
 * the line of text that the client receives instead of the default 403. `message` is copied.
 */
WEBSOCKSY_API void core_refuse(websocket *ws, unsigned status, const char *message);

/* Severity of a line in the log, as in syslog and in the option log-level. */
typedef enum {
	ws_log_error = 0,
	ws_log_warning,
	ws_log_notice,
	ws_log_info,
	ws_log_debug
} ws_log_level;

/*
 * Writes a line to the daemon's log; `format` as in printf, without a line end. It never blocks, as
 * writing to standard error may. Lines above log-level are not written, lines that a client causes
 * too often are suppressed and counted, and control characters are replaced.
 */
WEBSOCKSY_API void core_log(ws_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Lower-cases ASCII letters in place; returns `in`. */
WEBSOCKSY_API char *xstr_lower(char *in);

/* Attribute of the symbols that a backend exports, for builds with -fvisibility=hidden. */
#define WEBSOCKSY_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
}
#endif
#endif
