/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a program listens: a Unix socket that it is told to bind, or a TCP port that a preloaded library
 * exchanges for another one and reports.
 */
#ifndef WEBSOCKSY_PROGRAM_PLACE_H
#define WEBSOCKSY_PROGRAM_PLACE_H
#include "base/loop.h"
#include "network/announced.h"

#include <stdint.h>

#define PROGRAM_SECRET 33 /* of a report, as text with its NUL */

struct program_listen {
	uint16_t port; /* that it is told to bind; 0: a Unix socket */
	const char *library; /* the one to be preloaded */
};

struct program_place {
	struct loop *loop;
	struct announced *announced;
	struct ev_io reports; /* fd -1: none */
	char *folder; /* of the Unix socket; NULL: there is none */
	char *library;
	struct socket_address socket;
	uint16_t port;
	char name[PROGRAM_SECRET]; /* of the abstract socket for reports */
	char secret[PROGRAM_SECRET];
};

/* 0, or negative errno after a line in the log; program_place_close() in either case. */
int program_place_open(struct program_place *place, struct loop *loop, struct announced *announced,
	const struct program_listen *listen);

/* The addresses of an earlier start do not count any more. */
void program_place_renew(struct program_place *place);

/* The environment and the arguments of the program, one block each, to be freed. NULL: no memory. */
char **program_place_environment(const struct program_place *place, char *const *inherited);
char **program_place_arguments(const struct program_place *place, char *const *argv);

void program_place_close(struct program_place *place);
#endif
