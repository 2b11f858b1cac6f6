/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The files of tokens that the backend `token` keeps in memory.
 */
#ifndef WEBSOCKSY_PLUGIN_TOKEN_FILES_H
#define WEBSOCKSY_PLUGIN_TOKEN_FILES_H
#include "plugins/backend_token/table.h"
#include "websocksy_plugin.h"

/* A file that has been read. */
struct files_entry {
	char *name; /* relative to the directory, or a path */
	struct reading_stamp stamp;
	struct table table;
};

/* A single file, or those of a directory sorted by name. All zero: none. */
struct files {
	struct files_entry *entry;
	size_t count;
	struct reading_stamp stamp; /* of the directory */
};

/*
 * Both read the files again that have changed. 0 or negative errno; then `files` has the contents
 * that could be read. Lines that are wrong are logged with their number only.
 */
int files_read_file(struct files *files, const struct websocksy_core *core, const char *path);
int files_read_directory(struct files *files, const struct websocksy_core *core, const char *path);

/* The target of the last line with this token in the last file that has one; or NULL. */
const char *files_find(const struct files *files, const char *token);

void files_free(struct files *files);
#endif
