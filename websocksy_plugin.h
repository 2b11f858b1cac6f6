/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The plugin interface of websocksy, API version 2: framings, which convert between the byte stream
 * of a peer and WebSocket messages, and backends, which choose the peer of a client and may answer
 * later. Declarations only, C11 and C++17. How to write a plugin: docs/plugins.md. Version 1 stays
 * in websocksy.h; a plugin uses one of the two.
 *
 * A plugin is a shared object that exports one object, `websocksy_plugin`. It calls the core only
 * through the table of functions that it receives, and never blocks.
 */
#ifndef WEBSOCKSY_PLUGIN_HEADER_INCLUDED
#define WEBSOCKSY_PLUGIN_HEADER_INCLUDED
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEBSOCKSY_PLUGIN_API 2
#define WEBSOCKSY_ERROR_MAX 512 /* size of texts for errors in the configuration */

#ifndef WEBSOCKSY_EXPORT
#define WEBSOCKSY_EXPORT __attribute__((visibility("default")))
#endif

/*
 * Structures that begin with `size` carry their size at the time of compilation: fields are only
 * ever added at their end, and one that is not covered by `size` counts as zero. Zero is the
 * default of every field that is not called required.
 */

struct websocksy_core;

/* ---- framings ---- */

enum websocksy_type {
	WEBSOCKSY_TEXT = 1,
	WEBSOCKSY_BINARY = 2,
	WEBSOCKSY_DISCARD = 11 /* only decode(): the client does not get the bytes */
};

/* A buffer of the core to which a framing appends. Use websocksy_append() or both steps of it. */
struct websocksy_output {
	uint8_t *data;
	size_t len;
	size_t cap;
	/* Makes room for `more` bytes at data + len, which may move `data`. 0 or -ENOMEM. */
	int (*reserve)(struct websocksy_output *output, size_t more);
};

/* One connection's use of a framing. The first two fields are the core's. */
struct websocksy_framing_stream {
	const struct websocksy_framing *framing;
	const char *config; /* "" if there is none; valid until close() has returned */
	void *state; /* the framing's own; NULL before open() */
};

/* Bytes of the peer that have not been taken. */
struct websocksy_input {
	uint8_t *data; /* contiguous, writable, with a NUL behind; valid during the call */
	size_t len; /* at least 1, except of an empty datagram */
	size_t fresh; /* bytes at the end that earlier calls for this message have not seen */
	bool end; /* the peer has closed: nothing follows */
	bool datagram; /* `data` is a whole datagram: it is one message, and a stream of its own */
	struct websocksy_output *room; /* empty at each call: for payload that is not in `data` */
};

/* The message that decode() has found. */
struct websocksy_message {
	/* Binary before the call; at the end without new bytes, as the last call has left it. */
	enum websocksy_type type;
	/*
	 * Its payload: within the input, in input->room, or in memory of the framing that stays as
	 * it is until the next call. NULL (so before the call): the bytes that are taken.
	 */
	uint8_t *data;
	size_t len;
};

/* A part of a message of the client. */
struct websocksy_part {
	uint8_t *data; /* writable, valid during the call */
	size_t len; /* may be 0 */
	bool first; /* the message begins with this part */
	bool last; /* it ends with this part */
	enum websocksy_type type; /* of the message: text or binary */
	uint64_t total; /* first part: length of the message; WEBSOCKSY_UNKNOWN: it will be seen */
};

#define WEBSOCKSY_UNKNOWN UINT64_MAX

/* Values of websocksy_framing.flags */
/* The payload of text messages is always valid UTF-8. Otherwise the core validates it. */
#define WEBSOCKSY_TEXT_IS_VALID 1u
/* It does not wait for more than the next character: max-message does not limit it. */
#define WEBSOCKSY_NEVER_WAITS 2u
/* encode() needs `total`: messages in several frames are collected first, up to max-message. */
#define WEBSOCKSY_NEEDS_TOTAL 4u

struct websocksy_framing {
	size_t size; /* sizeof(struct websocksy_framing) */
	const char *name; /* required; letters, digits, _ and - */
	const char *description; /* one line */
	const char *config; /* one line about the configuration; NULL: it has none */
	const void *data; /* the plugin's own */
	unsigned flags;
	/* NULL: `config` is usable; or static text about the correct form. Missing: any is. */
	const char *(*check)(const struct websocksy_framing *framing, const char *config);
	/* Prepares stream->state. 0 or -ENOMEM. Missing: there is no state. */
	int (*open)(struct websocksy_framing_stream *stream, const struct websocksy_core *core);
	/*
	 * Required. Finds the first message: the number of bytes of the input that it takes (1 to
	 * input->len); 0: it is not complete (message->type then is that of what is left, if the
	 * peer closes now); negative errno: the connection is closed with 1011, for -EMSGSIZE with
	 * 1009.
	 */
	int64_t (*decode)(struct websocksy_framing_stream *stream, struct websocksy_input *input,
		struct websocksy_message *message);
	/*
	 * Appends the bytes for the peer to `output`. 0; -EBADMSG: the message is invalid (the
	 * client is closed with 1007); -EMSGSIZE: too large (1009); -ENOMEM. Missing: the peer
	 * receives the payload.
	 */
	int (*encode)(struct websocksy_framing_stream *stream, const struct websocksy_part *part,
		struct websocksy_output *output);
	/* Frees stream->state, which is not NULL. */
	void (*close)(struct websocksy_framing_stream *stream);
};

/* ---- backends ---- */

/* An option, for `websocksy --plugins`, for errors about unknown options, and for the defaults. */
struct websocksy_option {
	const char *name; /* NULL ends the list */
	const char *value; /* the default; NULL: none */
	const char *description; /* one line */
};

/*
 * A client that waits for its peer. It is valid from query() until it is answered or cancelled:
 * exactly one of answer(), refuse(), and cancel().
 */
struct websocksy_query {
	void *state; /* the backend's own; NULL at first */
	const struct websocksy_core *core; /* of the instance */
};

/* The core copies the texts. */
struct websocksy_answer {
	size_t size; /* sizeof(struct websocksy_answer) */
	const char *const *peer; /* addresses as in the option host; tried in order */
	size_t peers; /* required: at least 1 */
	const char *framing; /* its name; NULL: as the option `framing` says */
	const char *framing_config; /* NULL: as the option `framing-config` says */
	const char *protocol; /* the subprotocol; NULL: as the option `protocol` says; "": none */
	int64_t expires; /* Unix time at which the connection is closed with 1008; 0: never */
	const char *session; /* key for max-per-key and the log; NULL: none */
	const void *prelude; /* bytes that the peer receives first; NULL: none */
	size_t prelude_len;
	/* The peer's reply to it ends with this text, and is removed. NULL: there is no reply. */
	const char *reply_end;
	const char *reply_has; /* text that the first line of the reply contains; NULL: any */
	/* The answer is used again for cached() with the same key, for so long. NULL, 0: not. */
	const char *cache_key;
	uint64_t cache_ms;
	const char *port; /* of peers whose address names none; NULL: such an address is an error */
};

/* Values of websocksy_backend.flags */
/* Answers come from outside: without the option `schemes` only tcp and tls peers are accepted. */
#define WEBSOCKSY_REMOTE 1u

/* A result of check(): usable, but every client would be refused. */
#define WEBSOCKSY_REFUSES_ALL 1

struct websocksy_backend {
	size_t size; /* sizeof(struct websocksy_backend) */
	const char *name; /* required; the value of the option `backend` */
	const char *description; /* one line */
	const struct websocksy_option *options; /* its own; the last row has no name */
	unsigned flags;
	/*
	 * Makes an instance. One for each configuration, several at once during a reload. `core`
	 * is valid until close() has returned. 0 and `*state`, or -ENOMEM.
	 */
	int (*open)(const struct websocksy_core *core, void **state);
	/*
	 * One of `options`, in order; an option may come several times. 0, -ENOMEM, or -EINVAL
	 * with the correct form in `error`, as in "must be a port from 1 to 65535". Missing: any
	 * value is usable, see option().
	 */
	int (*configure)(
		void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]);
	/*
	 * After the last option: 0, -ENOMEM, or with a line in `error` that begins with the name
	 * of the option to be corrected: -EINVAL, or WEBSOCKSY_REFUSES_ALL.
	 */
	int (*check)(void *state, char error[WEBSOCKSY_ERROR_MAX]);
	/* Required. A client asks for its peer; answered now or later. */
	void (*query)(void *state, struct websocksy_query *query);
	/* The client has gone or waits for too long: ends everything that belongs to the query. */
	void (*cancel)(void *state, struct websocksy_query *query);
	/* No query is left. Ends everything and frees the state. */
	void (*close)(void *state);
	/* The default of the option `protocol`, see docs/plugins.md; NULL: "*". */
	const char *protocol;
};

/* ---- the plugin ---- */

struct websocksy_plugin {
	unsigned api; /* WEBSOCKSY_PLUGIN_API */
	size_t size; /* sizeof(struct websocksy_plugin) */
	const char *name; /* required */
	const char *version; /* required */
	const char *description; /* one line */
	const struct websocksy_framing *const *framings; /* the last one is NULL */
	const struct websocksy_backend *const *backends; /* the last one is NULL */
};

/* Defined by the plugin. */
WEBSOCKSY_EXPORT extern const struct websocksy_plugin websocksy_plugin;

/* ---- services of the core ---- */

enum websocksy_level {
	WEBSOCKSY_ERROR = 0,
	WEBSOCKSY_WARNING,
	WEBSOCKSY_NOTICE,
	WEBSOCKSY_INFO,
	WEBSOCKSY_DEBUG
};

struct websocksy_timer;
struct websocksy_watch;
struct websocksy_lookup;
struct websocksy_stream;

#define WEBSOCKSY_READABLE 1u
#define WEBSOCKSY_WRITABLE 2u

/* The result of a lookup; valid during the call. */
struct websocksy_addresses {
	const char *error; /* NULL: found */
	size_t count; /* at least 1 if it was found */
	const char *const *address; /* "192.0.2.1", "2001:db8::1", in order of preference */
};

/* What happens on a stream; valid during the call. */
enum websocksy_event_kind {
	WEBSOCKSY_CONNECTED, /* and the TLS handshake is done */
	WEBSOCKSY_DATA,
	WEBSOCKSY_END /* the last event, also if it was never connected */
};
struct websocksy_event {
	enum websocksy_event_kind kind;
	const uint8_t *data; /* WEBSOCKSY_DATA */
	size_t len;
	const char *error; /* WEBSOCKSY_END: why; NULL: the other side has closed */
};

typedef void websocksy_timer_fn(void *ctx);
typedef void websocksy_watch_fn(void *ctx, unsigned events);
typedef void websocksy_lookup_fn(void *ctx, const struct websocksy_addresses *addresses);
typedef void websocksy_stream_fn(void *ctx, const struct websocksy_event *event);

/*
 * The functions of the core for one instance of a backend, or for the framings of a plugin; only
 * from the thread that calls the plugin. No function calls the plugin back before it returns. The
 * functions that begin something return NULL if there is no memory. Timers, watches, lookups and
 * streams can be had from the first query on; what is left of them is ended after close().
 */
struct websocksy_core {
	size_t size; /* of the table; newer cores have more functions */

	/* A line in the log, limited like those of clients; never tokens or passwords. */
	void (*log)(const struct websocksy_core *core, enum websocksy_level level,
		const char *format, ...) __attribute__((format(printf, 3, 4)));
	/*
	 * Counts memory that clients cause towards max-memory: before it is allocated, and with a
	 * negative number when it has been freed. 0, or -ENOMEM: the limit is reached, not counted.
	 */
	int (*account)(const struct websocksy_core *core, ptrdiff_t bytes);

	/*
	 * Text of the request; valid as long as the query; NULL: there is none. `source` is one of
	 *   path, query          as received, the query without its `?`
	 *   query:NAME           a parameter of the query, decoded
	 *   host                 the first label of the host name of the request
	 *   header:NAME          a header field; several are joined by ", "
	 *   cookie:NAME, bearer  a cookie; the token of Authorization: Bearer
	 *   user, client         the authenticated user; the client's address without port
	 *   protocols            the subprotocols that the client offers, joined by ", "
	 */
	const char *(*find)(struct websocksy_query *query, const char *source);
	/* Is `source` one of these? NULL, or static text about the correct form. */
	const char *(*check_source)(const char *source);
	/* Is this the address of a peer, as in the option host? NULL, or static text. */
	const char *(*check_address)(const char *address);

	/* The end of a query, see struct websocksy_query. */
	void (*answer)(struct websocksy_query *query, const struct websocksy_answer *answer);
	/* `status` from 400 to 599; `text`: one line for the client. */
	void (*refuse)(struct websocksy_query *query, unsigned status, const char *text);
	/* Answers the query if there is an answer that was given with this cache_key. */
	bool (*cached)(struct websocksy_query *query, const char *key);

	/* Calls `fn` once, after `ms` milliseconds; the timer is gone then. */
	struct websocksy_timer *(*timer)(
		const struct websocksy_core *core, uint64_t ms, websocksy_timer_fn *fn, void *ctx);
	void (*timer_stop)(struct websocksy_timer *timer);

	/* Calls `fn` while the descriptor is ready for `events`; closing it is the plugin's. */
	struct websocksy_watch *(*watch)(const struct websocksy_core *core, int fd, unsigned events,
		websocksy_watch_fn *fn, void *ctx);
	void (*watch_stop)(struct websocksy_watch *watch);

	/* Looks up the addresses of a host, or of an address itself. Calls `fn` once; gone then. */
	struct websocksy_lookup *(*lookup)(const struct websocksy_core *core, const char *host,
		websocksy_lookup_fn *fn, void *ctx);
	void (*lookup_stop)(struct websocksy_lookup *lookup);

	/*
	 * Connects to an address as in the option host: tcp://, unix://, or tls:// with its
	 * parameters. Limited by connect-timeout. Errors, in the address too, come as event.
	 */
	struct websocksy_stream *(*connect)(const struct websocksy_core *core, const char *address,
		websocksy_stream_fn *fn, void *ctx);
	/*
	 * Sends all bytes, which are copied if necessary. After WEBSOCKSY_CONNECTED. 0; -ENOMEM; a
	 * broken stream shows by its end.
	 */
	int (*write)(struct websocksy_stream *stream, const void *data, size_t len);
	/* Due once for each stream, after its end too; possible during its function. */
	void (*close)(struct websocksy_stream *stream);

	/*
	 * The last value of an option of the backend, or its default; NULL: neither. Valid until
	 * the next value, or until the backend's close() has returned.
	 */
	const char *(*option)(const struct websocksy_core *core, const char *name);

	/*
	 * The value of the header field `index`, from 0, as received, and its name; valid as long
	 * as the query. NULL: there are no more.
	 */
	const char *(*field)(struct websocksy_query *query, size_t index, const char **name);
};

/* ---- helpers ---- */

/* Appends `len` bytes. 0 or -ENOMEM. */
static inline int websocksy_append(struct websocksy_output *output, const void *data, size_t len) {
	if(output->cap - output->len < len) {
		int result = output->reserve(output, len);
		if(result) {
			return result;
		}
	}
	if(len > 0) {
		memcpy(output->data + output->len, data, len);
	}
	output->len += len;
	return 0;
}

/* Answers with one peer; everything else is as the options say. */
static inline void websocksy_answer_peer(struct websocksy_query *query, const char *peer) {
	struct websocksy_answer answer;
	memset(&answer, 0, sizeof(answer));
	answer.size = sizeof(answer);
	answer.peer = &peer;
	answer.peers = 1;
	query->core->answer(query, &answer);
}

/*
 * Answers with the peer whose address is a line, of `len` bytes with or without its end; with 502
 * if it is not a line of text.
 */
static inline void websocksy_answer_line(
	struct websocksy_query *query, const void *line, size_t len) {
	const char *text = (const char *)line;
	char peer[WEBSOCKSY_ERROR_MAX];
	if(len > 0 && text[len - 1] == '\n') {
		len -= len > 1 && text[len - 2] == '\r' ? 2 : 1;
	}
	if(len == 0 || len >= sizeof(peer) || memchr(text, '\n', len) || memchr(text, 0, len)) {
		query->core->refuse(query, 502, "the lookup has failed");
		return;
	}
	memcpy(peer, text, len);
	peer[len] = '\0';
	websocksy_answer_peer(query, peer);
}

/* Define `websocksy_plugin` for a plugin with one framing or one backend; both are addresses. */
#define WEBSOCKSY_PLUGIN_WITH_FRAMING(name, version, framing)                                      \
	static const struct websocksy_framing *const websocksy_framings[] = {framing, NULL};       \
	const struct websocksy_plugin websocksy_plugin = {WEBSOCKSY_PLUGIN_API,                    \
		sizeof(struct websocksy_plugin), name, version, NULL, websocksy_framings, NULL}
#define WEBSOCKSY_PLUGIN_WITH_BACKEND(name, version, backend)                                      \
	static const struct websocksy_backend *const websocksy_backends[] = {backend, NULL};       \
	const struct websocksy_plugin websocksy_plugin = {WEBSOCKSY_PLUGIN_API,                    \
		sizeof(struct websocksy_plugin), name, version, NULL, NULL, websocksy_backends}

#ifdef __cplusplus
}
#endif
#endif
