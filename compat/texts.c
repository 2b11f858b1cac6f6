/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A list of texts that grows, each with the option that it comes from.
 *
 * It must not know the meaning of the texts.
 * Invariant: `at` has a NULL behind its last text, as argv has.
 */
#include "compat/texts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more text and the NULL behind it. */
static bool grow(struct texts *texts) {
	char **at = realloc(texts->at, (texts->count + 2) * sizeof(*at));
	if(!at) {
		return false;
	}
	texts->at = at;
	const char **source = realloc(texts->source, (texts->count + 1) * sizeof(*source));
	if(!source) {
		return false;
	}
	texts->source = source;
	return true;
}

void texts_add(struct texts *texts, const char *source, const char *format, ...) {
	char *text;
	va_list arguments;
	va_start(arguments, format);
	int len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if(len < 0) {
		texts->no_memory = true;
		return;
	}
	if(!grow(texts)) {
		texts->no_memory = true;
		free(text);
		return;
	}
	texts->at[texts->count] = text;
	texts->source[texts->count] = source;
	texts->at[++texts->count] = NULL;
}

void texts_remove(struct texts *texts, size_t i) {
	free(texts->at[i]);
	/* With the NULL at the end. */
	memmove(texts->at + i, texts->at + i + 1, (texts->count - i) * sizeof(*texts->at));
	memmove(texts->source + i, texts->source + i + 1,
		(texts->count - i - 1) * sizeof(*texts->source));
	texts->count--;
}

void texts_free(struct texts *texts) {
	for(size_t i = 0; i < texts->count; i++) {
		free(texts->at[i]);
	}
	free(texts->at);
	free(texts->source);
	*texts = (struct texts){0};
}
