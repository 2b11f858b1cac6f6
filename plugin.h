/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads framing plugins. Also defines what the core exports to all plugins; that is declared in
 * websocksy.h.
 */
#ifndef WEBSOCKSY_PLUGIN_H
#define WEBSOCKSY_PLUGIN_H
#include <stddef.h>

/*
 * Loads every *.so in `directory` (absolute) whose name does not begin with "backend_" or a dot, in
 * sorted order; files that are loaded already are skipped. A file that cannot be loaded, or that
 * another user could change (plugin/trust.h), is logged and skipped; a missing directory is a debug
 * line only.
 * `*loaded` becomes the number of plugins that were loaded. 0, -EINVAL for a relative path,
 * -ENOMEM.
 */
int plugin_load_directory(const char *directory, size_t *loaded);

/*
 * Unloads the `count` plugins that were loaded last and removes their framings; no stream uses
 * them. For a configuration that is not put into use.
 */
void plugin_unload(size_t count);

/* Unloads everything and empties the registry. All backends and connections are gone by then. */
void plugin_shutdown(void);
#endif
