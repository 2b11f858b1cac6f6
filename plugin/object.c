/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads shared objects.
 *
 * It must not know what the objects contain or what they register.
 */
#include "plugin/object.h"

#include "plugin/resident.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int object_check_permissions(
	const char *directory, const char *path, struct stat *file, const char **why) {
	struct stat parent;
	if(stat(path, file) || stat(directory, &parent)) {
		int result = -errno;
		*why = strerror(-result);
		return result;
	}
	*why = NULL;
	if(!S_ISREG(file->st_mode)) {
		*why = "not a regular file";
	} else if(file->st_mode & S_IWOTH) {
		*why = "refused, because every user may write to it (chmod o-w)";
	} else if((parent.st_mode & S_IWOTH) && !(parent.st_mode & S_ISVTX)) {
		*why = "refused, because every user may write to its directory (chmod o-w)";
	} else if((parent.st_mode & S_IWOTH) && file->st_uid != 0 && file->st_uid != geteuid()) {
		*why = "refused, because every user may write to its directory and it is owned "
		       "neither by root nor by the user of this process";
	}
	return *why ? -EPERM : 0;
}

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
