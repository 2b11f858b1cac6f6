/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command lines of websockify and wsproxy: under one of their names, the daemon takes their
 * arguments and runs with the options that mean the same.
 */
#ifndef WEBSOCKSY_COMPAT_H
#define WEBSOCKSY_COMPAT_H
#include "compat/texts.h"

#include <stdbool.h>

#define COMPAT_ERROR_MAX 512

#define COMPAT_SECRETS 2 /* the password of a user, and that of a key */

/* Exit status of errors in the use of the command line, as that of Python's optparse. */
#define COMPAT_USAGE_STATUS 2

struct compat {
	const char *name; /* as called; NULL: this is websocksy itself */
	int argc; /* the arguments for config_read() */
	char **argv;
	int status; /* exit status, if the daemon is not to run */
	struct texts arguments; /* argv, if it was translated */
	struct texts notices; /* options without a meaning here */
	struct texts lines; /* to be logged when the daemon listens */
	const char *backend; /* the backend that the arguments select; NULL: built in */
	int secret_fd[COMPAT_SECRETS]; /* of files in memory, which stay open, in order */
	size_t secrets;
	bool usage; /* the error is one of usage */
	char error[COMPAT_ERROR_MAX]; /* empty: none */
};

/*
 * Sets `argc` and `argv` of `compat`: the arguments as they are, or, if the base name of argv[0] is
 * websockify, run or wsproxy, their translation. `argv` has to stay until compat_free(). True: the
 * daemon is to run. False: help or an error was printed, and `status` is the exit status.
 */
bool compat_begin(struct compat *compat, int argc, char **argv);

/* Logs the lines with which websockify tells that it has started. */
void compat_started(const struct compat *compat);

void compat_free(struct compat *compat);
#endif
