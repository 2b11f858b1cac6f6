/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The sources of the backend `token`: a file of tokens, a directory of such files, a directory
 * whose file names are the tokens, and a directory of Unix sockets.
 */
#ifndef WEBSOCKSY_PLUGIN_TOKEN_SOURCE_H
#define WEBSOCKSY_PLUGIN_TOKEN_SOURCE_H
#include "plugins/backend_token/files.h"
#include "plugins/common/target.h"
#include "websocksy_plugin.h"

struct source_class;

struct source {
	const struct websocksy_core *core;
	const struct source_class *class;
	char *path;
	struct files files; /* unless the names of files are the tokens */
};

/*
 * `kind` is the name of the option. 0, and source_free() is due; -ENOMEM; -EINVAL: there is no such
 * kind.
 */
int source_open(struct source *source, const struct websocksy_core *core, const char *kind,
	const char *path);

/* Can it be read? 0 or negative errno. */
int source_check(struct source *source);

/*
 * Writes the address of the peer. 0; -ENOKEY: there is no such token; -EBADMSG: its target is
 * wrong; another negative errno: it cannot be read. Errors but -ENOKEY have been logged.
 */
int source_find(struct source *source, const char *token, char peer[TARGET_MAX]);

const char *source_kind(const struct source *source);
void source_free(struct source *source);
#endif
