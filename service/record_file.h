/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file of a recording: its name, its creation, writing. May block: for the writing thread only.
 */
#ifndef WEBSOCKSY_RECORD_FILE_H
#define WEBSOCKSY_RECORD_FILE_H
#include "service/record_format.h"

#include <stddef.h>
#include <sys/types.h>

/* Initialised with fd -1. */
struct record_file {
	int fd;
	int error; /* negative errno; nothing more is written */
	off_t whole; /* length up to which the file consists of complete writes */
};

/*
 * Creates a file with mode 0600: never an existing one, and no symbolic link is followed. If the name is
 * taken, ".1", ".2" and so on are appended. 0 or negative errno; -EEXIST: there are too many.
 */
int record_file_open(
	struct record_file *file, const char *template, const struct record_about *about);

/* Appends all of it. 0 or negative errno. */
int record_file_write(struct record_file *file, const void *data, size_t len);

/* Removes what the last write has left of its data and appends `data` if there is room. */
void record_file_cut(struct record_file *file, const void *data, size_t len);

void record_file_close(struct record_file *file);
#endif
