/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of all options.
 */
#ifndef WEBSOCKSY_TABLE_H
#define WEBSOCKSY_TABLE_H
#include "config/option.h"

extern const struct option_table table;

/* Titles of the groups in --help. */
extern const char *const table_groups[OPTION_GROUPS];
#endif
