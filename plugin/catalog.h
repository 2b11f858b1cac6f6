/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of the plugins in a directory.
 */
#ifndef WEBSOCKSY_PLUGIN_CATALOG_H
#define WEBSOCKSY_PLUGIN_CATALOG_H

/*
 * Prints the plugins of `directory` to standard output, in sorted order: files, versions, framings,
 * backends and their options. Plugins of version 1 and those that cannot be loaded have one line.
 */
void catalog_print(const char *directory);
#endif
