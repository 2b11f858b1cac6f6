/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sections and options of an INI text, one after the other, as slices into the caller's memory.
 * The slices contain neither NUL nor line feed.
 */
#ifndef WEBSOCKSY_INI_H
#define WEBSOCKSY_INI_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

/* A longer line is an error; white space around it is not counted. */
#define INI_LINE_MAX 65536

enum ini_result {
	INI_SECTION, /* "[name]" */
	INI_OPTION, /* "name = value" */
	INI_BAD, /* a line of another form; see `error` */
	INI_END /* nothing is left */
};

struct ini_item {
	size_t line; /* the first is 1 */
	struct slice name;
	struct slice value; /* INI_OPTION only; may be empty */
	const char *error; /* INI_BAD only: static; the error and the valid form */
	bool section; /* INI_BAD only: the line was to begin a section */
};

/* State of one pass over a text. Set by ini_start(). */
struct ini_reader {
	const char *at;
	size_t left;
	size_t line;
	bool in_section; /* a section header, good or bad, was seen */
};

/* Begins reading `len` bytes of `text`, which have to stay until the last item has been used. */
void ini_start(struct ini_reader *reader, const char *text, size_t len);

/*
 * Takes the next section, option or error. Lines end in LF or CRLF, the last one may end without.
 * Blank lines and lines beginning with '#' or ';' are skipped; there are no comments behind values.
 * White space around names and values is dropped; a value in '"' is the text between
 * them, white space included. After INI_BAD reading goes on with the next line.
 */
enum ini_result ini_next(struct ini_reader *reader, struct ini_item *item);

/* Does this value have to be written in quotes to be read back as it is? */
bool ini_needs_quotes(struct slice value);

/* Prints a line that is read back as this option, to standard output. */
void ini_print(const char *name, const char *value);
#endif
