/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command lines of websockify and wsproxy: chooses by the name of the program, and reports
 * errors in their form.
 *
 * No other file than websocksy.c may depend on this directory.
 */
#include "compat/compat.h"

#include "base/log.h"
#include "base/text.h"
#include "compat/options.h"
#include "compat/translate.h"
#include "config/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char out_of_memory[] = "out of memory";

/* ---- the options and backends of this version ---- */

static const struct option *find_option(struct slice name) {
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(option->name && text_is(name, option->name)) {
			return option;
		}
	}
	return NULL;
}

/* An option that may be left out is, if this version does not have it. */
static void check_options(struct compat *compat) {
	struct texts *arguments = &compat->arguments;
	size_t i = 1;
	while(i < arguments->count && strcmp(arguments->at[i], "--") != 0) {
		struct slice rest = text_slice(arguments->at[i] + 2);
		struct slice name;
		if(strncmp(arguments->at[i], "--", 2) != 0 || !text_split(&rest, '=', &name) ||
			find_option(name)) {
			i++;
			continue;
		}
		if(arguments->source[i]) {
			compat_fail(compat,
				"%s: not supported, as this version of websocksy has no option "
				"\"%.*s\"",
				arguments->source[i], (int)name.len, name.at);
			return;
		}
		texts_remove(arguments, i);
	}
}

static void check_backend(struct compat *compat) {
	const struct option *option = find_option(text_slice("plugin-path"));
	char *path;
	if(!compat->backend) {
		return;
	}
	if(asprintf(&path, "%s/backend_%s.so", option->preset, compat->backend) < 0) {
		compat->arguments.no_memory = true;
		return;
	}
	if(access(path, F_OK) < 0) {
		compat_fail(compat,
			"--token-plugin: not supported, as this version of websocksy has no "
			"backend \"%s\" (%s)",
			compat->backend, path);
	}
	free(path);
}

/* ---- output ---- */

static void print_error(const struct compat *compat, const struct given *given) {
	if(compat->usage) {
		given_print_usage(given, compat->name, stderr);
	}
	fprintf(stderr, "%s: error: %s\n", compat->name, compat->error);
}

static void log_notices(const struct compat *compat) {
	for(size_t i = 0; i < compat->notices.count; i++) {
		log_write(LOG_NOTICE, "%s: %s", compat->name, compat->notices.at[i]);
	}
}

void compat_started(const struct compat *compat) {
	for(size_t i = 0; i < compat->lines.count; i++) {
		log_write(LOG_NOTICE, "%s", compat->lines.at[i]);
	}
}

/* ---- the translation ---- */

/* The name under which these programs are known, or NULL. */
static const char *compatible_name(const char *path) {
	static const char *const names[] = {"websockify", "run", "wsproxy"};
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *name = slash ? slash + 1 : path;
	for(size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
		if(strcmp(name, names[i]) == 0) {
			return names[i];
		}
	}
	return NULL;
}

static bool has_memory(const struct compat *compat) {
	return !compat->arguments.no_memory && !compat->notices.no_memory &&
		!compat->lines.no_memory;
}

static void read_arguments(struct compat *compat, struct given *given, char **argv) {
	texts_add(&compat->arguments, "", "%s", argv[0]);
	given_read(given, compat, argv + 1);
	if(!compat->error[0] && !given->value[GIVEN_HELP]) {
		translate(compat, given);
	}
	if(!compat->error[0] && has_memory(compat)) {
		check_options(compat);
		check_backend(compat);
	}
	if(!has_memory(compat)) {
		compat_fail(compat, "%s", out_of_memory);
	}
}

bool compat_begin(struct compat *compat, int argc, char **argv) {
	*compat = (struct compat){.argc = argc, .argv = argv};
	compat->name = compatible_name(argc > 0 ? argv[0] : NULL);
	if(!compat->name) {
		return true;
	}
	struct given given = {.wsproxy = strcmp(compat->name, "wsproxy") == 0};
	read_arguments(compat, &given, argv);
	if(compat->error[0]) {
		print_error(compat, &given);
		return false;
	}
	if(given.value[GIVEN_HELP]) {
		given_print_help(&given, compat->name, stdout);
		return false;
	}
	log_notices(compat);
	compat->argc = (int)compat->arguments.count;
	compat->argv = compat->arguments.at;
	return true;
}

void compat_free(struct compat *compat) {
	while(compat->secrets > 0) {
		close(compat->secret_fd[--compat->secrets]);
	}
	texts_free(&compat->arguments);
	texts_free(&compat->notices);
	texts_free(&compat->lines);
}
