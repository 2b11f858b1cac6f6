/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An instance of a backend of plugin API version 2: its options, and those that the core handles
 * for all backends.
 */
#ifndef WEBSOCKSY_PLUGIN_INSTANCE_H
#define WEBSOCKSY_PLUGIN_INSTANCE_H
#include "plugin/answer_cache.h"
#include "plugin/framings.h"
#include "plugin/services.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>

enum instance_common {
	INSTANCE_FRAMING,
	INSTANCE_FRAMING_CONFIG,
	INSTANCE_PROTOCOL,
	INSTANCE_SCHEMES,
	INSTANCE_COMMONS
};

struct instance {
	struct services services;
	const struct framings_owner *owner; /* of the framings that it finds */
	struct websocksy_backend api; /* fields that the plugin does not know are zero */
	void *state;
	bool opened;
	const struct websocksy_framing *framing; /* of the option; NULL: not checked yet */
	bool is_builtin; /* part of the program: its answers are not checked */
	char *value[INSTANCE_COMMONS]; /* NULL: not given, or the backend's own option */
	char **given; /* by the number of its own options: the last value, or NULL */
	struct answer_cache cache;
	struct log_limit limit; /* of lines about subprotocols */
	struct list queries; /* that are not over */
	struct list kept; /* that are over, see pending.c */
	size_t keeps;
	struct loop_task idle; /* check builds: looks for queries that are given up */
	char error[WEBSOCKSY_ERROR_MAX]; /* about the option that was refused last */
};

/*
 * The descriptor's backend of that name, opened. `name` outlives it. 0, or negative errno with
 * `error`; instance_free() in any case.
 */
int instance_open(struct instance *instance, const struct websocksy_backend *backend,
	const struct websocksy_core *core, const char *name);
void instance_free(struct instance *instance);

/* As backend_configure(); with -EINVAL there may be a text in instance->error. */
int instance_configure(struct instance *instance, const char *key, const char *value);

/* As backend_check() and backend_option(). */
int instance_check(struct instance *instance, char error[WEBSOCKSY_ERROR_MAX]);
bool instance_option(
	const struct instance *instance, size_t i, const char **name, const char **value);

/* The function of struct websocksy_core; NULL too for one that is not of an instance. */
const char *instance_own_option(const struct websocksy_core *core, const char *name);

/* The value of a common option, with its default; "" if there is none. */
const char *instance_value(const struct instance *instance, enum instance_common option);

/* Do answers of this instance may have peers with this scheme ("tcp://")? */
bool instance_allows(const struct instance *instance, const char *scheme);
#endif
