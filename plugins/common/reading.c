/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files that are read again when they have changed.
 *
 * Must not know: the core, nor the contents.
 * Invariant: a stamp is settled only if the file had its time of change before the tick of the
 * clock in which reading began: the kernel would give a later change a later time. Until then, a
 * file counts as changed.
 */
#include "plugins/common/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool reading_is_earlier(struct timespec a, struct timespec b) {
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* `now` is from before the file was opened. */
static void reading_set_stamp(
	struct reading_stamp *stamp, const struct stat *file, const struct timespec *now) {
	*stamp = (struct reading_stamp){
		.settled = reading_is_earlier(file->st_ctim, *now),
		.device = file->st_dev,
		.number = file->st_ino,
		.size = file->st_size,
		.changed = file->st_ctim,
	};
}

/* The clock that the kernel takes the times of files from. */
static struct timespec reading_clock(void) {
	struct timespec now = {0, 0};
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now;
}

bool reading_is_current(const struct reading_stamp *stamp, int at, const char *name) {
	struct stat file;
	return stamp->settled && fstatat(at, name, &file, 0) == 0 && file.st_dev == stamp->device &&
		file.st_ino == stamp->number && file.st_size == stamp->size &&
		file.st_ctim.tv_sec == stamp->changed.tv_sec &&
		file.st_ctim.tv_nsec == stamp->changed.tv_nsec;
}

/* What has been added since fstat() is not read, but the stamp differs then. */
static int reading_bytes(int fd, size_t size, struct reading_text *out) {
	*out = (struct reading_text){malloc(size + 1), 0};
	if(!out->at) {
		return -ENOMEM;
	}
	while(out->len < size) {
		ssize_t got = read(fd, out->at + out->len, size - out->len);
		if(got < 0 && errno == EINTR) {
			continue;
		}
		if(got < 0) {
			int error = errno;
			free(out->at);
			return -error;
		}
		if(got == 0) {
			break;
		}
		out->len += (size_t)got;
	}
	out->at[out->len] = '\0';
	return 0;
}

int reading_take(int at, const char *name, size_t max, struct reading_text *out,
	struct reading_stamp *stamp) {
	struct timespec now = reading_clock();
	struct stat file = {.st_mode = 0};
	int fd = openat(at, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	int result = fd < 0 || fstat(fd, &file) ? -errno : 0;
	if(result == 0 && !S_ISREG(file.st_mode)) {
		result = -EINVAL;
	}
	if(result == 0 && (uint64_t)file.st_size > max) {
		result = -EFBIG;
	}
	if(result == 0) {
		result = reading_bytes(fd, (size_t)file.st_size, out);
	}
	if(result == 0 && stamp) {
		reading_set_stamp(stamp, &file, &now);
	}
	if(fd >= 0) {
		close(fd);
	}
	return result;
}

int reading_open_directory(const char *name, struct reading_stamp *stamp) {
	struct timespec now = reading_clock();
	struct stat file;
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	if(fstat(fd, &file)) {
		int error = errno;
		close(fd);
		return -error;
	}
	if(stamp) {
		reading_set_stamp(stamp, &file, &now);
	}
	return fd;
}
