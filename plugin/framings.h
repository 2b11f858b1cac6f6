/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The registry of framings by name, and the adapter that makes a framing of a version 1 function.
 */
#ifndef WEBSOCKSY_PLUGIN_FRAMINGS_H
#define WEBSOCKSY_PLUGIN_FRAMINGS_H
#include "plugin/framing.h"
#include "websocksy.h"
#include "websocksy_plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Framings of version 2 plugins that backends of version 1 can choose. */
#define FRAMINGS_FOR_VERSION1 16

/* The arguments of a version 1 function. */
struct framings_call {
	uint8_t *data;
	size_t length;
	size_t last_read;
	ws_operation *opcode;
	void **framing_data;
	const char *config;
};

/* The plugin or backend whose code registers functions; part of the object that keeps the code. */
struct framings_owner {
	bool is_backend; /* its framings are found by itself alone */
	const struct websocksy_core *core; /* for its framings of version 2 */
};

/*
 * The framing registered under `name` (NULL: auto): one of the program or of a framing plugin, or
 * of the backend whose code is running. NULL: there is none; not logged. Valid as long as what
 * registered it.
 */
const struct websocksy_framing *framings_find(const char *name);

/*
 * The framing of a function that a backend has returned (NULL: auto); `owner` is that backend's. A
 * function that is not registered gets an object without a check, which is `owner`'s. NULL: no
 * memory.
 */
const struct websocksy_framing *framings_of_function(
	ws_framing function, const struct framings_owner *owner);

/*
 * Registers a framing of the program. `framing` is static; `function` is what core_framing() gives
 * for it, see framings_call(). 0 or -ENOMEM.
 */
int framings_register(const struct websocksy_framing *framing, ws_framing function);

/*
 * Registers a framing of a version 2 plugin, for the current owner. 0, -EEXIST: the name is taken;
 * -ENOMEM.
 */
int framings_register_plugin(const struct websocksy_framing *framing);

/* The functions of the core for this framing; NULL: it needs none. */
const struct websocksy_core *framings_core(const struct websocksy_framing *framing);

/* A framing by its number from 0, in the order of registration; NULL: there are no more. */
const struct websocksy_framing *framings_at(size_t number, const struct framings_owner **owner);

/* The function by which version 1 plugins call this framing; NULL: there is none. */
ws_framing framings_function(const struct websocksy_framing *framing);

/*
 * Calls a framing of the program as version 1 describes it. That interface has no argument for the
 * object, so each such framing needs a function of its own, which calls this one.
 */
int64_t framings_call(const struct websocksy_framing *framing, const struct framings_call *call);

/*
 * core_register_framing() and core_register_framing_check() without their log lines. `name` is
 * copied. 0; -EEXIST: the name is taken; -ENOENT: the current owner has not registered the name;
 * -ENOMEM.
 */
int framings_register_function(const char *name, ws_framing function);
int framings_register_check(const char *name, ws_framing_check check);

/*
 * Code of `owner` is about to run (NULL: has returned): it owns the functions registered from now
 * on. Returns the owner before.
 */
const struct framings_owner *framings_set_owner(const struct framings_owner *owner);

/* Removes the framings of `owner` (NULL: the program). No stream uses them any more. */
void framings_drop(const struct framings_owner *owner);
#endif
