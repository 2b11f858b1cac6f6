/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Copies of shared objects in memory.
 *
 * Invariants: a copy's descriptor stays open while it is loaded, because the linker remembers
 * objects by path too, and the number is in the path. An object that cannot be unloaded may still
 * hold a number that is free again; then the next one is taken. Dependencies found through $ORIGIN
 * are in memory already, with the first instance.
 */
#include "plugin/resident.h"

#include "base/passes.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often another descriptor number is tried. */
#define RESIDENT_TRIES 16
#define RESIDENT_PIECE (1 << 20) /* bytes copied at once */

bool resident_is_loaded(const char *path) {
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if(handle) {
		dlclose(handle);
	}
	return handle != NULL;
}

/* The bytes that a file has now: one that grows meanwhile is not followed. 0 or negative errno. */
static int copy_bytes(int from, int to) {
	struct stat status;
	if(fstat(from, &status) < 0) {
		return -errno;
	}
	for(off_t left = status.st_size; left > 0;) {
		size_t piece = left < RESIDENT_PIECE ? (size_t)left : RESIDENT_PIECE;
		ssize_t copied = RETRY_INTERRUPTED(sendfile(to, from, NULL, piece));
		if(copied < 0) {
			return -errno;
		}
		if(copied == 0) {
			return 0; /* it has shrunk: the dynamic linker reports that */
		}
		left -= copied;
	}
	return 0;
}

/* A descriptor of memory with the contents of the file, or negative errno. */
static int copy_to_memory(const char *path) {
	int from = open(path, O_RDONLY | O_CLOEXEC);
	if(from < 0) {
		return -errno;
	}
	int memory = memfd_create("plugin", MFD_CLOEXEC);
	int result = memory < 0 ? -errno : copy_bytes(from, memory);
	if(result < 0 && memory >= 0) {
		close(memory);
	}
	close(from);
	return result < 0 ? result : memory;
}

int resident_copy(const char *file, char path[RESIDENT_PATH_MAX]) {
	int fd = copy_to_memory(file);
	for(int tries = 0; fd >= 0 && tries < RESIDENT_TRIES; tries++) {
		snprintf(path, RESIDENT_PATH_MAX, "/proc/self/fd/%d", fd);
		if(!resident_is_loaded(path)) {
			return fd;
		}
		int next = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
		int error = errno;
		close(fd);
		fd = next >= 0 ? next : -error;
	}
	if(fd >= 0) {
		close(fd);
		fd = -EBUSY;
	}
	return fd;
}
