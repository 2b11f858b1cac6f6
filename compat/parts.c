/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Parts of the translated command line.
 *
 * It must not know which options there are.
 */
#include "compat/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void parts_add(struct compat *compat, const char *source, const char *option, const char *value) {
	texts_add(&compat->arguments, source, "--%s=%s", option, value);
}

char *parts_path(struct compat *compat, const char *path) {
	char *absolute = NULL;
	if(path[0] == '/') {
		absolute = strdup(path);
	} else {
		char *directory = getcwd(NULL, 0);
		if(directory && asprintf(&absolute, "%s/%s", directory, path) < 0) {
			absolute = NULL;
		}
		free(directory);
	}
	compat->arguments.no_memory |= !absolute;
	return absolute;
}

void parts_add_file(
	struct compat *compat, const char *source, const char *option, const char *path) {
	char *absolute = parts_path(compat, path);
	if(absolute) {
		parts_add(compat, source, option, absolute);
	}
	free(absolute);
}

void parts_add_backend(
	struct compat *compat, const char *source, const char *key, const char *value) {
	texts_add(&compat->arguments, source, "-c");
	texts_add(&compat->arguments, source, "%s=%s", key, value);
}
