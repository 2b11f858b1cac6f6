/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The backend `file`: looks up the peer of a connection in files whose names depend on the request.
 *
 * Must not know: anything of the core but websocksy_plugin.h. Options, rules and file format:
 * backend_file.md.
 * Invariants: no request can name a file outside of `path`: values are checked before they become
 * part of a name (backend_file/expression.c), and the kernel resolves the name beneath the
 * directory (openat2, RESOLVE_BENEATH), so that either check alone would be enough. Only regular
 * files of bounded size are read, and opening never waits.
 */
#include "websocksy_plugin.h"

#include "plugins/backend_file/expression.h"
#include "plugins/backend_file/line.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

/*
 * Resolving a name fails with EAGAIN if another process renames at the same time, see openat2(2).
 */
#define OPEN_TRIES 8

/* The result of one expression. */
enum lookup {
	LOOKUP_NONE, /* go on with the next expression */
	LOOKUP_FOUND, /* the file is read, or the query is answered */
	LOOKUP_REFUSED
};

struct file {
	const struct websocksy_core *core;
	char *path; /* NULL: not given */
	size_t expressions;
	char **expression;
};

/* A request, while its peer is looked for. */
struct search {
	const struct file *file;
	struct websocksy_query *query;
	char *offers; /* subprotocols, see line_match() */
};

static enum lookup refuse(const struct search *search, unsigned status, const char *message) {
	search->query->core->refuse(search->query, status, message);
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
static enum lookup read_file(const struct search *search, const char *name, struct text *out) {
	const char *path = search->file->path;
	int fd = open_beneath(path, name);
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
	search->file->core->log(search->file->core, WEBSOCKSY_ERROR,
		"%s/%s: %s; the request is refused", path, name, strerror(-result));
	return refuse(search, 503, "the file with the peer of this request cannot be read");
}

/* ---- peers ---- */

static enum lookup answer(
	const struct search *search, const struct line *line, const char *protocol) {
	const char *peer = line->peer;
	const struct websocksy_answer answer = {.size = sizeof(answer),
		.peer = &peer,
		.peers = 1,
		.framing = line->framing,
		.framing_config = line->framing ? line->config : NULL,
		.protocol = protocol};
	search->query->core->answer(search->query, &answer);
	return LOOKUP_FOUND;
}

/* Answers with the peer of the first line that matches the request. */
static enum lookup search_lines(const struct search *search, struct text text, const char *name) {
	const struct websocksy_core *core = search->file->core;
	bool has_nul;
	struct line line;
	size_t number = 0;
	for(char *at; (at = line_take(&text, &has_nul));) {
		number++;
		if(!has_nul && (!*at || *at == '#')) {
			continue;
		}
		if(has_nul || !line_split(at, &line)) {
			core->log(core, WEBSOCKSY_ERROR,
				"%s/%s:%zu: must be <peer> <subprotocol> [<framing> "
				"[<framing-config>]]; skipped",
				search->file->path, name, number);
			continue;
		}
		const char *protocol = line_match(line.protocol, search->offers);
		const char *wrong = protocol ? core->check_address(line.peer) : NULL;
		if(wrong) {
			core->log(core, WEBSOCKSY_ERROR, "%s/%s:%zu: peer address \"%s\": %s",
				search->file->path, name, number, line.peer, wrong);
			return refuse(search, 502, "the address of the peer is wrong");
		}
		if(protocol) {
			return answer(search, &line, protocol);
		}
	}
	return LOOKUP_NONE;
}

static enum lookup look_up(const struct search *search, const char *expression) {
	char buffer[PATH_MAX];
	struct text name = {buffer, 0, sizeof(buffer)};
	struct text file = {NULL, 0, 0};
	if(!expression_evaluate(expression, search->query, &name)) {
		return LOOKUP_NONE;
	}
	enum lookup result = read_file(search, name.at, &file);
	if(result == LOOKUP_FOUND) {
		result = search_lines(search, file, name.at);
	}
	free(file.at);
	return result;
}

/* The subprotocols that are offered, as line_match() takes them; NULL: out of memory. */
static char *copy_offers(struct websocksy_query *query) {
	const char *list = query->core->find(query, "protocols");
	size_t len = list ? strlen(list) : 0;
	char *offers = calloc(1, len + 2);
	char *out = offers;
	for(size_t i = 0; offers && i < len; i++) {
		if(list[i] != ' ') {
			*out++ = (char)(list[i] == ',' ? '\0' : list[i]);
		}
	}
	return offers;
}

/* ---- options ---- */

static int __attribute__((format(printf, 2, 3)))
invalid(char error[WEBSOCKSY_ERROR_MAX], const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, WEBSOCKSY_ERROR_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int set_path(struct file *file, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct stat directory;
	if(stat(value, &directory) || !S_ISDIR(directory.st_mode)) {
		return invalid(error, "must be an existing directory");
	}
	int probe = open_beneath(value, ".");
	if(probe < 0 && (errno == ENOSYS || errno == EPERM)) {
		return invalid(error,
			"the system call openat2 is not available (%s); Linux 5.6 or later is "
			"required",
			strerror(errno));
	}
	if(probe >= 0) {
		close(probe);
	}
	char *copy = strdup(value);
	if(!copy) {
		return -ENOMEM;
	}
	free(file->path);
	file->path = copy;
	return 0;
}

static int add_expression(struct file *file, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	const char *name = value + strspn(value, "/");
	const char *wrong = expression_check(name);
	if(wrong) {
		return invalid(error, "%s", wrong);
	}
	char **grown = realloc(file->expression, (file->expressions + 1) * sizeof(*grown));
	if(!grown) {
		return -ENOMEM;
	}
	file->expression = grown;
	char *copy = strdup(name);
	if(!copy) {
		return -ENOMEM;
	}
	file->expression[file->expressions++] = copy;
	return 0;
}

static int file_configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	return strcmp(key, "path") ? add_expression(state, value, error)
				   : set_path(state, value, error);
}

static const char *missing_option(const struct file *file) {
	const char *expression = file->expressions > 0 ? NULL : "expression";
	return file->path ? expression : "path";
}

static int file_check(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	const char *missing = missing_option(state);
	if(missing) {
		invalid(error, "%s: is not set; every request is refused", missing);
		return WEBSOCKSY_REFUSES_ALL;
	}
	return 0;
}

/* ---- the backend ---- */

static int file_open(const struct websocksy_core *core, void **state) {
	struct file *file = calloc(1, sizeof(*file));
	if(!file) {
		return -ENOMEM;
	}
	file->core = core;
	*state = file;
	return 0;
}

static void file_close(void *state) {
	struct file *file = state;
	for(size_t i = 0; i < file->expressions; i++) {
		free(file->expression[i]);
	}
	free(file->expression);
	free(file->path);
	free(file);
}

static enum lookup refuse_unusable(const struct search *search, const char *missing) {
	char message[64];
	snprintf(message, sizeof(message), "the option %s of the file backend is not set", missing);
	search->file->core->log(search->file->core, WEBSOCKSY_ERROR,
		"option %s is not set; every request is refused", missing);
	return refuse(search, 500, message);
}

static void file_query(void *state, struct websocksy_query *query) {
	const struct file *file = state;
	const struct search search = {file, query, copy_offers(query)};
	const char *missing = missing_option(file);
	enum lookup result = LOOKUP_NONE;
	if(!search.offers) {
		result = refuse(&search, 503, "out of memory");
	} else if(missing) {
		result = refuse_unusable(&search, missing);
	}
	for(size_t i = 0; i < file->expressions && result == LOOKUP_NONE; i++) {
		result = look_up(&search, file->expression[i]);
	}
	if(result == LOOKUP_NONE) {
		refuse(&search, 404, "no peer for this request");
	}
	free(search.offers);
}

static const struct websocksy_option file_options[] = {
	{"path", NULL, "directory of the files"},
	{"expression", NULL, "name of the file, with variables (repeatable)"},
	{.name = NULL},
};

static const struct websocksy_backend file_backend = {
	.size = sizeof(file_backend),
	.name = "file",
	.description = "peers in small files that the request selects",
	.options = file_options,
	.open = file_open,
	.configure = file_configure,
	.check = file_check,
	.query = file_query,
	.close = file_close,
};

static const struct websocksy_backend *const file_backends[] = {&file_backend, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "file",
	.version = "1.0",
	.description = "Peers in files that requests select",
	.backends = file_backends,
};
