/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads framing plugins, and defines the functions that the core exports to plugins.
 *
 * It must not know connections, HTTP or how a peer is reached.
 *
 * The list of plugins is a mutable global, like the registry of framings that they fill: the
 * functions of plugin API version 1 have no argument that could carry a context.
 */
#include "plugin.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/log_limit.h"
#include "base/text.h"
#include "plugin/backend.h"
#include "plugin/core_table.h"
#include "plugin/descriptor.h"
#include "plugin/framings.h"
#include "plugin/object.h"
#include "plugin/services.h"
#include "plugin/trust.h"
#include "websocksy.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLUGIN_LOG_MAX 2048 /* a line of a plugin; longer ones are cut */

/* A loaded framing plugin. */
struct plugin {
	struct framings_owner owner;
	struct object object;
	const struct websocksy_plugin *descriptor; /* of version 2; NULL: it has version 1 */
	struct services services; /* of the framings of version 2 */
	struct plugin *next;
	dev_t device;
	ino_t inode;
	char path[];
};

static struct {
	struct plugin *plugins; /* newest first */
	struct log_limit limit;
	struct log_limit_table lines; /* of core_log() */
} registry;

/* ---- loading ---- */

static bool is_loaded(const char *path, const struct stat *file) {
	for(const struct plugin *plugin = registry.plugins; plugin; plugin = plugin->next) {
		bool same_file = plugin->device == file->st_dev && plugin->inode == file->st_ino;
		if(same_file || !strcmp(plugin->path, path)) {
			return true;
		}
	}
	return false;
}

static void free_plugin(struct plugin *plugin) {
	if(plugin->descriptor) {
		services_close(&plugin->services);
	}
	framings_drop(&plugin->owner);
	object_close(&plugin->object);
	free(plugin);
}

/* Registers what a plugin of version 2 has. */
static int start_plugin(struct plugin *plugin, char error[OBJECT_ERROR_MAX]) {
	const char *why = descriptor_check(plugin->descriptor);
	if(why) {
		snprintf(error, OBJECT_ERROR_MAX, "%s: %s", plugin->path, why);
		plugin->descriptor = NULL;
		return -ENOEXEC;
	}
	services_init(&plugin->services, plugin->descriptor->name, &core_table);
	plugin->owner.core = &plugin->services.core;
	int result = descriptor_register(plugin->descriptor, plugin->path);
	if(result) {
		snprintf(error, OBJECT_ERROR_MAX, "%s: out of memory", plugin->path);
	}
	return result;
}

/* 1; 0 for a plugin that is skipped; -ENOMEM. */
static int load_plugin(const char *path) {
	struct stat file;
	char error[OBJECT_ERROR_MAX];
	char why[TRUST_ERROR_MAX];
	if(trust_check(path, &file, why)) {
		log_write(LOG_ERROR, "plugin %s: %s; not loaded", path, why);
		return 0;
	}
	if(is_loaded(path, &file)) {
		return 0;
	}
	size_t size = strlen(path) + 1;
	struct plugin *plugin = calloc(1, sizeof(*plugin) + size);
	if(!plugin) {
		return -ENOMEM;
	}
	memcpy(plugin->path, path, size);
	plugin->device = file.st_dev;
	plugin->inode = file.st_ino;
	framings_set_owner(&plugin->owner);
	int result = object_open(&plugin->object, path, error);
	if(result == 0 && object_find(&plugin->object, "websocksy_plugin", &plugin->descriptor)) {
		result = start_plugin(plugin, error);
	}
	framings_set_owner(NULL);
	if(result) {
		log_write(LOG_ERROR, "plugin %s; not loaded", error);
		free_plugin(plugin);
		return 0;
	}
	plugin->next = registry.plugins;
	registry.plugins = plugin;
	log_write(LOG_DEBUG, "plugin %s: loaded", path);
	return 1;
}

static int load_name(const char *directory, const char *name) {
	char *path;
	if(asprintf(&path, "%s/%s", directory, name) < 0) {
		return -ENOMEM;
	}
	int result = load_plugin(path);
	free(path);
	return result;
}

static int is_framing_plugin(const struct dirent *file) {
	const char *name = file->d_name;
	size_t len = strlen(name);
	return len > 3 && !strcmp(name + len - 3, ".so") && name[0] != '.' &&
		strncmp(name, "backend_", 8) != 0;
}

/* Not alphasort(): the order must not follow a locale. */
static int compare_names(const struct dirent **left, const struct dirent **right) {
	return strcmp((*left)->d_name, (*right)->d_name);
}

int plugin_load_directory(const char *directory, size_t *loaded) {
	*loaded = 0;
	if(directory[0] != '/') {
		log_write(LOG_ERROR, "plugin directory %s: must be an absolute path", directory);
		return -EINVAL;
	}
	struct dirent **file;
	int files = scandir(directory, &file, is_framing_plugin, compare_names);
	if(files < 0) {
		int error = errno;
		log_write(error == ENOENT ? LOG_DEBUG : LOG_WARNING,
			"plugin directory %s: %s; no plugins are loaded", directory,
			strerror(error));
		return error == ENOMEM ? -ENOMEM : 0;
	}
	int result = 0;
	for(int i = 0; i < files; i++) {
		if(result >= 0) {
			result = load_name(directory, file[i]->d_name);
			*loaded += result > 0;
		}
		free(file[i]);
	}
	free(file);
	return result < 0 ? result : 0;
}

void plugin_unload(size_t count) {
	for(; count > 0 && registry.plugins; count--) {
		struct plugin *plugin = registry.plugins;
		registry.plugins = plugin->next;
		log_write(LOG_DEBUG, "plugin %s: unloaded", plugin->path);
		free_plugin(plugin);
	}
}

void plugin_shutdown(void) {
	backend_shutdown();
	framings_drop(NULL);
	while(registry.plugins) {
		plugin_unload(1);
	}
}

/* ---- the functions for plugins ---- */

ws_framing core_framing(char *name) {
	const struct websocksy_framing *framing = framings_find(name);
	if(!framing && log_limit_pass(&registry.limit, "plugins", clock_ms())) {
		log_write(LOG_WARNING, "framing function \"%s\": there is none of that name",
			name ? name : "auto");
	}
	return framing ? framings_function(framing) : NULL;
}

int core_register_framing(char *name, ws_framing func) {
	if(!name || !text_is_name(text_slice(name)) || !func) {
		log_write(LOG_ERROR,
			"framing function \"%s\": not registered, it needs a function and a name "
			"of "
			"letters, digits, _ and -",
			name ? name : "");
		return 1;
	}
	int result = framings_register_function(name, func);
	if(result) {
		log_write(LOG_ERROR, "framing function \"%s\": not registered%s", name,
			result == -EEXIST ? " again, the name is taken" : ", out of memory");
	}
	return result ? 1 : 0;
}

int core_register_framing_check(char *name, ws_framing_check check) {
	if(!name || framings_register_check(name, check)) {
		log_write(LOG_ERROR,
			"framing function \"%s\": no check registered, there is none of that name",
			name ? name : "");
		return 1;
	}
	return 0;
}

void core_refuse(websocket *ws, unsigned status, const char *message) {
	if(!backend_refuse(ws, status, message) &&
		log_limit_pass(&registry.limit, "plugins", clock_ms())) {
		log_write(LOG_WARNING,
			"core_refuse: ignored, it was not called for the connection of the running "
			"query");
	}
}

static_assert((int)ws_log_debug == (int)LOG_DEBUG, "the levels are equal");

void core_log(ws_log_level level, const char *format, ...) {
	char text[PLUGIN_LOG_MAX];
	enum log_level own = (unsigned)level < LOG_LEVELS ? (enum log_level)level : LOG_ERROR;
	union address client = backend_client();
	if(!log_enabled(own) ||
		!log_limit_client(&registry.lines, LOG_KIND_PLUGIN, own, &client, clock_ms())) {
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_write(own, "%s", text);
}

/* Not tolower(): the rule must not follow a locale. */
char *xstr_lower(char *in) {
	for(char *at = in; *at; at++) {
		*at = text_lower(*at);
	}
	return in;
}
