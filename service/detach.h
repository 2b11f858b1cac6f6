/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Detaching: the daemon goes on in the background, and the process that was started tells whether
 * that has succeeded.
 */
#ifndef WEBSOCKSY_DETACH_H
#define WEBSOCKSY_DETACH_H
#include <stdbool.h>

#define DETACH_KEEP_MAX 2

/* Zero, apart from `keep_fd`, which the caller sets: not detached. */
struct detach {
	int error_fd; /* standard error of the process that was started */
	int null_fd; /* /dev/null: another root directory may lack it */
	int ready_fd; /* to the process that was started; 0: none waits */
	int keep_fd[DETACH_KEEP_MAX]; /* not closed at the start; in order; 0: none */
};

/*
 * Returns in a new process only, in a session of its own, with umask 027. The process that was
 * started exits: with status 0 after detach_ready(), or with the status of the daemon if that ends
 * before. Standard streams and working directory stay, so that errors can be written; inherited
 * descriptors from `first_fd` on are closed. 0 or negative errno. There must be no threads.
 */
int detach_begin(struct detach *detach, int first_fd);

/*
 * Changes standard input and output to /dev/null and, unless `keep_error`, standard error too,
 * before programs are started. Returns the descriptor for errors of the start, valid until
 * detach_ready(): standard error as it was. No change if not detached.
 */
int detach_streams(struct detach *detach, bool keep_error);

/*
 * The daemon is ready: changes the working directory to / and lets the process that was started
 * exit. No effect if not detached.
 */
void detach_ready(struct detach *detach);
#endif
