/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams to programs: one process for each, with a socket or a terminal as its standard input and
 * output.
 */
#ifndef WEBSOCKSY_EXEC_H
#define WEBSOCKSY_EXEC_H
#include "base/process.h"
#include "network/peer_address.h"
#include "network/stream.h"

#include <stdbool.h>

struct exec;

/* How programs are started, for an exec:// address; not kept. */
struct exec_options {
	struct process_set *processes;
	char *const *environment;
	bool terminal; /* it gets one, instead of a socket */
};

/*
 * Starts the program of an address. Its descriptor, or negative errno with `*why` set to a static
 * text or NULL. `*out` is the caller's: exec_attach() or exec_drop().
 */
int exec_open(struct exec **out, const struct peer_address *address,
	const struct exec_options *options, const char **why);

/* The operations of streams to it. */
const struct stream_ops *exec_ops(const struct exec *exec);

/* `stream` has been opened with the descriptor; it owns `exec` from here on. */
void exec_attach(struct exec *exec, struct stream *stream);

/* Ends the program. NULL: nothing. */
void exec_drop(struct exec *exec);

/*
 * Can the program of an address be started, as far as its file shows? 0, or negative errno with
 * `*why`, a static text.
 */
int exec_check(const struct peer_address *address, const char **why);
#endif
