/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The WebSocket codec (RFC 6455) without file descriptors: parsing and unmasking of the frames of
 * clients, and the headers of frames that the server sends. Close frames and the handshake's keys
 * are in websocket/.
 */
#ifndef WEBSOCKSY_WEBSOCKET_H
#define WEBSOCKSY_WEBSOCKET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opcodes, section 5.2. */
enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10
};

/* Close codes, section 7.4.1. */
enum websocket_code {
	WEBSOCKET_CODE_NONE = 0, /* a close frame without a payload */
	WEBSOCKET_CODE_NORMAL = 1000,
	WEBSOCKET_CODE_GOING_AWAY = 1001,
	WEBSOCKET_CODE_PROTOCOL = 1002,
	WEBSOCKET_CODE_UNSUPPORTED = 1003,
	WEBSOCKET_CODE_NO_STATUS = 1005, /* stands for a close frame without a code */
	WEBSOCKET_CODE_ABNORMAL = 1006, /* stands for no close frame */
	WEBSOCKET_CODE_INVALID_DATA = 1007,
	WEBSOCKET_CODE_POLICY = 1008,
	WEBSOCKET_CODE_TOO_BIG = 1009,
	WEBSOCKET_CODE_INTERNAL = 1011,
	WEBSOCKET_CODE_RESTART = 1012, /* registered with IANA: the service restarts */
	WEBSOCKET_CODE_TRY_AGAIN = 1013 /* registered with IANA: a temporary overload */
};

#define WEBSOCKET_HEADER_MAX 10 /* header that a server sends: no mask */
#define WEBSOCKET_CLIENT_HEADER_MAX 14 /* header that a client sends */
#define WEBSOCKET_CONTROL_MAX 125 /* payload of a control frame, section 5.5 */

/* Why websocket_parse() has stopped. */
enum websocket_result {
	WEBSOCKET_MORE, /* all input is used up */
	WEBSOCKET_MESSAGE, /* a data message has ended (only with `whole` set) */
	WEBSOCKET_CONTROL, /* a control frame is complete */
	WEBSOCKET_BAD /* the client has violated the protocol; see `code` and `error` */
};

/*
 * State of one client's stream of frames. Initialised by zero; websocket_parser_free() at the end.
 * Small, as each connection has one.
 */
struct websocket_parser {
	union {
		uint64_t payload_left; /* of the frame whose payload is arriving */
		const char *error; /* with WEBSOCKET_BAD, after which nothing is parsed; static */
	};
	uint64_t messages; /* data messages that have ended */
	uint8_t *control; /* payload so far of a control frame that is cut; mostly NULL */
	uint32_t utf8; /* state of the running text message */
	uint16_t code; /* with WEBSOCKET_BAD: the close code that says so */
	uint8_t header[WEBSOCKET_CLIENT_HEADER_MAX]; /* a header that a read has cut */
	uint8_t header_len; /* how much of it is there */
	uint8_t mask[4]; /* rotated to the next payload byte */
	uint8_t opcode; /* of the frame whose payload is arriving */
	uint8_t message; /* opcode of the message that runs or has just ended; 0: none yet */
	uint8_t control_len; /* bytes in `control`; 0: the frame in it has been delivered */
	bool fin; /* FIN of the frame whose payload is arriving */
	bool in_payload; /* a header is complete and its payload is arriving */
	bool in_message; /* a data message has begun and not ended */
	bool whole; /* set by the owner: stop at the end of each data message */
};

/*
 * Input and output of one call, all in the caller's memory. Output may be the same memory as
 * input as long as `out` is not behind `in`: payload moves towards the front.
 */
struct websocket_io {
	uint8_t *in; /* next byte to parse; advanced */
	size_t in_len;
	uint8_t *out; /* where the next data payload byte goes; advanced */
	/* with WEBSOCKET_CONTROL: the frame; payload valid until the next call or reuse of `in` */
	enum websocket_opcode opcode;
	const uint8_t *payload;
	size_t payload_len;
};

/*
 * Parses client frames from `io`, unmasking data payload to `io->out` and cutting control frames
 * out; text is validated as it passes, across fragments (section 8.1). Payload of any number of
 * frames ends up contiguous. Stops at the end of input, after each control frame and, with
 * `parser->whole`, at the end of each data message (an empty one too), leaving the rest in `io`;
 * `parser->message` then tells the type of the message. With WEBSOCKET_BAD `out` has not been
 * advanced over the offending frame's payload of this call (what lies behind `out` is undefined);
 * the parser must not be used any further except to be freed. Rules: RSV bits clear, known
 * opcode, masked, minimal length below 2^63, control frames short and unfragmented (5.2, 5.5),
 * fragments in order (5.4). A control frame that does not fit into the input is collected in
 * memory of its own; if there is none: WEBSOCKET_BAD with 1011.
 */
enum websocket_result websocket_parse(struct websocket_parser *parser, struct websocket_io *io);

/* Frees the memory of the parser. */
void websocket_parser_free(struct websocket_parser *parser);

/*
 * Unmasks `len` bytes from `src` to `dst` (dst <= src where they overlap), section 5.3. `mask` is
 * the masking key rotated to the first byte; it is rotated to the byte after the last.
 */
void websocket_unmask(uint8_t *dst, const uint8_t *src, size_t len, uint8_t mask[4]);

/*
 * Writes the header of an unmasked frame with a payload of `len` bytes (below 2^63) to `out`, in
 * the shortest form, and returns its length (2 to WEBSOCKET_HEADER_MAX). Section 5.2.
 */
size_t websocket_put_header(
	uint8_t out[WEBSOCKET_HEADER_MAX], bool fin, enum websocket_opcode opcode, uint64_t len);

/* The length that websocket_put_header() will write for this payload. */
size_t websocket_header_len(uint64_t len);
#endif
