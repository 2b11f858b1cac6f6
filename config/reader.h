/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state of reading one configuration: the option in hand and the place where it was given, so
 * that every message can name it, and notes for the second pass.
 */
#ifndef WEBSOCKSY_READER_H
#define WEBSOCKSY_READER_H
#include "base/log.h"
#include "base/text.h"
#include "config/ini.h"
#include "config/option.h"

#include <stdbool.h>
#include <stddef.h>

#define READER_GIVEN_MAX 64
#define READER_VALUE_MAX (INI_LINE_MAX - 64) /* with its name it still fits on a line */

/* Where an option was given. */
struct reader_place {
	const char *file; /* NULL: the command line */
	size_t line; /* 0: the built-in defaults */
	size_t order; /* counts all options */
};

/* Where a text of a list was given. */
struct reader_text {
	const struct option *option;
	struct reader_place place;
};

/* Something that the second pass does with backends. */
struct reader_action {
	struct reader_place place;
	char *key; /* an option for the backend; NULL: load the backend `value` ("": built in) */
	char *value;
};

struct reader {
	struct config *config;
	struct option_table table;
	struct reader_place place; /* of the option in hand */
	char given[READER_GIVEN_MAX]; /* the option in hand as written: "-p", "--port", "port" */
	struct reader_place set[OPTIONS_MAX]; /* where each value was given */
	struct reader_place program; /* of `--` */
	struct reader_text *text; /* in the order of the texts in their lists */
	size_t texts;
	struct reader_action *action;
	size_t actions;
	size_t errors;
	const struct config *running; /* while this one is read; NULL: this is the first */
	const struct config *kept; /* has the contents of its files; NULL: they are read */
	bool keeps; /* the contents of files are kept in the configuration */
	bool quiet; /* nothing is logged */
	bool no_memory;
	bool stop; /* after --help, --version and "--": the rest is not read */
	bool has_file; /* a configuration file was named without --config */
};

/* Frees the objects of the reader; the configuration stays. */
void reader_free(struct reader *reader);

/* ---- messages ---- */

/* Sets the name of the option in hand, as the user wrote it. */
void reader_name(struct reader *reader, const char *dashes, struct slice name);

/* Logs a line about the option in hand. */
void reader_log(const struct reader *reader, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for an error, which makes the configuration unusable. */
void reader_error(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void reader_error_memory(struct reader *reader);

/* Makes the option `name` the one in hand, for an error that only the whole shows. */
void reader_blame(struct reader *reader, const char *name);

/* The same for one text of a list: each has a place of its own. */
void reader_blame_text(struct reader *reader, const char *name, size_t index);

/* ---- options ---- */

/* NULL: there is none. */
const struct option *reader_find(const struct reader *reader, struct slice name);
const struct option *reader_find_letter(const struct reader *reader, char letter);

/* Was the option `name` given after the option `other`? */
bool reader_is_later(const struct reader *reader, const char *name, const char *other);

/* Gives the option in hand its value (NULL for options that take none). */
void reader_set(struct reader *reader, const struct option *option, const char *text);

/* Remembers where the text in hand, which was added to a list, was given. 0 or -ENOMEM. */
int reader_note_text(struct reader *reader, const struct option *option);

/* Forgets the places of a list's texts. */
void reader_forget_texts(struct reader *reader, const struct option *option);

/* Keeps the path of a configuration file, which is the configuration's from here on. 0 or -ENOMEM. */
int reader_add_file(struct reader *reader, char *path);

/*
 * Takes the content of the last file over, if contents are to be kept: true. Otherwise it stays the
 * caller's.
 */
bool reader_keep_content(struct reader *reader, char *content);

/* ---- backends ---- */

/* Notes down an option for the backend. */
void reader_add_backend_option(struct reader *reader, struct slice key, const char *value);

/* Notes down that backend `name` ("": the built-in one) is to be loaded. */
void reader_add_backend(struct reader *reader, const char *name);
#endif
