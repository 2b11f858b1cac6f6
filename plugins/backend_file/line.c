/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines of the form <peer> <subprotocol> [<framing> [<framing-config>]].
 *
 * Must not know: files, the core.
 */
#include "plugins/backend_file/line.h"

#include <string.h>

#define BLANK " \t"

/* Takes the next word off the front of `*rest`, with a NUL behind it; NULL: there is none. */
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

bool line_matches(const char *protocol, const struct request *request, size_t *index) {
	*index = 0;
	if(request->protocols == 0 || !strcmp(protocol, "*")) {
		return true;
	}
	for(; *index < request->protocols; ++*index) {
		if(!strcmp(request->protocol[*index], protocol)) {
			return true;
		}
	}
	return false;
}

/* Subprotocols whose messages are binary, whatever their bytes look like. */
static bool is_binary_protocol(const char *name) {
	static const char *const binary[] = {"binary", "mqtt", "mqttv3.1"};
	for(size_t i = 0; i < sizeof(binary) / sizeof(binary[0]); i++) {
		if(!strcmp(name, binary[i])) {
			return true;
		}
	}
	return false;
}

void line_complete(struct line *line, const char *protocol) {
	static char binary[] = "binary";
	if(!line->framing && protocol && is_binary_protocol(protocol)) {
		line->framing = binary;
	}
}
