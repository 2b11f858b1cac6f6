/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Shared objects: loading them and finding functions in them.
 */
#ifndef WEBSOCKSY_PLUGIN_OBJECT_H
#define WEBSOCKSY_PLUGIN_OBJECT_H
#include <stdbool.h>
#include <stddef.h>

#define OBJECT_ERROR_MAX 512

/* A loaded object. Zeroed: not loaded. */
struct object {
	void *handle;
	int copy_fd; /* if `handle`: the copy in memory that it was loaded from, or -1 */
};

/*
 * Loads `path` into `*object`. A file that is loaded already is loaded from a copy, with globals of
 * its own. 0, or negative errno with one line in `error`.
 */
int object_open(struct object *object, const char *path, char error[OBJECT_ERROR_MAX]);

/* Unloads it; does nothing to one that is not loaded. */
void object_close(struct object *object);

/*
 * Stores the address of a function in the function pointer at `function`. False: not exported;
 * NULL.
 */
bool object_find(const struct object *object, const char *name, void *function);
#endif
