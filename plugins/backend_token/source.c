/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The four kinds of sources of tokens.
 *
 * Must not know: the request, nor other sources.
 * Invariants: a token that becomes a file name is one component and not hidden, so it names only
 * entries of the directory itself. Tokens are not logged.
 */
#include "plugins/backend_token/source.h"

#include "plugins/common/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMED_SIZE_MAX ((size_t)TARGET_MAX) /* of a file with one target */

typedef int source_read_fn(struct source *source);
typedef int source_find_fn(struct source *source, const char *token, char peer[TARGET_MAX]);

struct source_class {
	const char *kind;
	source_read_fn *read; /* brings it up to date, or checks that this is possible */
	source_find_fn *find; /* as source_find(), without the log */
};

/* ---- files of tokens ---- */

static int source_read_file(struct source *source) {
	return files_read_file(&source->files, source->core, source->path);
}

static int source_read_directory(struct source *source) {
	return files_read_directory(&source->files, source->core, source->path);
}

static int find_in_files(struct source *source, const char *token, char peer[TARGET_MAX]) {
	int result = source->class->read(source);
	const char *target = files_find(&source->files, token);
	if(!target) {
		/* The token may be in a file that cannot be read. */
		return result ? result : -ENOKEY;
	}
	return target_from_text(target, strlen(target), peer) ? 0 : -EBADMSG;
}

/* ---- names of files ---- */

static int check_directory(struct source *source) {
	int fd = reading_open_directory(source->path, NULL);
	if(fd >= 0) {
		close(fd);
	}
	return fd < 0 ? fd : 0;
}

static bool is_name(const char *token) {
	return token[0] && token[0] != '.' && !strchr(token, '/') && strlen(token) <= NAME_MAX;
}

/* The path of the file; false: the token is none, or the path is too long. */
static bool join(const struct source *source, const char *token, char out[PATH_MAX]) {
	int written = snprintf(out, PATH_MAX, "%s/%s", source->path, token);
	return is_name(token) && written > 0 && written < PATH_MAX;
}

/* The file does not exist, or it is not a regular one. */
static bool is_absence(int result) {
	return result == -ENOENT || result == -EINVAL || result == -ENOTDIR || result == -ELOOP ||
		result == -ENXIO || result == -EILSEQ;
}

static int find_name(struct source *source, const char *token, char peer[TARGET_MAX]) {
	char path[PATH_MAX];
	struct reading_text text;
	if(!join(source, token, path)) {
		return -ENOKEY;
	}
	int result = reading_take(AT_FDCWD, path, NAMED_SIZE_MAX, &text, NULL);
	if(result) {
		return is_absence(result) ? -ENOKEY : result;
	}
	bool valid = target_from_text(text.at, text.len, peer);
	free(text.at);
	return valid ? 0 : -EBADMSG;
}

/* A link is not followed: the socket is in the directory. */
static int find_socket(struct source *source, const char *token, char peer[TARGET_MAX]) {
	char path[PATH_MAX];
	struct stat file;
	if(!join(source, token, path)) {
		return -ENOKEY;
	}
	if(lstat(path, &file)) {
		return is_absence(-errno) ? -ENOKEY : -errno;
	}
	if(!S_ISSOCK(file.st_mode)) {
		return -ENOKEY;
	}
	return target_from_path(path, strlen(path), peer) ? 0 : -EBADMSG;
}

/* ---- sources ---- */

static const struct source_class classes[] = {
	{"file", source_read_file, find_in_files},
	{"directory", source_read_directory, find_in_files},
	{"names", check_directory, find_name},
	{"sockets", check_directory, find_socket},
};

static const struct source_class *find_class(const char *kind) {
	for(size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if(!strcmp(kind, classes[i].kind)) {
			return &classes[i];
		}
	}
	return NULL;
}

int source_open(struct source *source, const struct websocksy_core *core, const char *kind,
	const char *path) {
	const struct source_class *class = find_class(kind);
	if(!class) {
		return -EINVAL;
	}
	*source = (struct source){.core = core, .class = class, .path = strdup(path)};
	return source->path ? 0 : -ENOMEM;
}

int source_check(struct source *source) {
	return source->class->read(source);
}

int source_find(struct source *source, const char *token, char peer[TARGET_MAX]) {
	int result = source->class->find(source, token, peer);
	if(result == 0 && source->core->check_address(peer)) {
		result = -EBADMSG;
	}
	if(result && result != -ENOKEY) {
		source->core->log(source->core, WEBSOCKSY_ERROR, "%s %s: %s; the client is refused",
			source->class->kind, source->path,
			result == -EBADMSG ? "the target of a token must be HOST:PORT"
					   : strerror(-result));
	}
	return result;
}

const char *source_kind(const struct source *source) {
	return source->class->kind;
}

void source_free(struct source *source) {
	files_free(&source->files);
	free(source->path);
}
