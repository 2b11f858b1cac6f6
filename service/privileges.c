/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Giving up privileges.
 *
 * Must not know: what the privileges were needed for.
 * Invariants: after privileges_drop() without an error there is no way back.
 */
#include "service/privileges.h"

#include "base/text.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRIVILEGES_ENTRY_MAX 16384 /* texts of an entry of the password or group file */

__attribute__((format(printf, 4, 5))) static int fail(
	struct privileges_error *error, const char *option, int result, const char *format, ...) {
	va_list arguments;
	error->option = option;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return result;
}

/* ---- names ---- */

static bool is_number(const char *text, uint32_t *out) {
	uint64_t number;
	if(text_read_decimal(text_slice(text), UINT32_MAX - 1, &number)) {
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

/* All groups that the user is a member of. */
static int find_groups(const char *user, struct privileges *out, struct privileges_error *error) {
	int count = PRIVILEGES_GROUPS_MAX;
	if(getgrouplist(user, out->gid, out->group, &count) < 0) {
		return fail(error, "user", -E2BIG, "\"%.80s\" is in more than %d groups", user,
			PRIVILEGES_GROUPS_MAX);
	}
	out->groups = (size_t)count;
	return 0;
}

static int find_group(const char *name, struct privileges *out, struct privileges_error *error) {
	char texts[PRIVILEGES_ENTRY_MAX];
	struct group entry, *found = NULL;
	out->set_group = true;
	if(is_number(name, &out->gid)) {
		return 0;
	}
	int result = getgrnam_r(name, &entry, texts, sizeof(texts), &found);
	if(!found) {
		return fail(error, "group", result ? -result : -ENOENT,
			"\"%.80s\" is not a group of this system (use its name or number)%s%s",
			name, result ? ": " : "", result ? strerror(result) : "");
	}
	out->gid = found->gr_gid;
	return 0;
}

static int find_user(
	const char *name, bool has_group, struct privileges *out, struct privileges_error *error) {
	char texts[PRIVILEGES_ENTRY_MAX];
	struct passwd entry, *found = NULL;
	out->set_user = true;
	bool number = is_number(name, &out->uid);
	int result = number ? getpwuid_r(out->uid, &entry, texts, sizeof(texts), &found)
			    : getpwnam_r(name, &entry, texts, sizeof(texts), &found);
	if(!found && number && has_group) {
		out->group[0] = out->gid;
		out->groups = 1;
		return 0;
	}
	if(!found) {
		return fail(error, "user", result ? -result : -ENOENT,
			number ? "%.80s has no entry in the user database: a group is needed, "
				 "too%s%s"
			       : "\"%.80s\" is not a user of this system (use its name or number)"
				 "%s%s",
			name, result ? ": " : "", result ? strerror(result) : "");
	}
	out->uid = found->pw_uid;
	if(!has_group) {
		out->gid = found->pw_gid;
		out->set_group = true;
	}
	return find_groups(found->pw_name, out, error);
}

static int check_root(const char *root, struct privileges_error *error) {
	struct stat status;
	if(stat(root, &status) < 0) {
		return fail(error, "chroot", -errno, "\"%.200s\": %s", root, strerror(errno));
	}
	if(!S_ISDIR(status.st_mode)) {
		return fail(error, "chroot", -ENOTDIR, "\"%.200s\" is not a directory", root);
	}
	return 0;
}

/* Nothing to change is not an error: the same file may serve for both ways of starting. */
static int check_permission(const struct privileges_names *names, const struct privileges *wanted,
	struct privileges_error *error) {
	if(geteuid() == 0) {
		return 0;
	}
	const char *option = wanted->set_user && wanted->uid != geteuid() ? "user"
		: wanted->set_group && wanted->gid != getegid()           ? "group"
		: names->root                                             ? "chroot"
									  : NULL;
	return option ? fail(error, option, -EPERM, "needs a start as root (this is user %ld)",
				(long)geteuid())
		      : 0;
}

int privileges_find(const struct privileges_names *names, struct privileges *out,
	struct privileges_error *error) {
	int result = 0;
	*out = (struct privileges){.uid = geteuid(), .gid = getegid()};
	if(names->group) {
		result = find_group(names->group, out, error);
		out->group[0] = out->gid;
		out->groups = 1;
	}
	if(result == 0 && names->user) {
		result = find_user(names->user, names->group != NULL, out, error);
	}
	if(result == 0 && names->root) {
		result = check_root(names->root, error);
	}
	return result ? result : check_permission(names, out, error);
}

/* ---- giving up ---- */

/* A change of the user keeps inheritable capabilities, and all if the process was not root. */
static int drop_capabilities(void) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	if(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) {
		return -errno;
	}
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int change_root(const char *root, struct privileges_error *error) {
	if(chroot(root) < 0 || chdir("/") < 0) {
		return fail(error, "chroot", -errno, "\"%.200s\": %s", root, strerror(errno));
	}
	return 0;
}

static int change_user(const struct privileges *privileges, struct privileges_error *error) {
	if(setresuid(privileges->uid, privileges->uid, privileges->uid) < 0) {
		return fail(error, "user", -errno, "cannot be changed: %s", strerror(errno));
	}
	if(privileges->uid == 0) {
		return 0;
	}
	int result = drop_capabilities();
	if(result) {
		return fail(error, "user", result, "cannot give up capabilities: %s",
			strerror(-result));
	}
	if(setuid(0) == 0) {
		return fail(error, "user", -EPERM, "the change can be undone");
	}
	return 0;
}

int privileges_drop(
	const struct privileges *privileges, const char *root, struct privileges_error *error) {
	bool is_root = geteuid() == 0;
	int result = root && is_root ? change_root(root, error) : 0;
	if(result == 0 && privileges->set_group && is_root &&
		(setgroups(privileges->groups, privileges->group) < 0 ||
			setresgid(privileges->gid, privileges->gid, privileges->gid) < 0)) {
		result = fail(error, privileges->set_user ? "user" : "group", -errno,
			"cannot change the groups: %s", strerror(errno));
	}
	if(result == 0 && privileges->set_user && is_root) {
		result = change_user(privileges, error);
	}
	return result;
}
