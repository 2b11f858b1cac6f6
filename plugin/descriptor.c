/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Descriptors of plugins of API version 2.
 *
 * It must not know how objects are loaded.
 */
#include "plugin/descriptor.h"

#include "base/log.h"
#include "base/text.h"
#include "plugin/framings.h"

#include <errno.h>
#include <string.h>

static bool covers(size_t size, size_t offset) {
	return size >= offset + sizeof(void *);
}
#define HAS(object, field) covers((object)->size, offsetof(__typeof__(*(object)), field))

static bool is_name(const char *name) {
	return name && text_is_name(text_slice(name));
}

static bool is_framing(const struct websocksy_framing *framing) {
	return HAS(framing, decode) && is_name(framing->name) && framing->decode;
}

static bool is_backend(const struct websocksy_backend *backend) {
	return HAS(backend, query) && is_name(backend->name) && backend->query;
}

const char *descriptor_check(const struct websocksy_plugin *plugin) {
	if(plugin->api != WEBSOCKSY_PLUGIN_API) {
		return "was built for another version of the plugin API; rebuild it";
	}
	if(!HAS(plugin, description) || !plugin->name || !plugin->version) {
		return "its descriptor is incomplete: it needs size, name and version";
	}
	for(size_t i = 0; HAS(plugin, framings) && plugin->framings && plugin->framings[i]; i++) {
		if(!is_framing(plugin->framings[i])) {
			return "a framing needs size, decode, and a name of letters, digits, _ and "
			       "-";
		}
	}
	for(size_t i = 0; HAS(plugin, backends) && plugin->backends && plugin->backends[i]; i++) {
		if(!is_backend(plugin->backends[i])) {
			return "a backend needs size, query, and a name of letters, digits, _ and "
			       "-";
		}
	}
	return NULL;
}

const struct websocksy_backend *descriptor_backend(
	const struct websocksy_plugin *plugin, const char *name) {
	for(size_t i = 0; HAS(plugin, backends) && plugin->backends && plugin->backends[i]; i++) {
		if(!strcmp(plugin->backends[i]->name, name)) {
			return plugin->backends[i];
		}
	}
	return NULL;
}

/* Backends of version 1 choose a framing by a function, and there are only so many of those. */
static void report_limit(const char *path, const char *name) {
	if(!framings_function(framings_find(name))) {
		log_write(LOG_WARNING,
			"plugin %s: framing \"%s\": backends of API version 1 cannot choose it, "
			"because %d framings of plugins are loaded before it",
			path, name, FRAMINGS_FOR_VERSION1);
	}
}

int descriptor_register(const struct websocksy_plugin *plugin, const char *path) {
	for(size_t i = 0; HAS(plugin, framings) && plugin->framings && plugin->framings[i]; i++) {
		int result = framings_register_plugin(plugin->framings[i]);
		if(result == -EEXIST) {
			log_write(LOG_ERROR,
				"plugin %s: framing \"%s\": not registered again, the name is "
				"taken",
				path, plugin->framings[i]->name);
		} else if(result) {
			return result;
		} else {
			report_limit(path, plugin->framings[i]->name);
		}
	}
	return 0;
}
