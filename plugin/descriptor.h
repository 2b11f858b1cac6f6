/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Descriptors of plugins of API version 2.
 */
#ifndef WEBSOCKSY_PLUGIN_DESCRIPTOR_H
#define WEBSOCKSY_PLUGIN_DESCRIPTOR_H
#include "websocksy_plugin.h"

/* NULL: usable; otherwise static text about what is wrong. */
const char *descriptor_check(const struct websocksy_plugin *plugin);

/* The backend of that name; NULL: there is none. */
const struct websocksy_backend *descriptor_backend(
	const struct websocksy_plugin *plugin, const char *name);

/*
 * Registers the framings for the current owner; names that are taken are logged and left out. 0 or
 * -ENOMEM.
 */
int descriptor_register(const struct websocksy_plugin *plugin, const char *path);
#endif
