/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lists of WebSocket extensions.
 *
 * Must not know: which extensions there are.
 * Implements RFC 6455 section 9.1, with the lists and quoted strings of RFC 9110 sections 5.6.1 and
 * 5.6.4.
 */
#include "http/extensions.h"

#define FIELD "Sec-WebSocket-Extensions"

/* A quoted string whose content is a token once the escapes are removed. */
static bool is_quoted_token(struct slice text) {
	if(text.len < 3 || text.at[0] != '"' || text.at[text.len - 1] != '"') {
		return false;
	}
	for(size_t i = 1; i < text.len - 1; i++) {
		/* A backslash escapes the next character, which is not the quote at the end. */
		i += text.at[i] == '\\';
		if(i == text.len - 1 ||
			!text_is_token((struct slice){.at = text.at + i, .len = 1})) {
			return false;
		}
	}
	return true;
}

/* token [ "=" ( token | quoted-string ) ] */
static bool is_parameter(struct slice text) {
	struct slice name;
	if(!text_split(&text, '=', &name)) {
		return text_is_token(text_trim(text));
	}
	struct slice value = text_trim(text);
	return text_is_token(text_trim(name)) && (text_is_token(value) || is_quoted_token(value));
}

/* token *( ";" extension-param ). No valid value has a semicolon in it, quoted or not. */
static bool is_extension(struct slice text) {
	struct slice part;
	bool more = text_split(&text, ';', &part);
	if(!text_is_token(text_trim(more ? part : text))) {
		return false;
	}
	while(more) {
		more = text_split(&text, ';', &part);
		if(!is_parameter(text_trim(more ? part : text))) {
			return false;
		}
	}
	return true;
}

bool extensions_are_valid(const struct request *request) {
	const struct request_header *header;
	size_t fields = 0;
	size_t elements = 0;
	for(; (header = request_find_header(request, FIELD, fields)) != NULL; fields++) {
		struct slice list = header->value;
		struct slice element;
		while(request_next_element(&list, &element)) {
			if(!is_extension(element)) {
				return false;
			}
			elements++;
		}
	}
	return fields == 0 || elements > 0;
}
