/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing functions auto, binary, separator, newline and text, and the default backend.
 *
 * It must not know connections, sockets or the syntax of peer addresses: framing functions see
 * bytes, the backend hands out strings.
 *
 * Invariants: every framing function takes time linear in the bytes, however the stream is cut into
 * reads: bytes seen by an earlier call are not looked at again, but for the few that a separator
 * may straddle. The type of a message does not depend on how it was cut either, except where a
 * function sends what is there at once. Text is UTF-8 as RFC 3629 defines it (RFC 6455,
 * section 5.6).
 */
#include "builtins.h"

#include "base/log.h"
#include "base/utf8.h"
#include "network/peer.h"
#include "network/tls_cache.h"
#include "plugin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DEFAULT_HOST "tcp://localhost"
#define DEFAULT_PORT "5900"

/* ---- auto, binary, text ---- */

/* Everything at once. It never holds a byte back, or a binary protocol could stall for ever. */
static int64_t frame_auto(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)last_read;
	(void)framing_data;
	(void)config;
	if(data && utf8_valid(data, length)) {
		*opcode = ws_frame_text;
	}
	return (int64_t)length;
}

static int64_t frame_binary(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)data;
	(void)last_read;
	(void)opcode;
	(void)framing_data;
	(void)config;
	return (int64_t)length;
}

/* At most three bytes are ever held back, so looking at the whole buffer is linear. */
static int64_t frame_text(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)last_read;
	(void)framing_data;
	(void)config;
	if(!data) {
		return 0;
	}
	bool cut = false;
	size_t valid = utf8_prefix(data, length, &cut);
	if(valid < length && !cut) {
		return (int64_t)length;
	}
	*opcode = ws_frame_text;
	return (int64_t)valid;
}

/* ---- separator ---- */

struct separator {
	size_t len;
	uint8_t bytes[];
};

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char digit) {
	if(digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	if(digit >= 'a' && digit <= 'f') {
		return digit - 'a' + 10;
	}
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Takes one byte, escaped or not, off the front of `*at`; -1: no such escape. */
static int take_byte(const char **at) {
	static const char letters[] = "rtnf0\\";
	static const char bytes[] = "\r\t\n\f\0\\";
	const char *from = *at;
	if(from[0] != '\\') {
		*at = from + 1;
		return (uint8_t)from[0];
	}
	if(from[1] == 'x') {
		int high = hex_value(from[2]);
		int low = high < 0 ? -1 : hex_value(from[3]);
		*at = from + 4;
		return low < 0 ? -1 : high * 16 + low;
	}
	const char *letter = from[1] ? strchr(letters, from[1]) : NULL;
	*at = from + 2;
	return letter ? bytes[letter - letters] : -1;
}

/* Decodes to `out` (strlen(config) bytes are enough). The length, or -EINVAL. */
static int64_t parse_separator(const char *config, uint8_t *out) {
	int64_t len = 0;
	while(*config) {
		int byte = take_byte(&config);
		if(byte < 0) {
			return -EINVAL;
		}
		out[len++] = (uint8_t)byte;
	}
	return len > 0 ? len : -EINVAL;
}

static struct separator *new_separator(const char *config) {
	struct separator *separator = malloc(sizeof(*separator) + strlen(config) + 1);
	int64_t len = separator ? parse_separator(config, separator->bytes) : -ENOMEM;
	if(len < 0) {
		free(separator);
		return NULL;
	}
	separator->len = (size_t)len;
	return separator;
}

static const char *check_separator(const char *config) {
	const char *at = config;
	while(*at) {
		if(take_byte(&at) < 0) {
			return "a backslash must be followed by one of r t n f 0 \\ or by x and "
			       "two hexadecimal digits";
		}
	}
	return at > config ? NULL
			   : "must be the separator, at least one byte, such as \\r\\n or \\x00";
}

/*
 * `binary` up to and including the separator. The search goes on where the last one ended, but a
 * separator may straddle that point.
 */
static int64_t frame_separator(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)opcode;
	struct separator *separator = *framing_data;
	if(!data) {
		free(separator);
		*framing_data = NULL;
		return 0;
	}
	if(!separator) {
		separator = new_separator(config);
		*framing_data = separator;
	}
	if(!separator) {
		return -1;
	}
	size_t seen = length - last_read;
	size_t from = seen < separator->len ? 0 : seen - (separator->len - 1);
	const uint8_t *found = memmem(data + from, length - from, separator->bytes, separator->len);
	return found ? found - data + (int64_t)separator->len : 0;
}

/* ---- newline ---- */

struct newline {
	const char *name;
	const char *bytes;
};

static const struct newline newlines[] = {
	{"", "\r\n"},
	{"crlf", "\r\n"},
	{"lfcr", "\n\r"},
	{"lf", "\n"},
	{"cr", "\r"},
};

/* What is known about the line that is being received. */
struct line {
	const char *newline; /* one or two bytes */
	uint32_t utf8; /* of the bytes seen so far */
};

static const char *find_newline(const char *config) {
	for(size_t i = 0; i < sizeof(newlines) / sizeof(newlines[0]); i++) {
		if(!strcmp(newlines[i].name, config)) {
			return newlines[i].bytes;
		}
	}
	return NULL;
}

static const char *check_newline(const char *config) {
	return find_newline(config) ? NULL : "must be one of crlf, lfcr, lf, cr";
}

static struct line *new_line(const char *config) {
	const char *newline = find_newline(config);
	struct line *line = newline ? malloc(sizeof(*line)) : NULL;
	if(line) {
		*line = (struct line){.newline = newline, .utf8 = UTF8_ACCEPT};
	}
	return line;
}

/*
 * The end of the line (behind its newline), or 0. A newline that was complete before would have
 * been found before: so its last byte is a new one, and finding that by memchr() is fast.
 */
static size_t find_line_end(const char *newline, const uint8_t *data, size_t length, size_t seen) {
	bool pair = newline[1] != 0;
	int last = pair ? newline[1] : newline[0];
	const uint8_t *at = data + seen;
	while((at = memchr(at, last, length - (size_t)(at - data)))) {
		if(!pair || (at > data && at[-1] == (uint8_t)newline[0])) {
			return (size_t)(at - data) + 1;
		}
		at++;
	}
	return 0;
}

/* The text of a line is validated as it arrives, so that a long one in many reads stays linear. */
static int64_t frame_newline(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	struct line *line = *framing_data;
	if(!data) {
		free(line);
		*framing_data = NULL;
		return 0;
	}
	if(!line) {
		line = new_line(config);
		*framing_data = line;
	}
	if(!line) {
		return -1;
	}
	size_t seen = length - last_read;
	if(seen == 0) {
		line->utf8 = UTF8_ACCEPT;
	}
	size_t end = find_line_end(line->newline, data, length, seen);
	line->utf8 = utf8_feed(line->utf8, data + seen, (end ? end : length) - seen);
	/* Without an end this is the type of what the peer leaves when it closes now. */
	if(line->utf8 == UTF8_ACCEPT) {
		*opcode = ws_frame_text;
	}
	return (int64_t)end;
}

/* ---- the default backend ---- */

enum option {
	OPTION_HOST,
	OPTION_PORT,
	OPTION_FRAMING,
	OPTION_FRAMING_CONFIG,
	OPTION_PROTOCOL,
	OPTIONS
};

static const char *const option_names[] = {
	[OPTION_HOST] = "host",
	[OPTION_PORT] = "port",
	[OPTION_FRAMING] = "framing",
	[OPTION_FRAMING_CONFIG] = "framing-config",
	[OPTION_PROTOCOL] = "protocol",
};
_Static_assert(
	sizeof(option_names) / sizeof(option_names[0]) == OPTIONS, "every option has a name");

/* The values; NULL: not given. */
struct defaultpeer {
	char *value[OPTIONS];
	struct log_limit limit;
};

static void *defaultpeer_open(void) {
	return calloc(1, sizeof(struct defaultpeer));
}

static void defaultpeer_close(void *state) {
	struct defaultpeer *defaultpeer = state;
	for(size_t i = 0; i < OPTIONS; i++) {
		free(defaultpeer->value[i]);
	}
	free(defaultpeer);
}

static int defaultpeer_configure(void *state, const char *key, const char *value) {
	struct defaultpeer *defaultpeer = state;
	for(size_t i = 0; i < OPTIONS; i++) {
		if(!strcmp(option_names[i], key)) {
			char *copy = strdup(value);
			if(!copy) {
				return -ENOMEM;
			}
			free(defaultpeer->value[i]);
			defaultpeer->value[i] = copy;
			return 0;
		}
	}
	return -EINVAL;
}

/* Files that a TLS peer needs. 0, or negative errno with `*why` in `error`. */
static int check_credentials(
	const struct peer_address *address, char error[TLS_ERROR_MAX], const char **why) {
	*why = error;
	return address->kind->tls ? tls_cache_check(&address->tls, error) : 0;
}

/* A host that cannot be is each client's 502, as when a backend names it; but nobody should have to wait for that. */
static int check_peer(const char *host, const char *port, char error[PLUGIN_ERROR_MAX]) {
	struct peer_address address;
	const char *why;
	int result = peer_parse(peer_transport_detect, DEFAULT_HOST, port, &address, &why);
	peer_address_free(&address);
	if(result == -EINVAL) {
		snprintf(error, PLUGIN_ERROR_MAX, "port: \"%s\": %s", port, why);
		return result;
	}
	char trouble[TLS_ERROR_MAX];
	result = peer_parse(peer_transport_detect, host, port, &address, &why);
	if(result == 0) {
		result = check_credentials(&address, trouble, &why);
	}
	peer_address_free(&address);
	if(result && result != -ENOMEM) {
		log_write(LOG_WARNING, "host: \"%s\": %s; clients will get 502", host, why);
		return 0;
	}
	return result;
}

static int defaultpeer_check(void *state, char error[PLUGIN_ERROR_MAX]) {
	const struct defaultpeer *defaultpeer = state;
	char *const *value = defaultpeer->value;
	if(value[OPTION_HOST] && !*value[OPTION_HOST]) {
		snprintf(error, PLUGIN_ERROR_MAX, "host: must be an address such as %s:%s",
			DEFAULT_HOST, DEFAULT_PORT);
		return -EINVAL;
	}
	int result = check_peer(value[OPTION_HOST] ? value[OPTION_HOST] : DEFAULT_HOST,
		value[OPTION_PORT] ? value[OPTION_PORT] : DEFAULT_PORT, error);
	if(result) {
		return result;
	}
	const struct framing *framing = plugin_find_framing(value[OPTION_FRAMING]);
	if(!framing) {
		snprintf(error, PLUGIN_ERROR_MAX,
			"framing: there is no framing function \"%s\" (built in: auto, binary, "
			"newline, separator, text)",
			value[OPTION_FRAMING] ? value[OPTION_FRAMING] : "auto");
		return -EINVAL;
	}
	const char *wrong = plugin_check_framing(framing, value[OPTION_FRAMING_CONFIG]);
	if(wrong) {
		snprintf(error, PLUGIN_ERROR_MAX,
			"framing-config: \"%s\" is unusable with framing %s: %s",
			value[OPTION_FRAMING_CONFIG] ? value[OPTION_FRAMING_CONFIG] : "",
			framing->name, wrong);
		return -EINVAL;
	}
	return 0;
}

/* Takes the next name off the front of a list such as "binary, base64"; false: there is none. */
static bool next_name(const char **list, const char **name, size_t *len) {
	static const char gap[] = ", \t";
	*name = *list + strspn(*list, gap);
	*len = strcspn(*name, gap);
	*list = *name + *len;
	return *len > 0;
}

/* The index of the offer that the list prefers; -1: none is offered, -2: the list is empty. */
static int64_t choose_protocol(const char *list, const struct backend_request *request) {
	const char *name;
	size_t len;
	int64_t result = -2;
	while(next_name(&list, &name, &len)) {
		if(len == 1 && *name == '*') {
			return 0;
		}
		for(size_t i = 0; i < request->protocols; i++) {
			const char *offer = request->protocol[i];
			if(strlen(offer) == len && !memcmp(offer, name, len)) {
				return (int64_t)i;
			}
		}
		result = -1;
	}
	return result;
}

static void log_refused(struct defaultpeer *defaultpeer, const char *offer, bool configured) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	if(!log_limit_pass(&defaultpeer->limit, now_ms)) {
		return;
	}
	if(configured) {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol accepts "
			"only \"%s\"",
			offer, defaultpeer->value[OPTION_PROTOCOL]);
	} else {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol is not "
			"set (protocol=* accepts any)",
			offer);
	}
}

/* The index to answer, request->protocols for none, or -1 when the client was refused. */
static int64_t negotiate(
	struct defaultpeer *defaultpeer, const struct backend_request *request, websocket *ws) {
	if(request->protocols == 0) {
		return 0;
	}
	const char *list = defaultpeer->value[OPTION_PROTOCOL];
	int64_t index = choose_protocol(list ? list : "", request);
	if(index < 0) {
		bool configured = index == -1;
		log_refused(defaultpeer, request->protocol[0], configured);
		core_refuse(ws, 400,
			configured ? "none of the offered subprotocols is accepted here"
				   : "the offered subprotocols are not accepted, because none is "
				     "configured here");
		return -1;
	}
	return index;
}

/* A copy of the value, or of `preset` (NULL: none). False: out of memory. */
static bool copy_value(char **out, const char *value, const char *preset) {
	const char *from = value ? value : preset;
	*out = from ? strdup(from) : NULL;
	return *out || !from;
}

static int defaultpeer_query(
	void *state, const struct backend_request *request, websocket *ws, ws_peer_info *peer) {
	struct defaultpeer *defaultpeer = state;
	char *const *value = defaultpeer->value;
	int64_t index = negotiate(defaultpeer, request, ws);
	if(index < 0) {
		return 0;
	}
	const struct framing *framing = plugin_find_framing(value[OPTION_FRAMING]);
	if(!framing) {
		core_refuse(ws, 500, "the framing function of this service is not there");
		return 0;
	}
	peer->framing = framing->decode;
	peer->protocol = (size_t)index;
	bool copied = copy_value(&peer->host, value[OPTION_HOST], DEFAULT_HOST) &&
		copy_value(&peer->port, value[OPTION_PORT], DEFAULT_PORT) &&
		copy_value(&peer->framing_config, value[OPTION_FRAMING_CONFIG], NULL);
	return copied ? 0 : -ENOMEM;
}

static const struct backend_builtin defaultpeer_backend = {
	.name = "defaultpeer",
	.open = defaultpeer_open,
	.configure = defaultpeer_configure,
	.check = defaultpeer_check,
	.query = defaultpeer_query,
	.close = defaultpeer_close,
};

/* ---- registration ---- */

struct builtin {
	char name[16];
	ws_framing decode;
	ws_framing_check check;
	bool proves_text;
};

int builtins_register(void) {
	struct builtin builtins[] = {
		{"auto", frame_auto, NULL, true},
		{"binary", frame_binary, NULL, false},
		{"text", frame_text, NULL, true},
		{"separator", frame_separator, check_separator, false},
		{"newline", frame_newline, check_newline, true},
	};
	for(size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
		struct builtin *builtin = &builtins[i];
		if(core_register_framing(builtin->name, builtin->decode) ||
			core_register_framing_check(builtin->name, builtin->check)) {
			return -ENOMEM;
		}
		if(builtin->proves_text) {
			plugin_trust_framing(builtin->name);
		}
	}
	plugin_set_builtin_backend(&defaultpeer_backend);
	return 0;
}
