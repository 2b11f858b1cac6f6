/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All files that a configuration names.
 *
 * Must not know: which options there are, or the purpose of the files.
 */
#include "config/files.h"

#include "base/file.h"
#include "config/table.h"
#include "config/types.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The texts of an option with paths: those of a list, or one. */
static struct settings_texts texts_of(const struct option *option, struct config *config) {
	struct settings_texts *list = option_field(option, config);
	char **text = option_field(option, config);
	return option->type == &type_paths
		? *list
		: (struct settings_texts){.at = text, .count = *text != NULL};
}

static int enter_root(const struct config *config, struct settings_texts texts) {
	for(size_t i = 0; i < texts.count; i++) {
		char *inside = strdup(file_beneath(config->root, texts.at[i]));
		if(!inside) {
			return -ENOMEM;
		}
		free(texts.at[i]);
		texts.at[i] = inside;
	}
	return 0;
}

int files_enter_root(struct config *config) {
	config->root = strdup(config->settings.chroot);
	int result = config->root ? enter_root(config, config->files) : -ENOMEM;
	for(size_t i = 0; i < table.count && result == 0; i++) {
		if(table.option[i].path) {
			result = enter_root(config, texts_of(&table.option[i], config));
		}
	}
	return result;
}

void files_each(const struct config *config, files_fn *fn, void *ctx) {
	struct config view = *config;
	for(size_t i = 0; i < config->files.count; i++) {
		fn(ctx, NULL, config->files.at[i]);
	}
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(!option->path || option->fixed) {
			continue;
		}
		struct settings_texts texts = texts_of(option, &view);
		for(size_t k = 0; k < texts.count; k++) {
			fn(ctx, option->name, texts.at[k]);
		}
	}
}
