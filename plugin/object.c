/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads shared objects.
 *
 * Must not know: the contents of the objects, the registry.
 */
#include "plugin/object.h"

#include "plugin/resident.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int object_open(struct object *object, const char *path, char error[OBJECT_ERROR_MAX]) {
	char copy[RESIDENT_PATH_MAX];
	*object = (struct object){.copy_fd = -1};
	if(resident_is_loaded(path)) {
		int fd = resident_copy(path, copy);
		if(fd < 0) {
			snprintf(error, OBJECT_ERROR_MAX, "%s: cannot be loaded a second time: %s",
				path, strerror(-fd));
			return fd;
		}
		object->copy_fd = fd;
	}
	object->handle = dlopen(object->copy_fd >= 0 ? copy : path, RTLD_NOW | RTLD_LOCAL);
	if(!object->handle) {
		snprintf(error, OBJECT_ERROR_MAX, "%s: %s", path, dlerror());
		if(object->copy_fd >= 0) {
			close(object->copy_fd);
		}
		return -ENOEXEC;
	}
	return 0;
}

void object_close(struct object *object) {
	if(!object->handle) {
		return;
	}
	dlclose(object->handle);
	object->handle = NULL;
	if(object->copy_fd >= 0) {
		close(object->copy_fd);
	}
}

/* POSIX lets dlsym() return functions as data pointers, ISO C does not let us cast those: copy. */
bool object_find(const struct object *object, const char *name, void *function) {
	void *symbol = dlsym(object->handle, name);
	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}
