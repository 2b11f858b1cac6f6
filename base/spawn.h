/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Starting a program as a child process.
 */
#ifndef WEBSOCKSY_SPAWN_H
#define WEBSOCKSY_SPAWN_H
#include <sys/types.h>

/* Soft limit on descriptors of programs: those that use select(2) fail with more. */
#define SPAWN_FD_LIMIT 1024

struct spawn {
	const char *path; /* absolute */
	char *const *argv;
	char *const *environment;
	int fd; /* becomes the descriptors in `standard`; -1: none; the others are the daemon's */
	unsigned standard; /* bits 0 to 2 */
	/*
	 * Two descriptors that the daemon keeps for this, with low numbers: /dev/null, and one that `fd`
	 * is copied to. All that the daemon has above them is not even looked at. NULL: none.
	 */
	const int *reserved;
	const char *terminal; /* becomes its controlling terminal and 0, 1 and 2; NULL: none */
};

/*
 * Starts a program in a session and process group of its own, with nothing open but 0, 1 and 2, all
 * signals at their default action and none blocked. It gets SIGTERM if the daemon dies. Takes the
 * same time however much memory the daemon has and, with `reserved`, however many descriptors. 0; or negative errno, also if execve(2) fails, and
 * then there is no process. `*pidfd` is the caller's, as the duty to wait for the process.
 */
int spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd);

/*
 * The file of a program: `name` itself if it contains a slash, otherwise the first executable file
 * of that name in the directories of PATH. 0 and `*out` (absolute; to be freed); -ENOENT, -EACCES,
 * -EISDIR, -ENOMEM.
 */
int spawn_find(const char *name, char **out);
#endif
