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
 * Is the line for this request, and for which of the subprotocols that the client offers? A client
 * that offers none matches any line and gets none.
 */
bool line_matches(const char *list, const struct request *request, size_t *index);

/*
 * Sets the framing of a line that has none, if the subprotocol (NULL: none) needs one other than
 * auto.
 */
void line_complete(struct line *line, const char *protocol);
#endif
