/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `file`: looks up the peer of a connection in files whose names depend on the request.
 *
 * Must not know: anything of the core but websocksy.h. Options, rules and file format:
 * backend_file.md.
 * Invariants: no request can name a file outside of `path`: values are checked before they become
 * part of a name (backend_file/expression.c), and the kernel resolves the name beneath the
 * directory (openat2, RESOLVE_BENEATH), so that either check alone would be enough. Only regular
 * files of bounded size are read, and opening never waits. API version 1 passes no context to a
 * backend, so its state is one static structure.
 */
#include "websocksy.h"

#include "plugins/backend_file/expression.h"
#include "plugins/backend_file/line.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

/*
 * Resolving a name fails with EAGAIN if another process renames at the same time, see openat2(2).
 */
#define OPEN_TRIES 8

WEBSOCKSY_EXPORT uint64_t init(void);
WEBSOCKSY_EXPORT uint64_t configure(char *key, char *value);
WEBSOCKSY_EXPORT ws_peer_info query(char *endpoint, size_t protocols, char **protocol,
	size_t headers, ws_http_header *header, websocket *ws);
WEBSOCKSY_EXPORT const char *websocksy_check(void);
WEBSOCKSY_EXPORT void cleanup(void);

/* The result of one expression. */
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

/* Errors that any request can cause, and that are not logged. */
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
 * LOOKUP_NONE: there is no such file. LOOKUP_REFUSED: it exists, or may exist, and cannot be read;
 * the next expression could name the peer of another client.
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

/* ---- peers ---- */

static enum lookup fill_peer(
	const struct line *line, size_t index, websocket *ws, ws_peer_info *peer) {
	ws_framing framing = NULL;
	if(line->framing) {
		framing = core_framing(line->framing);
		if(!framing) {
			return refuse(ws, 500,
				"the framing function of this request's peer does not exist");
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

/* Fills the peer from the first line that matches the request. */
static enum lookup search(struct text text, const char *name, const struct request *request,
	websocket *ws, ws_peer_info *peer) {
	bool has_nul;
	struct line line;
	size_t number = 0;
	size_t index;
	for(char *at; (at = line_take(&text, &has_nul));) {
		number++;
		if(!has_nul && (!*at || *at == '#')) {
			continue;
		}
		if(has_nul || !line_split(at, &line)) {
			core_log(ws_log_error,
				"backend file: %s/%s:%zu: must be <peer> <subprotocol> [<framing> "
				"[<framing-config>]]; skipped",
				state.path, name, number);
			continue;
		}
		if(line_matches(line.protocol, request, &index)) {
			line_complete(&line,
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
	if(!expression_evaluate(expression, request, &name)) {
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
			"backend file: path: the system call openat2 is not available (%s); "
			"Linux 5.6 or later is required",
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
	const char *wrong = expression_check(name);
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
	core_log(ws_log_error, "backend file: %s: unknown option (known: path, expression)", key);
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
		snprintf(message, sizeof(message), "the option %s of the file backend is not set",
			missing);
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
