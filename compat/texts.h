/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A list of texts that grows, each with the option that it comes from.
 */
#ifndef WEBSOCKSY_TEXTS_H
#define WEBSOCKSY_TEXTS_H
#include <stdbool.h>
#include <stddef.h>

struct texts {
	char **at; /* NULL at the end */
	const char **source; /* the option of each; static; NULL: it may be left out */
	size_t count;
	bool no_memory; /* one of them could not be added */
};

/* Adds a text, formatted as by printf(3). */
void texts_add(struct texts *texts, const char *source, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Removes the text at `i`. */
void texts_remove(struct texts *texts, size_t i);

void texts_free(struct texts *texts);
#endif
