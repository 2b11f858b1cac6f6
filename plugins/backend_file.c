/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `file`: looks a connection's peer up in files whose names come from the request.
 *
 * It must not know anything of the core but websocksy.h. Options, rules and file format:
 * backend_file.md.
 *
 * Invariants: nothing a client sends can name a file outside `path`. Values are checked before they
 * become part of a name, and the kernel resolves the name beneath the directory (openat2,
 * RESOLVE_BENEATH), so that either of the two alone would do. Only regular files of bounded size
 * are read, and opening never waits. API version 1 passes no context to a backend, so its state is
 * one static structure.
 */
#include "websocksy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

/* Resolving may collide with a rename elsewhere and is then to be repeated, see openat2(2). */
#define OPEN_TRIES 8

#define BLANK " \t"

WEBSOCKSY_EXPORT uint64_t init(void);
WEBSOCKSY_EXPORT uint64_t configure(char *key, char *value);
WEBSOCKSY_EXPORT ws_peer_info query(char *endpoint, size_t protocols, char **protocol,
	size_t headers, ws_http_header *header, websocket *ws);
WEBSOCKSY_EXPORT const char *websocksy_check(void);
WEBSOCKSY_EXPORT void cleanup(void);

/* What the variables of an expression are taken from. */
struct request {
	const char *endpoint;
	size_t protocols;
	char **protocol;
	size_t headers;
	const ws_http_header *header;
};

/* A file name or a file's text while it is being put together or taken apart. */
struct text {
	char *at;
	size_t len;
	size_t cap;
};

/* What looking at one file came to. */
enum lookup {
	LOOKUP_NONE, /* go on with the next expression */
	LOOKUP_FOUND, /* the file is read, or the peer is filled */
	LOOKUP_REFUSED /* core_refuse() was called */
};

static struct {
	char *path;
	size_t expressions;
	char **expression;
} state;

/* ---- values of variables ---- */

static int hex_value(char digit) {
	if(digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	if(digit >= 'a' && digit <= 'f') {
		return digit - 'a' + 10;
	}
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

static bool append(struct text *text, char byte) {
	if(text->len + 1 >= text->cap) {
		return false;
	}
	text->at[text->len++] = byte;
	text->at[text->len] = 0;
	return true;
}

/*
 * Appends a value as a part of a file name; false if it must not become one: empty, beginning with
 * a dot (no "..", no hidden file), with a NUL (the name would end there), or too long.
 */
static bool append_value(struct text *name, const char *value, size_t len) {
	if(len == 0 || value[0] == '.' || memchr(value, 0, len)) {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		char byte = value[i];
		if(byte == '/') {
			byte = '_';
		}
		if(!append(name, byte)) {
			return false;
		}
	}
	return true;
}

/* Undoes percent-encoding. False: a broken escape, or too long. */
static bool decode_percent(const char *in, size_t len, struct text *out) {
	for(size_t i = 0; i < len; i++) {
		int byte = (uint8_t)in[i];
		if(byte == '%') {
			int high = len - i > 2 ? hex_value(in[i + 1]) : -1;
			int low = high >= 0 ? hex_value(in[i + 2]) : -1;
			byte = low >= 0 ? high * 16 + low : -1;
			i += 2;
		}
		if(byte < 0 || !append(out, (char)(uint8_t)byte)) {
			return false;
		}
	}
	return true;
}

/*
 * The path of the request without its query string and the slashes at its ends. Here and in the
 * query string percent-encoding is undone: it belongs to URLs. Doing it to header fields would let two names
 * that a proxy in front takes for different users become one.
 */
static bool append_endpoint(struct text *name, const char *endpoint) {
	char buffer[PATH_MAX];
	struct text value = {buffer, 0, sizeof(buffer)};
	endpoint += strspn(endpoint, "/");
	size_t len = strcspn(endpoint, "?#");
	while(len > 0 && endpoint[len - 1] == '/') {
		len--;
	}
	return decode_percent(endpoint, len, &value) && append_value(name, value.at, value.len);
}

/* The value of the first parameter of this name in the query string. */
static bool append_query(struct text *name, const char *endpoint, const char *parameter) {
	char buffer[PATH_MAX];
	struct text value = {buffer, 0, sizeof(buffer)};
	size_t name_len = strlen(parameter);
	const char *at = strchr(endpoint, '?');
	while(at) {
		at++;
		size_t pair = strcspn(at, "&#");
		if(pair > name_len && !memcmp(at, parameter, name_len) && at[name_len] == '=') {
			at += name_len + 1;
			return decode_percent(at, pair - name_len - 1, &value) &&
				append_value(name, value.at, value.len);
		}
		at = at[pair] == '&' ? at + pair : NULL;
	}
	return false;
}

static bool append_header(struct text *name, const struct request *request, const char *tag) {
	for(size_t i = 0; i < request->headers; i++) {
		if(!strcasecmp(request->header[i].tag, tag)) {
			const char *value = request->header[i].value;
			return append_value(name, value, strlen(value));
		}
	}
	return false;
}

/* The value of the cookie in the field `at` (RFC 6265, section 4.2.1), quotes kept; NULL: not
 * there. */
static const char *find_cookie(const char *at, const char *cookie, size_t *len) {
	size_t name_len = strlen(cookie);
	while(*at) {
		at += strspn(at, BLANK ";");
		size_t pair = strcspn(at, ";");
		if(pair > name_len && !memcmp(at, cookie, name_len) && at[name_len] == '=') {
			const char *value = at + name_len + 1;
			const char *end = at + pair;
			value += strspn(value, BLANK);
			while(end > value && strchr(BLANK, end[-1])) {
				end--;
			}
			*len = (size_t)(end - value);
			return value;
		}
		at += pair;
	}
	return NULL;
}

static bool append_cookie(struct text *name, const struct request *request, const char *cookie) {
	for(size_t i = 0; i < request->headers; i++) {
		if(!strcasecmp(request->header[i].tag, "cookie")) {
			size_t len;
			const char *value = find_cookie(request->header[i].value, cookie, &len);
			if(value) {
				return append_value(name, value, len);
			}
		}
	}
	return false;
}

/* ---- expressions ---- */

static bool append_endpoint_of(
	struct text *name, const struct request *request, const char *unused) {
	(void)unused;
	return append_endpoint(name, request->endpoint);
}

static bool append_query_of(
	struct text *name, const struct request *request, const char *parameter) {
	return append_query(name, request->endpoint, parameter);
}

/* Variables; a colon is followed by the NAME that the last argument is. */
static const struct {
	const char *prefix;
	bool (*append)(struct text *name, const struct request *request, const char *argument);
} variables[] = {
	{"endpoint", append_endpoint_of},
	{"query:", append_query_of},
	{"cookie:", append_cookie},
	{"header:", append_header},
};
#define VARIABLES (sizeof(variables) / sizeof(variables[0]))

/* The index in `variables`; VARIABLES: there is no variable of that name. */
static size_t find_variable(const char *variable) {
	for(size_t i = 0; i < VARIABLES; i++) {
		size_t len = strlen(variables[i].prefix);
		bool takes_name = variables[i].prefix[len - 1] == ':';
		if(!strncmp(variable, variables[i].prefix, len) &&
			(variable[len] != 0) == takes_name) {
			return i;
		}
	}
	return VARIABLES;
}

static bool append_variable(
	struct text *name, const struct request *request, const char *variable) {
	size_t i = find_variable(variable);
	return i < VARIABLES &&
		variables[i].append(name, request, variable + strlen(variables[i].prefix));
}

/*
 * Takes the variable that begins at the '%' `*at`, its name to `out`. False: no second '%', too
 * long, or no variable of that name.
 */
static bool take_variable(const char **at, char out[NAME_MAX]) {
	const char *from = *at + 1;
	const char *end = strchr(from, '%');
	if(!end || end - from >= NAME_MAX) {
		return false;
	}
	memcpy(out, from, (size_t)(end - from));
	out[end - from] = 0;
	*at = end + 1;
	return find_variable(out) < VARIABLES;
}

/* The file name for this request; false: the expression does not match it. */
static bool evaluate(const char *expression, const struct request *request, struct text *name) {
	char variable[NAME_MAX];
	name->len = 0;
	while(*expression) {
		if(*expression != '%') {
			if(!append(name, *expression++)) {
				return false;
			}
			continue;
		}
		if(!take_variable(&expression, variable) ||
			!append_variable(name, request, variable)) {
			return false;
		}
	}
	return name->len > 0;
}

/* A mistake in the expression, or NULL. */
static const char *check_expression(const char *expression) {
	char variable[NAME_MAX];
	if(!*expression || strlen(expression) >= PATH_MAX) {
		return "must be a file name of ordinary length, in which variables may stand";
	}
	for(const char *at = expression; *at;) {
		bool starts_part = at == expression || at[-1] == '/';
		if(starts_part && !strncmp(at, "..", 2) && (at[2] == 0 || at[2] == '/')) {
			return "must not have \"..\" in it";
		}
		if(*at != '%') {
			at++;
		} else if(!take_variable(&at, variable)) {
			return "a % must begin one of %endpoint%, %query:NAME%, %cookie:NAME%, "
			       "%header:NAME%";
		}
	}
	return NULL;
}

static enum lookup refuse(websocket *ws, unsigned status, const char *message) {
	core_refuse(ws, status, message);
	return LOOKUP_REFUSED;
}

/* ---- files ---- */

/* Opens `name` beneath the directory `path` for reading; -1 with errno set. */
static int open_beneath(const char *path, const char *name) {
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if(directory < 0) {
		return -1;
	}
	long fd = -1;
	for(int tries = 0; tries < OPEN_TRIES; tries++) {
		fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));
		if(fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
			break;
		}
	}
	int error = errno;
	close(directory);
	errno = error;
	return (int)fd;
}

/* Is this a failure that requests alone can cause, and that is no news for the operator? */
static bool is_absence(int error) {
	return error == ENOENT || error == ENOTDIR || error == EXDEV || error == ELOOP ||
		error == ENAMETOOLONG || error == EINVAL || error == EILSEQ;
}

/* Reads the whole file into `out` with a NUL behind it. 0 or negative errno. */
static int read_all(int fd, struct text *out) {
	struct stat file;
	if(fstat(fd, &file)) {
		return -errno;
	}
	if(!S_ISREG(file.st_mode)) {
		return -ENOENT;
	}
	if(file.st_size < 0 || (uint64_t)file.st_size > FILE_SIZE_MAX) {
		return -EFBIG;
	}
	out->cap = (size_t)file.st_size + 1;
	out->at = malloc(out->cap);
	if(!out->at) {
		return -ENOMEM;
	}
	while(out->len < out->cap - 1) {
		ssize_t got = read(fd, out->at + out->len, out->cap - 1 - out->len);
		if(got < 0 && errno == EINTR) {
			continue;
		}
		if(got < 0) {
			return -errno;
		}
		if(got == 0) {
			break;
		}
		out->len += (size_t)got;
	}
	out->at[out->len] = 0;
	return 0;
}

/*
 * LOOKUP_NONE: there is no such file. LOOKUP_REFUSED: there is or may be one, and it cannot be read; another one in
 * its place would send the client to the wrong peer.
 */
static enum lookup read_file(const char *name, websocket *ws, struct text *out) {
	int fd = open_beneath(state.path, name);
	int result = fd < 0 ? -errno : read_all(fd, out);
	if(fd >= 0) {
		close(fd);
	}
	if(result == 0) {
		return LOOKUP_FOUND;
	}
	free(out->at);
	out->at = NULL;
	if(is_absence(-result)) {
		return LOOKUP_NONE;
	}
	core_log(ws_log_error, "backend file: %s/%s: %s; the request is refused", state.path, name,
		strerror(-result));
	return refuse(ws, 503, "the file with the peer of this request cannot be read");
}

/* ---- lines ---- */

struct line {
	char *peer;
	char *protocol;
	char *framing; /* NULL: not given */
	char *config; /* the rest; "" if there is none */
};

/* Takes the next word off the front of `*rest`, with a NUL behind it; NULL: there is none. */
static char *take_word(char **rest) {
	char *word = *rest + strspn(*rest, BLANK);
	char *end = word + strcspn(word, BLANK);
	*rest = *end ? end + 1 : end;
	*end = 0;
	return *word ? word : NULL;
}

static bool split_line(char *text, struct line *line) {
	line->peer = take_word(&text);
	line->protocol = line->peer ? take_word(&text) : NULL;
	line->framing = line->protocol ? take_word(&text) : NULL;
	line->config = text + strspn(text, BLANK);
	return line->protocol != NULL;
}

/* Cuts the next line off the front of `text`, without its end and surrounding blanks; NULL: no
 * more. */
static char *take_line(struct text *text, bool *has_nul) {
	if(text->len == 0) {
		return NULL;
	}
	char *line = text->at;
	char *newline = memchr(line, '\n', text->len);
	size_t len = newline ? (size_t)(newline - line) : text->len;
	size_t taken = newline ? len + 1 : len;
	text->at += taken;
	text->len -= taken;
	*has_nul = memchr(line, 0, len) != NULL;
	while(len > 0 && strchr(BLANK "\r", line[len - 1])) {
		len--;
	}
	line[len] = 0;
	return line + strspn(line, BLANK);
}

/* The index of an offered subprotocol, or the number of them. */
static size_t find_offer(const struct request *request, const char *name, size_t len) {
	size_t index = 0;
	while(index < request->protocols &&
		(strlen(request->protocol[index]) != len ||
			memcmp(request->protocol[index], name, len) != 0)) {
		index++;
	}
	return index;
}

/*
 * Does the line serve the request, and with which index among the offered subprotocols? The line has a list in
 * the order of preference. A client that offers none takes any line and gets none.
 */
static bool matches(const char *list, const struct request *request, size_t *index) {
	*index = 0;
	if(request->protocols == 0) {
		return true;
	}
	while(*list) {
		size_t len = strcspn(list, ",");
		*index = len == 1 && *list == '*' ? 0 : find_offer(request, list, len);
		if(*index < request->protocols) {
			return true;
		}
		list += len + (list[len] == ',');
	}
	return false;
}

/* Names the framing of a line that names none, if the subprotocol (NULL: none) needs one other than auto. */
static void complete_line(struct line *line, const char *protocol) {
	/* Messages that are binary, whatever their bytes look like, or base64. */
	static const struct {
		const char *protocol;
		const char *framing;
	} known[] = {{"binary", "binary"}, {"mqtt", "binary"}, {"mqttv3.1", "binary"},
		{"base64", "base64"}};
	for(size_t i = 0; protocol && !line->framing && i < sizeof(known) / sizeof(known[0]); i++) {
		if(!strcmp(protocol, known[i].protocol)) {
			line->framing = (char *)(uintptr_t)known[i].framing;
		}
	}
}

static enum lookup fill_peer(
	const struct line *line, size_t index, websocket *ws, ws_peer_info *peer) {
	ws_framing framing = NULL;
	if(line->framing) {
		framing = core_framing(line->framing);
		if(!framing) {
			return refuse(ws, 500,
				"the peer of this request names a framing function that is not "
				"there");
		}
	}
	char *host = strdup(line->peer);
	char *config = strdup(line->config);
	if(!host || !config) {
		free(host);
		free(config);
		return refuse(ws, 503, "out of memory");
	}
	*peer = (ws_peer_info){
		.host = host, .framing = framing, .framing_config = config, .protocol = index};
	return LOOKUP_FOUND;
}

/* The first line of the file that serves the request. */
static enum lookup search(struct text text, const char *name, const struct request *request,
	websocket *ws, ws_peer_info *peer) {
	bool has_nul;
	struct line line;
	size_t number = 0;
	size_t index;
	for(char *at; (at = take_line(&text, &has_nul));) {
		number++;
		if(!has_nul && (!*at || *at == '#')) {
			continue;
		}
		if(has_nul || !split_line(at, &line)) {
			core_log(ws_log_error,
				"backend file: %s/%s:%zu: must be <peer> <subprotocol> [<framing> "
				"[<framing-config>]]; skipped",
				state.path, name, number);
			continue;
		}
		if(matches(line.protocol, request, &index)) {
			complete_line(&line,
				index < request->protocols ? request->protocol[index] : NULL);
			return fill_peer(&line, index, ws, peer);
		}
	}
	return LOOKUP_NONE;
}

static enum lookup look_up(
	const char *expression, const struct request *request, websocket *ws, ws_peer_info *peer) {
	char buffer[PATH_MAX];
	struct text name = {buffer, 0, sizeof(buffer)};
	struct text file = {NULL, 0, 0};
	if(!evaluate(expression, request, &name)) {
		return LOOKUP_NONE;
	}
	enum lookup result = read_file(name.at, ws, &file);
	if(result == LOOKUP_FOUND) {
		result = search(file, name.at, request, ws, peer);
	}
	free(file.at);
	return result;
}

/* ---- options ---- */

static uint64_t set_path(const char *value) {
	struct stat directory;
	if(stat(value, &directory) || !S_ISDIR(directory.st_mode)) {
		core_log(ws_log_error, "backend file: path: %s: must be an existing directory",
			value);
		return 1;
	}
	int probe = open_beneath(value, ".");
	if(probe < 0 && (errno == ENOSYS || errno == EPERM)) {
		core_log(ws_log_error,
			"backend file: path: the system call openat2 is not there (%s), Linux 5.6 "
			"or later has "
			"it",
			strerror(errno));
		return 1;
	}
	if(probe >= 0) {
		close(probe);
	}
	char *copy = strdup(value);
	if(!copy) {
		return 1;
	}
	free(state.path);
	state.path = copy;
	return 0;
}

static uint64_t add_expression(const char *value) {
	const char *name = value + strspn(value, "/");
	const char *wrong = check_expression(name);
	if(wrong) {
		core_log(ws_log_error, "backend file: expression: %s: %s", value, wrong);
		return 1;
	}
	char **grown = realloc(state.expression, (state.expressions + 1) * sizeof(*grown));
	if(!grown) {
		return 1;
	}
	state.expression = grown;
	char *copy = strdup(name);
	if(!copy) {
		return 1;
	}
	state.expression[state.expressions++] = copy;
	return 0;
}

/* ---- the backend ---- */

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char *key, char *value) {
	if(!strcmp(key, "path")) {
		return set_path(value);
	}
	if(!strcmp(key, "expression")) {
		return add_expression(value);
	}
	core_log(ws_log_error,
		"backend file: %s: there is no such option; there are path and expression", key);
	return 1;
}

const char *websocksy_check(void) {
	if(!state.path) {
		return "path: is not set; every request is refused";
	}
	return state.expressions ? NULL : "expression: is not set; every request is refused";
}

ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers,
	ws_http_header *header, websocket *ws) {
	const struct request request = {endpoint, protocols, protocol, headers, header};
	ws_peer_info peer = {.host = NULL};
	if(!state.path || !state.expressions) {
		const char *missing = state.path ? "expression" : "path";
		char message[64];
		snprintf(message, sizeof(message), "the file backend lacks its option %s", missing);
		core_log(ws_log_error,
			"backend file: option %s is not set; every request is refused", missing);
		core_refuse(ws, 500, message);
		return peer;
	}
	enum lookup result = LOOKUP_NONE;
	for(size_t i = 0; i < state.expressions && result == LOOKUP_NONE; i++) {
		result = look_up(state.expression[i], &request, ws, &peer);
	}
	if(result == LOOKUP_NONE) {
		core_refuse(ws, 404, "no peer for this request");
	}
	return peer;
}

void cleanup(void) {
	for(size_t i = 0; i < state.expressions; i++) {
		free(state.expression[i]);
	}
	free(state.expression);
	free(state.path);
	memset(&state, 0, sizeof(state));
}
