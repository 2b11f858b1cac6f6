/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of the plugins in a directory.
 *
 * It must not know the registry of framings, or instances of backends.
 * Invariants: only files that no other user can change are loaded.
 */
#include "plugin/catalog.h"

#include "plugin/descriptor.h"
#include "plugin/trust.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_or(const char *text, const char *otherwise) {
	return text ? text : otherwise;
}

static void print_framing(const struct websocksy_framing *framing) {
	printf("\tframing %s: %s\n", framing->name, text_or(framing->description, ""));
	if(framing->config) {
		printf("\t\tframing-config: %s\n", framing->config);
	}
}

static void print_backend(const struct websocksy_backend *backend) {
	printf("\tbackend %s: %s\n", backend->name, text_or(backend->description, ""));
	for(size_t i = 0; backend->options && backend->options[i].name; i++) {
		const struct websocksy_option *option = &backend->options[i];
		printf("\t\t%s: %s", option->name, text_or(option->description, ""));
		if(option->value) {
			printf(" (default: %s)", option->value);
		}
		printf("\n");
	}
}

static void print_plugin(const char *name, const struct websocksy_plugin *plugin) {
	printf("%s: %s %s, %s\n", name, plugin->name, plugin->version,
		text_or(plugin->description, "no description"));
	for(size_t i = 0; plugin->framings && plugin->framings[i]; i++) {
		print_framing(plugin->framings[i]);
	}
	for(size_t i = 0; plugin->backends && plugin->backends[i]; i++) {
		print_backend(plugin->backends[i]);
	}
}

/* Not object_open(): one that is loaded already is not loaded again. */
static void print_object(const char *name, const char *path) {
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if(!handle) {
		printf("%s: cannot be loaded: %s\n", name, dlerror());
		return;
	}
	const struct websocksy_plugin *plugin = dlsym(handle, "websocksy_plugin");
	const char *why = plugin ? descriptor_check(plugin) : "plugin of version 1";
	if(why) {
		printf("%s: %s\n", name, why);
	} else {
		print_plugin(name, plugin);
	}
	dlclose(handle);
}

static void print_file(const char *directory, const char *name) {
	struct stat file;
	char why[TRUST_ERROR_MAX];
	char *path;
	if(asprintf(&path, "%s/%s", directory, name) < 0) {
		return;
	}
	if(trust_check(path, &file, why)) {
		printf("%s: %s\n", name, why);
	} else {
		print_object(name, path);
	}
	free(path);
}

static int is_plugin(const struct dirent *file) {
	size_t len = strlen(file->d_name);
	return len > 3 && !strcmp(file->d_name + len - 3, ".so") && file->d_name[0] != '.';
}

static int compare_names(const struct dirent **left, const struct dirent **right) {
	return strcmp((*left)->d_name, (*right)->d_name);
}

void catalog_print(const char *directory) {
	struct dirent **file;
	int files = scandir(directory, &file, is_plugin, compare_names);
	for(int i = 0; i < files; i++) {
		print_file(directory, file[i]->d_name);
		free(file[i]);
	}
	if(files >= 0) {
		free(file);
	}
}
