/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files of tokens in memory: which there are, and which have changed.
 *
 * Must not know: where tokens come from, nor the answer to a query.
 * Invariants: each file is at most FILES_SIZE_MAX bytes, and a directory has at most FILES_MAX of
 * them. Tokens and targets are not logged.
 */
#include "plugins/backend_token/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_SIZE_MAX ((size_t)64 << 20)
#define FILES_MAX 4096

static void free_entry(struct files_entry *entry) {
	free(entry->name);
	table_free(&entry->table);
}

void files_free(struct files *files) {
	for(size_t i = 0; i < files->count; i++) {
		free_entry(&files->entry[i]);
	}
	free(files->entry);
	*files = (struct files){.count = 0};
}

const char *files_find(const struct files *files, const char *token) {
	const char *target = NULL;
	for(size_t i = files->count; i > 0 && !target; i--) {
		target = table_find(&files->entry[i - 1].table, token);
	}
	return target;
}

/* Appends an entry for a file that has not been read. */
static int add(struct files *files, const char *name) {
	if(files->count >= FILES_MAX) {
		return -EMFILE;
	}
	struct files_entry *grown =
		realloc(files->entry, (files->count + 1) * sizeof(*files->entry));
	if(!grown) {
		return -ENOMEM;
	}
	files->entry = grown;
	grown[files->count] = (struct files_entry){.name = strdup(name)};
	if(!grown[files->count].name) {
		return -ENOMEM;
	}
	files->count++;
	return 0;
}

/* ---- one file ---- */

/* `directory` is for the log; NULL: the name is a path. An error leaves the entry empty. */
static int refresh(struct files_entry *entry, const struct websocksy_core *core, int at,
	const char *directory) {
	struct reading_text text;
	if(reading_is_current(&entry->stamp, at, entry->name)) {
		return 0;
	}
	table_free(&entry->table);
	entry->stamp = (struct reading_stamp){.settled = false};
	int result = reading_take(at, entry->name, FILES_SIZE_MAX, &text, &entry->stamp);
	if(result == 0) {
		result = table_fill(&entry->table, text);
	}
	if(entry->table.wrong > 0) {
		core->log(core, WEBSOCKSY_WARNING,
			"%s%s%s:%zu: must be TOKEN: HOST:PORT; such lines are ignored",
			directory ? directory : "", directory ? "/" : "", entry->name,
			entry->table.wrong);
	}
	return result;
}

int files_read_file(struct files *files, const struct websocksy_core *core, const char *path) {
	int result = files->count == 0 ? add(files, path) : 0;
	return result ? result : refresh(&files->entry[0], core, AT_FDCWD, NULL);
}

/* ---- directories ---- */

static int compare_entries(const void *a, const void *b) {
	const struct files_entry *first = a;
	const struct files_entry *second = b;
	return strcmp(first->name, second->name);
}

/* Names that begin with a dot, or end with ~, are those of editors and of other programs. */
static bool is_listed(const struct dirent *file) {
	size_t len = strlen(file->d_name);
	return file->d_name[0] != '.' && file->d_name[len - 1] != '~' && file->d_type != DT_DIR;
}

/* Adds the names of a directory, whose descriptor is closed. */
static int add_names(struct files *files, int fd) {
	int result = 0;
	DIR *directory = fdopendir(fd);
	if(!directory) {
		result = -errno;
		close(fd);
		return result;
	}
	for(struct dirent *file; result == 0 && (file = readdir(directory));) {
		if(is_listed(file)) {
			result = add(files, file->d_name);
		}
	}
	closedir(directory);
	if(files->count > 0) {
		qsort(files->entry, files->count, sizeof(*files->entry), compare_entries);
	}
	return result;
}

/* What has been read stays with the entries of the same name. */
static void move_entries(struct files *to, struct files *from) {
	for(size_t i = 0, j = 0; i < to->count && j < from->count;) {
		int order = strcmp(to->entry[i].name, from->entry[j].name);
		if(order == 0) {
			struct files_entry swap = to->entry[i];
			to->entry[i] = from->entry[j];
			from->entry[j] = swap;
		}
		i += order <= 0;
		j += order >= 0;
	}
}

static int list(struct files *files, const char *path) {
	struct files fresh = {.count = 0};
	int fd = reading_open_directory(path, &fresh.stamp);
	int result = fd < 0 ? fd : add_names(&fresh, fd);
	if(result) {
		files_free(&fresh);
		return result;
	}
	move_entries(&fresh, files);
	files_free(files);
	*files = fresh;
	return 0;
}

int files_read_directory(struct files *files, const struct websocksy_core *core, const char *path) {
	if(!reading_is_current(&files->stamp, AT_FDCWD, path)) {
		int result = list(files, path);
		if(result) {
			files_free(files);
			return result;
		}
	}
	int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = at < 0 ? -errno : 0;
	for(size_t i = 0; at >= 0 && i < files->count; i++) {
		int error = refresh(&files->entry[i], core, at, path);
		/* It is a directory behind a link, or was removed after the names were read. */
		if(error && error != -ENOENT && error != -EINVAL) {
			result = error;
		}
	}
	if(at >= 0) {
		close(at);
	}
	return result;
}
