/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program on the command line: its file, and the options that go with it.
 */
#ifndef WEBSOCKSY_WRAP_H
#define WEBSOCKSY_WRAP_H
#include "config/reader.h"
#include "service/program.h"

/*
 * Finds the file of the program, reports what contradicts it, and makes it the peer of the built-in
 * backend. Nothing without a program. Before the backend is built.
 */
void wrap_check(struct reader *reader);

/*
 * Starts the program, if there is one that is not started for each client. `fn` and `ctx` of
 * `program` are set before. 0, or negative errno after a line in the log.
 */
int wrap_start(const struct config *config, struct program *program, struct process_set *processes,
	struct announced *announced);
#endif
