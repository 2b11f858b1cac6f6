/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts of a request by the name of their source.
 *
 * It must not know backends or connections.
 *
 * Invariants: a text with a NUL or an invalid escape is none, so it is never taken for another.
 * Implements RFC 6265, section 4.2.1 (the Cookie field), and RFC 6750, section 2.1.
 */
#include "plugin/find.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct found {
	struct found *next;
	char text[];
};

/* `len` bytes for a text and its NUL, kept in the list. NULL: no memory. */
static char *add_text(struct found **list, size_t len) {
	struct found *found = malloc(sizeof(*found) + len + 1);
	if(!found) {
		return NULL;
	}
	found->next = *list;
	*list = found;
	found->text[len] = '\0';
	return found->text;
}

static const char *add_slice(struct found **list, struct slice slice) {
	char *text = add_text(list, slice.len);
	if(text && slice.len > 0) {
		memcpy(text, slice.at, slice.len);
	}
	return text;
}

/* ---- the target ---- */

static const char *find_path(
	const struct backend_request *request, struct slice name, struct found **list) {
	(void)name;
	const char *target = request->endpoint;
	return add_slice(list, (struct slice){target, strcspn(target, "?")});
}

static struct slice query_of(const struct backend_request *request) {
	const char *mark = strchr(request->endpoint, '?');
	return text_slice(mark ? mark + 1 : "");
}

static const char *find_query(
	const struct backend_request *request, struct slice name, struct found **list) {
	(void)name;
	return add_slice(list, query_of(request));
}

/* Decodes a name or value of a form (a plus is a blank) in place. False: not valid. */
static bool decode_form(char *text) {
	char *out = text;
	for(const char *at = text; *at; at++) {
		if(*at != '%') {
			*out++ = *at == '+' ? ' ' : *at;
			continue;
		}
		int high = text_hex_value(at[1]);
		int low = high < 0 ? -1 : text_hex_value(at[2]);
		if(low < 0 || high * 16 + low == 0) {
			return false;
		}
		*out++ = (char)(high * 16 + low);
		at += 2;
	}
	*out = '\0';
	return true;
}

/* The first parameter of that name counts. */
static const char *find_parameter(
	const struct backend_request *request, struct slice name, struct found **list) {
	struct slice rest = query_of(request);
	while(rest.len > 0) {
		struct slice value = text_take(&rest, '&');
		struct slice raw = text_take(&value, '=');
		char *key = add_text(list, raw.len);
		if(!key) {
			return NULL;
		}
		memcpy(key, raw.at, raw.len);
		if(decode_form(key) && text_is(name, key)) {
			char *text = (char *)(uintptr_t)add_slice(list, value);
			return text && decode_form(text) ? text : NULL;
		}
	}
	return NULL;
}

/* ---- header fields ---- */

static const char *next_field(
	const struct backend_request *request, struct slice name, size_t *index) {
	while(*index < request->headers) {
		const ws_http_header *header = &request->header[(*index)++];
		if(text_is_nocase(name, header->tag)) {
			return header->value;
		}
	}
	return NULL;
}

static const char *find_header(
	const struct backend_request *request, struct slice name, struct found **list) {
	size_t len = 0;
	size_t count = 0;
	size_t index = 0;
	const char *value;
	while((value = next_field(request, name, &index))) {
		len += strlen(value) + 2;
		count++;
	}
	char *text = count > 0 ? add_text(list, len) : NULL;
	if(!text) {
		return NULL;
	}
	char *at = text;
	*at = '\0';
	index = 0;
	while((value = next_field(request, name, &index))) {
		at = stpcpy(at, at > text ? ", " : "");
		at = stpcpy(at, value);
	}
	return text;
}

/* The first label; an address has none. */
static const char *find_host(
	const struct backend_request *request, struct slice name, struct found **list) {
	size_t index = 0;
	(void)name;
	const char *host = next_field(request, text_slice("Host"), &index);
	struct slice label = {host, host ? strcspn(host, ".:") : 0};
	return label.len > 0 && host[0] != '[' ? add_slice(list, label) : NULL;
}

static const char *find_cookie(
	const struct backend_request *request, struct slice name, struct found **list) {
	size_t index = 0;
	const char *field;
	while((field = next_field(request, text_slice("Cookie"), &index))) {
		struct slice rest = text_slice(field);
		while(rest.len > 0) {
			struct slice value = text_trim(text_take(&rest, ';'));
			struct slice key = text_take(&value, '=');
			if(text_equal(key, name)) {
				bool quoted = value.len >= 2 && value.at[0] == '"' &&
					value.at[value.len - 1] == '"';
				struct slice inner = {value.at + 1, quoted ? value.len - 2 : 0};
				return add_slice(list, quoted ? inner : value);
			}
		}
	}
	return NULL;
}

static const char *find_bearer(
	const struct backend_request *request, struct slice name, struct found **list) {
	static const char scheme[] = "Bearer ";
	size_t index = 0;
	(void)name;
	const char *field = next_field(request, text_slice("Authorization"), &index);
	if(!field || !text_begins_nocase(text_slice(field), scheme)) {
		return NULL;
	}
	struct slice token = text_trim(text_skip(text_slice(field), sizeof(scheme) - 1));
	return token.len > 0 ? add_slice(list, token) : NULL;
}

static const char *find_user(
	const struct backend_request *request, struct slice name, struct found **list) {
	(void)name;
	return find_header(request, text_slice("Websocksy-User"), list);
}

static const char *find_client(
	const struct backend_request *request, struct slice name, struct found **list) {
	(void)name;
	return find_header(request, text_slice("Websocksy-Client-Address"), list);
}

static const char *find_protocols(
	const struct backend_request *request, struct slice name, struct found **list) {
	size_t len = 0;
	(void)name;
	for(size_t i = 0; i < request->protocols; i++) {
		len += strlen(request->protocol[i]) + 2;
	}
	char *text = len > 0 ? add_text(list, len) : NULL;
	char *at = text;
	for(size_t i = 0; text && i < request->protocols; i++) {
		at = stpcpy(at, i > 0 ? ", " : "");
		at = stpcpy(at, request->protocol[i]);
	}
	return text;
}

/* ---- the table ---- */

struct source {
	const char *name;
	bool has_name; /* "query:NAME" */
	const char *(*find)(
		const struct backend_request *request, struct slice name, struct found **list);
};

static const struct source sources[] = {
	{"path", false, find_path},
	{"query", false, find_query},
	{"query", true, find_parameter},
	{"host", false, find_host},
	{"header", true, find_header},
	{"cookie", true, find_cookie},
	{"bearer", false, find_bearer},
	{"user", false, find_user},
	{"client", false, find_client},
	{"protocols", false, find_protocols},
};

static const struct source *find_source(const char *text, struct slice *name) {
	size_t len = strcspn(text, ":");
	bool has_name = text[len] == ':' && text[len + 1];
	if(text[len] == ':' && !has_name) {
		return NULL;
	}
	*name = text_slice(has_name ? text + len + 1 : "");
	for(size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if(text_is((struct slice){text, len}, sources[i].name) &&
			sources[i].has_name == has_name) {
			return &sources[i];
		}
	}
	return NULL;
}

const char *find_text(
	const struct backend_request *request, const char *source, struct found **list) {
	struct slice name;
	const struct source *row = find_source(source, &name);
	return row ? row->find(request, name, list) : NULL;
}

void find_free(struct found *list) {
	while(list) {
		struct found *next = list->next;
		free(list);
		list = next;
	}
}

const char *find_check(const char *source) {
	struct slice name;
	return find_source(source, &name)
		? NULL
		: "must be query:NAME, host, cookie:NAME, header:NAME or bearer";
}
