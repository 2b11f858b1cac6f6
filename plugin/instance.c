/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An instance of a backend of plugin API version 2.
 *
 * It must not know queries, or how the backend was found.
 */
#include "plugin/instance.h"

#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct websocksy_option commons[] = {
	[INSTANCE_FRAMING] = {"framing", "", "framing of the peers"},
	[INSTANCE_FRAMING_CONFIG] = {"framing-config", "", "its configuration"},
	[INSTANCE_PROTOCOL] = {"protocol", "*", "accepted subprotocols"},
	[INSTANCE_SCHEMES] = {"schemes", "tcp,tls", "kinds of peers that answers may have"},
};
static_assert(sizeof(commons) / sizeof(commons[0]) == INSTANCE_COMMONS, "every option has a row");

/* ---- options ---- */

/* The number of the backend's own option; -1: it has none of that name. */
static int find_own(const struct instance *instance, const char *key) {
	const struct websocksy_option *options = instance->api.options;
	for(int i = 0; options && options[i].name; i++) {
		if(!strcmp(options[i].name, key)) {
			return i;
		}
	}
	return -1;
}

static size_t count_own(const struct instance *instance) {
	size_t count = 0;
	while(instance->api.options && instance->api.options[count].name) {
		count++;
	}
	return count;
}

static bool is_common(const struct instance *instance, size_t option) {
	return find_own(instance, commons[option].name) < 0 &&
		(option != INSTANCE_SCHEMES || (instance->api.flags & WEBSOCKSY_REMOTE));
}

static int replace(char **value, const char *text) {
	char *copy = strdup(text);
	if(!copy) {
		return -ENOMEM;
	}
	free(*value);
	*value = copy;
	return 0;
}

static int configure_own(struct instance *instance, int option, const char *value) {
	const char *key = instance->api.options[option].name;
	int result = instance->api.configure
		? instance->api.configure(instance->state, key, value, instance->error)
		: 0;
	return result ? result : replace(&instance->given[option], value);
}

int instance_configure(struct instance *instance, const char *key, const char *value) {
	int own = find_own(instance, key);
	instance->error[0] = '\0';
	if(own >= 0) {
		return configure_own(instance, own, value);
	}
	for(size_t i = 0; i < INSTANCE_COMMONS; i++) {
		if(!strcmp(commons[i].name, key) && is_common(instance, i)) {
			return replace(&instance->value[i], value);
		}
	}
	return -ENOENT;
}

const char *instance_own_option(const struct websocksy_core *core, const char *name) {
	const struct services *services = services_of(core);
	if(!services->is_instance) {
		return NULL;
	}
	const struct instance *instance =
		container_of((uintptr_t)services, struct instance, services);
	int own = find_own(instance, name);
	if(own < 0) {
		return NULL;
	}
	return instance->given[own] ? instance->given[own] : instance->api.options[own].value;
}

bool instance_option(
	const struct instance *instance, size_t i, const char **name, const char **value) {
	size_t own = count_own(instance);
	if(i < own) {
		const struct websocksy_option *option = &instance->api.options[i];
		*name = option->name;
		*value = instance->given[i] ? instance->given[i] : option->value;
		return true;
	}
	size_t left = i - own;
	for(size_t common = 0; common < INSTANCE_COMMONS; common++) {
		if(is_common(instance, common) && left-- == 0) {
			*name = commons[common].name;
			*value = instance_value(instance, (enum instance_common)common);
			return true;
		}
	}
	return false;
}

const char *instance_value(const struct instance *instance, enum instance_common option) {
	if(instance->value[option]) {
		return instance->value[option];
	}
	bool is_own = option == INSTANCE_PROTOCOL && instance->api.protocol;
	return is_own ? instance->api.protocol : commons[option].value;
}

bool instance_allows(const struct instance *instance, const char *scheme) {
	struct slice list = text_slice(instance_value(instance, INSTANCE_SCHEMES));
	struct slice wanted = {scheme, strcspn(scheme, ":")};
	if(!(instance->api.flags & WEBSOCKSY_REMOTE)) {
		return true;
	}
	while(list.len > 0) {
		if(text_equal(text_trim(text_take(&list, ',')), wanted)) {
			return true;
		}
	}
	return false;
}

/* Names that no client can offer, such as "a b", which looks like two. */
static void check_protocols(const char *list) {
	struct slice rest = text_slice(list);
	while(rest.len > 0) {
		struct slice name = text_trim(text_take(&rest, ','));
		if(name.len > 0 && !text_is_token(name)) {
			log_write(LOG_WARNING,
				"protocol: \"%.*s\" is not the name of a subprotocol (names are "
				"separated by commas)",
				(int)name.len, name.at);
		}
	}
}

static int check_framing(struct instance *instance, char error[WEBSOCKSY_ERROR_MAX]) {
	const char *name = instance_value(instance, INSTANCE_FRAMING);
	const char *config = instance_value(instance, INSTANCE_FRAMING_CONFIG);
	const struct websocksy_framing *framing = framings_find(name[0] ? name : NULL);
	if(!framing) {
		snprintf(error, WEBSOCKSY_ERROR_MAX,
			"framing: there is no framing function \"%s\" (built in: auto, base64, "
			"binary, newline, separator, text)",
			name);
		return -EINVAL;
	}
	const char *wrong = framing_check(framing, config);
	if(wrong) {
		snprintf(error, WEBSOCKSY_ERROR_MAX,
			"framing-config: \"%s\" is not usable with framing %s: %s", config,
			framing->name, wrong);
		return -EINVAL;
	}
	instance->framing = framing;
	return 0;
}

int instance_check(struct instance *instance, char error[WEBSOCKSY_ERROR_MAX]) {
	if(is_common(instance, INSTANCE_PROTOCOL)) {
		check_protocols(instance_value(instance, INSTANCE_PROTOCOL));
	}
	int result = is_common(instance, INSTANCE_FRAMING) ? check_framing(instance, error) : 0;
	if(result == 0 && instance->api.check) {
		result = instance->api.check(instance->state, error);
	}
	return result;
}

/* ---- opening and closing ---- */

int instance_open(struct instance *instance, const struct websocksy_backend *backend,
	const struct websocksy_core *core, const char *name) {
	*instance = (struct instance){0};
	services_init(&instance->services, name, core);
	instance->services.is_instance = true;
	answer_cache_init(&instance->cache);
	list_init(&instance->queries);
	list_init(&instance->kept);
	size_t size = backend->size < sizeof(instance->api) ? backend->size : sizeof(instance->api);
	memcpy(&instance->api, backend, size);
	instance->given = calloc(count_own(instance) + 1, sizeof(*instance->given));
	if(!instance->given) {
		return -ENOMEM;
	}
	int result = instance->api.open
		? instance->api.open(&instance->services.core, &instance->state)
		: 0;
	instance->opened = result == 0;
	return result;
}

void instance_free(struct instance *instance) {
	if(instance->opened && instance->api.close) {
		instance->api.close(instance->state);
	}
	services_close(&instance->services);
	loop_task_cancel(&instance->idle);
	answer_cache_clear(&instance->cache);
	for(size_t i = 0; instance->given && i < count_own(instance); i++) {
		free(instance->given[i]);
	}
	free(instance->given);
	for(size_t i = 0; i < INSTANCE_COMMONS; i++) {
		free(instance->value[i]);
	}
}
