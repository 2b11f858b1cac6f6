/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The functions of the core for plugins of API version 2.
 */
#ifndef WEBSOCKSY_PLUGIN_CORE_TABLE_H
#define WEBSOCKSY_PLUGIN_CORE_TABLE_H
#include "websocksy_plugin.h"

/* Copied into the services of each owner. */
extern const struct websocksy_core core_table;
#endif
