/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Expressions of the backend `file`: file names with variables.
 *
 * Must not know: files.
 * Invariant: a value from a request is checked before it becomes part of a name, so that it cannot
 * name a file outside of the directory.
 */
#include "plugins/backend_file/expression.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#define BLANK " \t"

/* ---- values of variables ---- */

static int hex_value(char digit) {
	if(digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	if(digit >= 'a' && digit <= 'f') {
		return digit - 'a' + 10;
	}
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

static bool append(struct text *text, char byte) {
	if(text->len + 1 >= text->cap) {
		return false;
	}
	text->at[text->len++] = byte;
	text->at[text->len] = 0;
	return true;
}

/*
 * Appends a value as a part of a file name. False: it is empty, begins with a dot (no "..", no
 * hidden file), has a NUL (the name would end there), or is too long.
 */
static bool append_value(struct text *name, const char *value, size_t len) {
	if(len == 0 || value[0] == '.' || memchr(value, 0, len)) {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		char byte = value[i];
		if(byte == '/') {
			byte = '_';
		}
		if(!append(name, byte)) {
			return false;
		}
	}
	return true;
}

/* Percent-decoding. False: an invalid escape, or too long. */
static bool decode_percent(const char *in, size_t len, struct text *out) {
	for(size_t i = 0; i < len; i++) {
		int byte = (uint8_t)in[i];
		if(byte == '%') {
			int high = len - i > 2 ? hex_value(in[i + 1]) : -1;
			int low = high >= 0 ? hex_value(in[i + 2]) : -1;
			byte = low >= 0 ? high * 16 + low : -1;
			i += 2;
		}
		if(byte < 0 || !append(out, (char)(uint8_t)byte)) {
			return false;
		}
	}
	return true;
}

/*
 * The path of the request without its query string and the slashes at its ends. Path and query
 * string are percent-decoded, header fields are not: two names that a proxy distinguishes could
 * become one.
 */
static bool append_endpoint(struct text *name, const char *endpoint) {
	char buffer[PATH_MAX];
	struct text value = {buffer, 0, sizeof(buffer)};
	endpoint += strspn(endpoint, "/");
	size_t len = strcspn(endpoint, "#");
	while(len > 0 && endpoint[len - 1] == '/') {
		len--;
	}
	return decode_percent(endpoint, len, &value) && append_value(name, value.at, value.len);
}

/* The value of the first parameter of this name in the query string; NULL: there is none. */
static bool append_query(struct text *name, const char *query, const char *parameter) {
	char buffer[PATH_MAX];
	struct text value = {buffer, 0, sizeof(buffer)};
	size_t name_len = strlen(parameter);
	for(const char *at = query; at;) {
		size_t pair = strcspn(at, "&#");
		if(pair > name_len && !memcmp(at, parameter, name_len) && at[name_len] == '=') {
			at += name_len + 1;
			return decode_percent(at, pair - name_len - 1, &value) &&
				append_value(name, value.at, value.len);
		}
		at = at[pair] == '&' ? at + pair + 1 : NULL;
	}
	return false;
}

static bool append_header(struct text *name, struct websocksy_query *query, const char *tag) {
	const char *field;
	const char *value;
	for(size_t i = 0; (value = query->core->field(query, i, &field)); i++) {
		if(!strcasecmp(field, tag)) {
			return append_value(name, value, strlen(value));
		}
	}
	return false;
}

/* The value of the cookie in the field `at` (RFC 6265, section 4.2.1), quotes kept; NULL: not
 * there. */
static const char *find_cookie(const char *at, const char *cookie, size_t *len) {
	size_t name_len = strlen(cookie);
	while(*at) {
		at += strspn(at, BLANK ";");
		size_t pair = strcspn(at, ";");
		if(pair > name_len && !memcmp(at, cookie, name_len) && at[name_len] == '=') {
			const char *value = at + name_len + 1;
			const char *end = at + pair;
			value += strspn(value, BLANK);
			while(end > value && strchr(BLANK, end[-1])) {
				end--;
			}
			*len = (size_t)(end - value);
			return value;
		}
		at += pair;
	}
	return NULL;
}

static bool append_cookie(struct text *name, struct websocksy_query *query, const char *cookie) {
	const char *field;
	const char *fields;
	for(size_t i = 0; (fields = query->core->field(query, i, &field)); i++) {
		size_t len;
		const char *value =
			strcasecmp(field, "cookie") ? NULL : find_cookie(fields, cookie, &len);
		if(value) {
			return append_value(name, value, len);
		}
	}
	return false;
}

/* ---- expressions ---- */

static bool append_endpoint_of(
	struct text *name, struct websocksy_query *query, const char *unused) {
	const char *path = query->core->find(query, "path");
	(void)unused;
	return path && append_endpoint(name, path);
}

static bool append_query_of(
	struct text *name, struct websocksy_query *query, const char *parameter) {
	return append_query(name, query->core->find(query, "query"), parameter);
}

/* Variables; the NAME after a colon is the last argument of the function. */
static const struct {
	const char *prefix;
	bool (*append)(struct text *name, struct websocksy_query *query, const char *argument);
} variables[] = {
	{"endpoint", append_endpoint_of},
	{"query:", append_query_of},
	{"cookie:", append_cookie},
	{"header:", append_header},
};
#define VARIABLES (sizeof(variables) / sizeof(variables[0]))

/* The index in `variables`; VARIABLES: unknown. */
static size_t find_variable(const char *variable) {
	for(size_t i = 0; i < VARIABLES; i++) {
		size_t len = strlen(variables[i].prefix);
		bool takes_name = variables[i].prefix[len - 1] == ':';
		if(!strncmp(variable, variables[i].prefix, len) &&
			(variable[len] != 0) == takes_name) {
			return i;
		}
	}
	return VARIABLES;
}

static bool append_variable(
	struct text *name, struct websocksy_query *query, const char *variable) {
	size_t i = find_variable(variable);
	return i < VARIABLES &&
		variables[i].append(name, query, variable + strlen(variables[i].prefix));
}

/*
 * Reads the variable that begins with the '%' at `*at`; its name is copied to `out`. False: no
 * second '%', too long, or unknown.
 */
static bool take_variable(const char **at, char out[NAME_MAX]) {
	const char *from = *at + 1;
	const char *end = strchr(from, '%');
	if(!end || end - from >= NAME_MAX) {
		return false;
	}
	memcpy(out, from, (size_t)(end - from));
	out[end - from] = 0;
	*at = end + 1;
	return find_variable(out) < VARIABLES;
}

bool expression_evaluate(const char *expression, struct websocksy_query *query, struct text *name) {
	char variable[NAME_MAX];
	name->len = 0;
	while(*expression) {
		if(*expression != '%') {
			if(!append(name, *expression++)) {
				return false;
			}
			continue;
		}
		if(!take_variable(&expression, variable) ||
			!append_variable(name, query, variable)) {
			return false;
		}
	}
	return name->len > 0;
}

const char *expression_check(const char *expression) {
	char variable[NAME_MAX];
	if(!*expression || strlen(expression) >= PATH_MAX) {
		return "must be a file name, which may contain variables, of fewer than 4096 bytes";
	}
	for(const char *at = expression; *at;) {
		bool starts_part = at == expression || at[-1] == '/';
		if(starts_part && !strncmp(at, "..", 2) && (at[2] == 0 || at[2] == '/')) {
			return "must not contain the component \"..\"";
		}
		if(*at != '%') {
			at++;
		} else if(!take_variable(&at, variable)) {
			return "a % must begin a variable: %endpoint%, %query:NAME%, "
			       "%cookie:NAME%, "
			       "%header:NAME%";
		}
	}
	return NULL;
}
