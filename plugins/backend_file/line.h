/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The lines of the files that the backend `file` reads.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_FILE_LINE_H
#define WEBSOCKSY_PLUGIN_BACKEND_FILE_LINE_H
#include "plugins/backend_file/expression.h"

#include <stdbool.h>
#include <stddef.h>

struct line {
	char *peer;
	char *protocol; /* names in the order of preference, separated by commas */
	char *framing; /* NULL: not given */
	char *config; /* the rest; "" if there is none */
};

/*
 * Cuts the next line off the front of `text`, without its end and surrounding blanks, in place;
 * NULL: there are no more.
 */
char *line_take(struct text *text, bool *has_nul);

/* Splits a line in place. False: the subprotocol is missing. */
bool line_split(char *text, struct line *line);

/*
 * The subprotocol for a client to which the line applies, one of `offers`: names with a NUL behind
 * each, and an empty one behind the last. NULL: the line is for others. A client that offers none
 * matches any line and gets none, "".
 */
const char *line_match(const char *list, const char *offers);
#endif
