/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warnings about the modes of files.
 *
 * Must not know: the contents of the files.
 */
#include "config/file_mode.h"

#include <sys/stat.h>

void file_mode_check(const struct reader *reader, const char *path, bool secret) {
	struct stat info;
	if(stat(path, &info) < 0) {
		return;
	}
	unsigned mode = info.st_mode & 07777;
	const char *who = mode & S_IWOTH     ? "all users may write to"
		: mode & S_IWGRP             ? "its group may write to"
		: secret && (mode & S_IROTH) ? "all users may read"
					     : NULL;
	if(who) {
		reader_log(reader, LOG_WARNING,
			"\"%.300s\": %s this file (mode %04o; use chmod %s)", path, who, mode,
			secret ? "o-rwx,g-w" : "go-w");
	}
}
