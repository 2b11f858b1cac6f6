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

/* The index of an offered subprotocol, or the number of them. */
static size_t find_offer(const struct request *request, const char *name, size_t len) {
	size_t index = 0;
	while(index < request->protocols &&
		(strlen(request->protocol[index]) != len ||
			memcmp(request->protocol[index], name, len) != 0)) {
		index++;
	}
	return index;
}

bool line_matches(const char *list, const struct request *request, size_t *index) {
	*index = 0;
	if(request->protocols == 0) {
		return true;
	}
	while(*list) {
		size_t len = strcspn(list, ",");
		*index = len == 1 && *list == '*' ? 0 : find_offer(request, list, len);
		if(*index < request->protocols) {
			return true;
		}
		list += len + (list[len] == ',');
	}
	return false;
}

void line_complete(struct line *line, const char *protocol) {
	/* Messages that are binary, whatever their bytes look like, or base64. */
	static const struct {
		const char *protocol;
		const char *framing;
	} known[] = {{"binary", "binary"}, {"mqtt", "binary"}, {"mqttv3.1", "binary"},
		{"base64", "base64"}};
	for(size_t i = 0; protocol && !line->framing && i < sizeof(known) / sizeof(known[0]); i++) {
		if(!strcmp(protocol, known[i].protocol)) {
			line->framing = (char *)(uintptr_t)known[i].framing;
		}
	}
}
