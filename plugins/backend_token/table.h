/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tokens of one file of the backend `token`: lines "TOKEN: TARGET".
 */
#ifndef WEBSOCKSY_PLUGIN_TOKEN_TABLE_H
#define WEBSOCKSY_PLUGIN_TOKEN_TABLE_H
#include "plugins/common/reading.h"

#include <stddef.h>

struct table_row {
	const char *token;
	const char *target;
};

struct table {
	struct reading_text text; /* which the rows point into */
	struct table_row *rows; /* sorted */
	size_t count;
	size_t wrong; /* number of the first line that is no token and target; 0: all are */
};

/*
 * Takes the text over, also if there is an error. 0 or -ENOMEM; the table is empty then. Blank
 * lines and those that begin with # are ignored, wrong ones left out.
 */
int table_fill(struct table *table, struct reading_text text);

/* The target of the last line with this token; NULL: there is none. */
const char *table_find(const struct table *table, const char *token);

void table_free(struct table *table);
#endif
