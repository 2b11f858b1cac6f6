/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Paths in options.
 *
 * Must not know: which options there are, or the purpose of the files.
 * Invariants: a path is absolute, unless the directory of the start is unknown.
 */
#include "config/paths.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *make_absolute(const struct config *config, const char *text) {
	char *path = NULL;
	if(text[0] == '/' || text[0] == '\0' || !config->directory) {
		return strdup(text);
	}
	const char *slash = strcmp(config->directory, "/") == 0 ? "" : "/";
	return asprintf(&path, "%s%s%s", config->directory, slash, text) < 0 ? NULL : path;
}

char *paths_resolve(const struct config *config, const char *text) {
	char *path = make_absolute(config, text);
	if(!path || !config->root) {
		return path;
	}
	char *inside = strdup(file_beneath(config->root, path));
	free(path);
	return inside;
}
