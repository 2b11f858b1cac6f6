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

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* How often another descriptor number is tried. */
#define RESIDENT_TRIES 16

bool resident_is_loaded(const char *path) {
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if(handle) {
		dlclose(handle);
	}
	return handle != NULL;
}

/* A descriptor of memory with the contents of the file, or negative errno. */
static int copy_to_memory(const char *path) {
	int from = open(path, O_RDONLY | O_CLOEXEC);
	if(from < 0) {
		return -errno;
	}
	ssize_t copied = -1;
	int result = memfd_create("plugin", MFD_CLOEXEC);
	if(result >= 0) {
		do {
			copied = sendfile(result, from, NULL, 1 << 20);
		} while(copied > 0);
	}
	if(copied < 0) {
		int error = errno;
		if(result >= 0) {
			close(result);
		}
		result = -error;
	}
	close(from);
	return result;
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
