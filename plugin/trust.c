/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Checks who can change a file.
 *
 * Must not know: the use of the file.
 *
 * Invariants: components are checked from the root down, so when one is looked at no other user can
 * exchange those above it; `done` contains no symbolic link.
 */
#include "plugin/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRUST_LINKS 40 /* as many as the kernel follows */

/* A path that is being followed. */
struct walk {
	char done[PATH_MAX]; /* checked; "" is the root */
	char rest[PATH_MAX]; /* not looked at */
	unsigned links;
};

/* The first component that is left becomes the last of `done`. 0 or -ENAMETOOLONG. */
static int take_component(struct walk *walk) {
	const char *name = walk->rest + strspn(walk->rest, "/");
	size_t name_len = strcspn(name, "/");
	size_t done_len = strlen(walk->done);
	if(name_len + done_len + 2 > sizeof(walk->done)) {
		return -ENAMETOOLONG;
	}
	walk->done[done_len] = '/';
	memcpy(walk->done + done_len + 1, name, name_len);
	walk->done[done_len + 1 + name_len] = '\0';
	memmove(walk->rest, name + name_len, strlen(name + name_len) + 1);
	return 0;
}

/* The last component of `done` is a symbolic link: its target comes before what is left. */
static int follow_link(struct walk *walk) {
	char target[PATH_MAX];
	ssize_t len = readlink(walk->done, target, sizeof(target));
	size_t rest_len = strlen(walk->rest);
	if(len < 0) {
		return -errno;
	}
	if(walk->links++ >= TRUST_LINKS) {
		return -ELOOP;
	}
	if((size_t)len + 1 + rest_len + 1 > sizeof(walk->rest)) {
		return -ENAMETOOLONG;
	}
	memmove(walk->rest + len + 1, walk->rest, rest_len + 1);
	memcpy(walk->rest, target, (size_t)len);
	walk->rest[len] = '/';
	walk->done[target[0] == '/' ? 0 : strrchr(walk->done, '/') - walk->done] = '\0';
	return 0;
}

/* May a user other than root and that of this process change the component? */
static int check_component(
	const char *path, const struct stat *status, char error[TRUST_ERROR_MAX]) {
	if(status->st_uid != 0 && status->st_uid != geteuid()) {
		snprintf(error, TRUST_ERROR_MAX,
			"refused, because %.300s is owned by user %u (only root and the user of "
			"this process are allowed)",
			path, (unsigned)status->st_uid);
		return -EPERM;
	}
	/* In a sticky directory others can add entries but not exchange those of the owner. */
	bool sticky = S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX);
	if(!S_ISLNK(status->st_mode) && !sticky && (status->st_mode & (S_IWGRP | S_IWOTH))) {
		snprintf(error, TRUST_ERROR_MAX,
			"refused, because %s may write to %.300s (chmod go-w)",
			status->st_mode & S_IWOTH ? "every user" : "its group", path);
		return -EPERM;
	}
	return 0;
}

/* Checks the last component of `done` and follows it if it is a link. */
static int step(struct walk *walk, struct stat *status, char error[TRUST_ERROR_MAX]) {
	const char *shown = walk->done[0] ? walk->done : "/";
	if(lstat(shown, status) < 0) {
		return -errno;
	}
	int result = check_component(shown, status, error);
	return result == 0 && S_ISLNK(status->st_mode) ? follow_link(walk) : result;
}

int trust_check(const char *path, struct stat *file, char error[TRUST_ERROR_MAX]) {
	struct walk walk = {.done = ""};
	error[0] = '\0';
	size_t len = strlen(path);
	int result = len < sizeof(walk.rest) ? 0 : -ENAMETOOLONG;
	if(result == 0) {
		memcpy(walk.rest, path, len + 1);
		result = step(&walk, file, error);
	}
	while(result == 0 && walk.rest[strspn(walk.rest, "/")] != '\0') {
		result = take_component(&walk);
		if(result == 0) {
			result = step(&walk, file, error);
		}
	}
	if(result == 0 && !S_ISREG(file->st_mode)) {
		snprintf(error, TRUST_ERROR_MAX, "not a regular file");
		result = -EPERM;
	} else if(result && !error[0]) {
		snprintf(error, TRUST_ERROR_MAX, "%s", strerror(-result));
	}
	return result;
}
