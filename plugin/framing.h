/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing object: it cuts the byte stream of a peer into WebSocket messages, and may convert
 * messages in both directions. Also the registry of framings by name, and the adapter that makes an
 * object of a version 1 function.
 */
#ifndef WEBSOCKSY_PLUGIN_FRAMING_H
#define WEBSOCKSY_PLUGIN_FRAMING_H
#include "base/dynbuf.h"
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct framing;

/* One connection's use of a framing. Zeroed: not in use. */
struct framing_stream {
	const struct framing *framing;
	char *config; /* owned, from malloc; NULL: "" */
	void *state; /* the framing's own */
};

/* Bytes of the peer that have not been returned as messages. */
struct framing_input {
	uint8_t *data; /* contiguous, writable, with a NUL after the last byte; the caller's */
	size_t len; /* at least 1 */
	size_t fresh; /* bytes at the end of `data` that this message's earlier calls did not see */
	bool end; /* nothing follows; the next call is about another stream */
};

/* A message that is converted, or a part of one. */
struct framing_message {
	uint8_t *data; /* writable */
	size_t len;
	bool text;
	bool first; /* on the way to the peer: the message begins with this part */
	bool last; /* and ends with it */
};

struct framing {
	const char *name;
	/* Messages that are called text are valid UTF-8. */
	bool validates_text;
	/* It never waits for more than the next character: a read of any size is a message. */
	bool never_waits;
	/* Is `config` usable? NULL, or a static text that describes the correct form. NULL here:
	 * every configuration is. */
	const char *(*check)(const struct framing *framing, const char *config);
	/* Prepares `state`; `framing` and `config` are set and have been checked. 0 or -ENOMEM;
	 * -EINVAL for a configuration that the check would not accept. NULL here: nothing to do. */
	int (*open)(struct framing_stream *stream);
	/*
	 * Returns the length of the first message in `input` (1 to `len`) and its type:
	 * ws_frame_binary, ws_frame_text, or ws_frame_discard for bytes that the client does not
	 * get. 0: it is not complete; `*type` then is that of what is left if the peer ends now.
	 * Negative: see framing_reason(). `*type` is ws_frame_binary before the first call for a
	 * message; a call with `fresh` 0 finds the value that the last one left.
	 */
	ssize_t (*decode)(struct framing_stream *stream, const struct framing_input *input,
		ws_operation *type);
	/*
	 * Makes the payload of a message of the bytes that decode() has returned: changes `data`,
	 * `len` and `text`. The result is a part of these bytes, or is appended to `room`, which is
	 * not empty and valid until the next call. 0, or negative: see framing_reason(). NULL here:
	 * the payload is the bytes.
	 */
	int (*payload)(struct framing_stream *stream, struct framing_message *message,
		struct dynbuf *room);
	/*
	 * Appends to `out` what the peer gets of the next part of a client's message. The parts of
	 * a message come in order, as they are received; a part is empty only if it is the last
	 * one. 0; -EBADMSG: the message is not valid (the client is told so, 1007); -EMSGSIZE: it
	 * is too large; -ENOMEM. NULL here: the peer gets the payload.
	 */
	int (*encode)(struct framing_stream *stream, const struct framing_message *part,
		struct dynbuf *out);
	/* Frees `state`. NULL here: there is never any. */
	void (*close)(struct framing_stream *stream);
};

/* The arguments of a version 1 function. */
struct framing_call {
	uint8_t *data;
	size_t length;
	size_t last_read;
	ws_operation *opcode;
	void **framing_data;
	const char *config;
};

/* The plugin or backend whose code registers functions; part of the object that keeps the code. */
struct framing_owner {
	bool is_backend; /* its framings are found by itself alone */
};

/*
 * Begins a connection's use of `framing` with `config` (from malloc, NULL: ""; owned by the stream
 * in every case). 0, -ENOMEM or -EINVAL; framing_close() is due either way.
 */
int framing_open(struct framing_stream *stream, const struct framing *framing, char *config);

/* Ends it and frees its memory. Does nothing to a stream that is not in use. */
void framing_close(struct framing_stream *stream);

/* The configuration of a stream, "" if there is none. */
const char *framing_config(const struct framing_stream *stream);

/* Is `config` (NULL: "") usable? NULL, or a static text that describes the correct form. */
const char *framing_check(const struct framing *framing, const char *config);

/* A static text for a negative result of decode(), to follow the framing's name. */
const char *framing_reason(ssize_t result);

/*
 * The framing registered under `name` (NULL: auto): one of the program or of a framing plugin, or
 * of the backend whose code is running. NULL: there is none; not logged. Valid as long as what
 * registered it.
 */
const struct framing *framing_find(const char *name);

/*
 * The framing of a function that a backend has returned (NULL: auto); `owner` is that backend's. A
 * function that is not registered gets an object without a check, which is `owner`'s. NULL: no
 * memory.
 */
const struct framing *framing_of_function(ws_framing function, const struct framing_owner *owner);

/*
 * Registers a framing of the program. `framing` is static; `function` is what core_framing() gives
 * for it, see framing_call(). 0 or -ENOMEM.
 */
int framing_register(const struct framing *framing, ws_framing function);

/* The function by which version 1 plugins call this framing. */
ws_framing framing_function(const struct framing *framing);

/*
 * Calls a framing of the program as version 1 describes it. That interface has no argument for the
 * object, so each such framing needs a function of its own, which calls this one.
 */
int64_t framing_call(const struct framing *framing, const struct framing_call *call);

/*
 * core_register_framing() and core_register_framing_check() without their log lines. `name` is
 * copied. 0; -EEXIST: the name is taken; -ENOENT: the current owner has not registered the name;
 * -ENOMEM.
 */
int framing_register_function(const char *name, ws_framing function);
int framing_register_check(const char *name, ws_framing_check check);

/*
 * Code of `owner` is about to run (NULL: has returned): it owns the functions registered from now
 * on.
 */
void framing_set_owner(const struct framing_owner *owner);

/* Removes the framings of `owner` (NULL: the program). No stream uses them any more. */
void framing_drop(const struct framing_owner *owner);
#endif
