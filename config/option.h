/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An option is a row of the table in config/table.c, which refers to its type in config/types.c.
 * A new one also needs a member of struct settings and a paragraph in websocksy.conf(5).
 */
#ifndef WEBSOCKSY_OPTION_H
#define WEBSOCKSY_OPTION_H
#include "base/number.h"
#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_MAX 128

struct option;
struct reader;

/* How the values of an option are read, kept and printed. */
struct option_type {
	/* Reads `text` (NULL for options without a value) into the reader's configuration. A value
	 * that is not valid is reported. */
	void (*parse)(struct reader *reader, const struct option *option, const char *text);
	/* Prints the value as lines of a configuration file. NULL: there is none. */
	void (*print)(const struct option *option, const struct config *config);
	/* Frees the value and leaves an empty one. NULL: it owns no memory. */
	void (*release)(const struct option *option, struct config *config);
	/* Of numbers: the notation, its description for errors, and the field. */
	enum number_kind kind;
	const char *expected;
	void (*store)(void *field, uint64_t number);
	uint64_t (*load)(const void *field);
	/* Of words: the valid ones, NULL at the end; their index is stored as an int. */
	const char *const *words;
	/* Of a text: NULL, or the rest of a sentence that begins with the quoted value. */
	const char *(*check)(const char *text);
};

/* Sections of --help. */
enum option_group {
	OPTION_CLIENTS,
	OPTION_TLS,
	OPTION_PEERS,
	OPTION_TIMES,
	OPTION_LIMITS,
	OPTION_RUNNING,
	OPTION_GROUPS
};

struct option {
	const char *name; /* long option and key in [core]; NULL: only the letter */
	const char *argument; /* the value's name in --help; NULL: takes none */
	const char *help;
	const char *preset; /* the default as it would be written; NULL: none is to be set */
	const struct option_type *type;
	size_t offset; /* of the value in struct config, for types that are one field */
	uint64_t min; /* of numbers */
	uint64_t max;
	int amount; /* of verbosity: steps; of an action: which */
	enum option_group group;
	char letter; /* 0: none */
	bool key; /* may stand in [core] */
	bool path; /* the value is a path, or a list of paths: see config/paths.h */
	bool optional; /* on the command line the value may be left out: yes */
	bool fixed; /* changes only when the daemon is started again */
};

/* Where the value is, for types that are one field. */
static inline void *option_field(const struct option *option, struct config *config) {
	return (char *)config + option->offset;
}

static inline const void *option_const_field(
	const struct option *option, const struct config *config) {
	return (const char *)config + option->offset;
}

struct option_table {
	const struct option *option;
	size_t count;
};
#endif
