/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of programs.
 *
 * Must not know: how a program is started.
 * Invariants: exec_address_split() of the result of exec_address_of() gives the same arguments.
 */
#include "network/exec_address.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY "\"\""

/* The next argument as it is written; empty: there are no more. */
static struct slice next_argument(const char **at) {
	const char *start = *at + strspn(*at, " ");
	size_t len = strcspn(start, " ");
	*at = start + len;
	return (struct slice){start, len};
}

/*
 * Decodes an argument, with a NUL behind it, to `out`, where it fits. The end, or NULL: not valid.
 */
static char *decode(struct slice text, char *out) {
	if(text_is(text, EMPTY)) {
		text.len = 0;
	}
	int len = text_percent_decode(text, out, text.len + 1);
	if(len < 0 || memchr(out, '\0', (size_t)len)) {
		return NULL;
	}
	out[len] = '\0';
	return out + len + 1;
}

static size_t count_arguments(const char *text) {
	size_t count = 0;
	while(next_argument(&text).len > 0) {
		count++;
	}
	return count;
}

char **exec_address_split(const char *text) {
	size_t count = count_arguments(text);
	size_t pointers = (count + 1) * sizeof(char *);
	char **argv = malloc(pointers + strlen(text) + 1);
	if(!argv) {
		return NULL;
	}
	char *at = (char *)argv + pointers;
	for(size_t i = 0; i < count && at; i++) {
		argv[i] = at;
		at = decode(next_argument(&text), at);
	}
	argv[at ? count : 0] = NULL;
	return argv;
}

static bool is_valid(char *const *argv, const char **why) {
	if(!argv[0]) {
		*why = "the program is missing, or a % is not followed by two hexadecimal digits "
		       "(a % is written %25)";
		return false;
	}
	*why = "the program is neither an absolute path nor a name without slashes";
	return argv[0][0] == '/' || (argv[0][0] != '\0' && !strchr(argv[0], '/'));
}

int exec_address_parse(struct peer_address *out, char *rest, const char *port, const char **why) {
	(void)port;
	char **argv = exec_address_split(rest);
	if(!argv) {
		return -ENOMEM;
	}
	bool valid = is_valid(argv, why);
	free(argv);
	if(!valid) {
		return -EINVAL;
	}
	out->host = strdup(rest);
	return out->host ? 0 : -ENOMEM;
}

/* ---- writing ---- */

static char *put_argument(char *to, const char *argument) {
	if(argument[0] == '\0') {
		return stpcpy(to, EMPTY);
	}
	bool is_word = strcmp(argument, EMPTY) == 0;
	for(const char *at = argument; *at; at++) {
		bool plain = *at > ' ' && *at <= '~' && *at != '%' && *at != '?' && !is_word;
		to += sprintf(to, plain ? "%c" : "%%%02X", (unsigned char)*at);
	}
	return to;
}

char *exec_address_of(char *const *argv) {
	size_t size = 1;
	for(size_t i = 0; argv[i]; i++) {
		size += 3 * strlen(argv[i]) + strlen(EMPTY) + 1;
	}
	char *text = malloc(size);
	char *to = text;
	for(size_t i = 0; text && argv[i]; i++) {
		to = put_argument(i > 0 ? stpcpy(to, " ") : to, argv[i]);
	}
	return text;
}
