/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Giving up privileges: another user, another group, another root directory.
 */
#ifndef WEBSOCKSY_PRIVILEGES_H
#define WEBSOCKSY_PRIVILEGES_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PRIVILEGES_ERROR_MAX 256
#define PRIVILEGES_GROUPS_MAX 256 /* supplementary groups */

/* Values of the options `user`, `group`, `chroot`; NULL: stays as it is. */
struct privileges_names {
	const char *user;
	const char *group;
	const char *root;
};

struct privileges {
	bool set_user;
	bool set_group;
	uid_t uid;
	gid_t gid;
	size_t groups;
	gid_t group[PRIVILEGES_GROUPS_MAX]; /* supplementary ones */
};

struct privileges_error {
	const char *option; /* which is wrong */
	char text[PRIVILEGES_ERROR_MAX];
};

/* Looks the names up. Blocks: only for the start and for checks. 0 or negative errno with `error`. */
int privileges_find(const struct privileges_names *names, struct privileges *out,
	struct privileges_error *error);

/*
 * Changes the root directory (`root`; NULL: stays), the groups and the user of all threads, for
 * good. A process that is no longer root has no capabilities. 0 or negative errno with `error`.
 */
int privileges_drop(
	const struct privileges *privileges, const char *root, struct privileges_error *error);
#endif
