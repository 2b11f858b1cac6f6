/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Header fields of pages that the operator has configured.
 *
 * Must not know: requests, responses, options.
 * Invariant: a value cannot end its line or, in a policy, its directive.
 * Implements RFC 9110 sections 5.1 and 5.5; Content Security Policy Level 3, section 6.4.2.
 */
#include "http/page_fields.h"

#include "base/text.h"
#include "http/origin.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fields that follow from the file, the request or the connection. */
static const char *const own_fields[] = {
	"Accept-Ranges",
	"Connection",
	"Content-Encoding",
	"Content-Length",
	"Content-Range",
	"Content-Type",
	"Date",
	"ETag",
	"Keep-Alive",
	"Last-Modified",
	"Location",
	"Trailer",
	"Transfer-Encoding",
	"Upgrade",
};

/* Words of the option, and how a policy spells them. */
static const struct {
	const char *word;
	const char *source;
} site_words[] = {
	{"self", "'self'"},
	{"none", "'none'"},
	{"*", "*"},
};

const char *page_fields_check_header(const char *text) {
	struct slice value = text_slice(text);
	struct slice name;
	if(!text_split(&value, ':', &name) || !text_is_token(name)) {
		return "is not a header field (Name: value)";
	}
	for(size_t i = 0; i < sizeof(own_fields) / sizeof(*own_fields); i++) {
		if(text_is_nocase(name, own_fields[i])) {
			return "is a header field that depends on the response and cannot be set";
		}
	}
	for(size_t i = 0; i < value.len; i++) {
		if(text_is_control(value.at[i]) && value.at[i] != '\t') {
			return "has a control character in its value";
		}
	}
	return text_trim(value).len > 0 ? NULL : "has no value (Name: value)";
}

static const char *word_source(const char *text) {
	for(size_t i = 0; i < sizeof(site_words) / sizeof(*site_words); i++) {
		if(strcmp(text, site_words[i].word) == 0) {
			return site_words[i].source;
		}
	}
	return NULL;
}

const char *page_fields_check_site(const char *text) {
	struct origin origin = {0};
	const char *error;
	if(word_source(text)) {
		return NULL;
	}
	int result = origin_parse(text, &origin, &error);
	bool is_site =
		result == 0 && (origin.kind == ORIGIN_EXACT || origin.kind == ORIGIN_SUBDOMAIN);
	origin_free(&origin);
	return is_site ? NULL : "must be self, none, * or scheme://host[:port]";
}

/* Appends `parts`, NULL at the end, to `*text`, which grows. False: no memory. */
static bool append(char **text, const char *const *parts) {
	size_t len = *text ? strlen(*text) : 0;
	size_t more = 1;
	for(size_t i = 0; parts[i]; i++) {
		more += strlen(parts[i]);
	}
	char *grown = realloc(*text, len + more);
	if(!grown) {
		return false;
	}
	*text = grown;
	char *end = grown + len;
	for(size_t i = 0; parts[i]; i++) {
		end = stpcpy(end, parts[i]);
	}
	return true;
}

int page_fields_set(struct page_fields *fields, struct page_fields_values headers,
	struct page_fields_values sites) {
	bool fine = true;
	page_fields_free(fields);
	for(size_t i = 0; fine && i < headers.count; i++) {
		fine = append(&fields->fields, (const char *const[]){headers.at[i], "\r\n", NULL});
	}
	for(size_t i = 0; fine && i < sites.count; i++) {
		const char *source = word_source(sites.at[i]);
		fine = append(&fields->ancestors,
			(const char *const[]){
				i > 0 ? " " : "", source ? source : sites.at[i], NULL});
	}
	if(!fine) {
		page_fields_free(fields);
	}
	return fine ? 0 : -ENOMEM;
}

bool page_fields_has(const struct page_fields *fields, const char *name) {
	struct slice rest = text_slice(fields->fields ? fields->fields : "");
	struct slice line;
	while(text_split(&rest, '\n', &line)) {
		struct slice own;
		bool is_field = text_split(&line, ':', &own);
		assert(is_field);
		if(is_field && text_is_nocase(own, name)) {
			return true;
		}
	}
	return false;
}

void page_fields_free(struct page_fields *fields) {
	free(fields->fields);
	free(fields->ancestors);
	fields->fields = NULL;
	fields->ancestors = NULL;
}
