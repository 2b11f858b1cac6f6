/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of the form <peer> <subprotocol> [<framing> [<framing-config>]].
 *
 * Must not know: files, the core.
 */
#include "plugins/backend_file/line.h"

#include <string.h>

#define BLANK " \t"

/* Cuts the next word off the front of `*rest`, with a NUL behind it; NULL: there are no more. */
static char *take_word(char **rest) {
	char *word = *rest + strspn(*rest, BLANK);
	char *end = word + strcspn(word, BLANK);
	*rest = *end ? end + 1 : end;
	*end = 0;
	return *word ? word : NULL;
}

bool line_split(char *text, struct line *line) {
	line->peer = take_word(&text);
	line->protocol = line->peer ? take_word(&text) : NULL;
	line->framing = line->protocol ? take_word(&text) : NULL;
	line->config = text + strspn(text, BLANK);
	return line->protocol != NULL;
}

char *line_take(struct text *text, bool *has_nul) {
	if(text->len == 0) {
		return NULL;
	}
	char *line = text->at;
	char *newline = memchr(line, '\n', text->len);
	size_t len = newline ? (size_t)(newline - line) : text->len;
	size_t taken = newline ? len + 1 : len;
	text->at += taken;
	text->len -= taken;
	*has_nul = memchr(line, 0, len) != NULL;
	while(len > 0 && strchr(BLANK "\r", line[len - 1])) {
		len--;
	}
	line[len] = 0;
	return line + strspn(line, BLANK);
}

/* The offer that is this name; NULL: there is none. */
static const char *find_offer(const char *offers, const char *name, size_t len) {
	while(*offers && (strlen(offers) != len || memcmp(offers, name, len) != 0)) {
		offers += strlen(offers) + 1;
	}
	return *offers ? offers : NULL;
}

const char *line_match(const char *list, const char *offers) {
	const char *found = *offers ? NULL : offers;
	while(!found && *list) {
		size_t len = strcspn(list, ",");
		found = len == 1 && *list == '*' ? offers : find_offer(offers, list, len);
		list += len + (list[len] == ',');
	}
	return found;
}
