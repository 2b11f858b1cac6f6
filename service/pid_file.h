/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file with the number of the running process, which is locked as long as it runs.
 */
#ifndef WEBSOCKSY_PID_FILE_H
#define WEBSOCKSY_PID_FILE_H
#include <sys/types.h>

#define PID_FILE_ERROR_MAX 256

/* Zero: there is none. */
struct pid_file {
	int fd; /* locked; 0: none */
	char *path;
};

/*
 * Creates and locks the file, or takes over that of a process that runs no more, and writes the
 * number of this process. 0; or negative errno and the error in `error`, a text that continues a
 * sentence which begins with the path.
 */
int pid_file_open(struct pid_file *file, const char *path, char error[PID_FILE_ERROR_MAX]);

/* The process has made `root` its root directory. */
void pid_file_enter_root(struct pid_file *file, const char *root);

/*
 * Removes the file and its lock; if the directory does not allow that (`user`), the file becomes
 * empty.
 */
void pid_file_remove(struct pid_file *file);

/* In a child: gives up the descriptor. The lock stays with the parent. */
void pid_file_forget(struct pid_file *file);
#endif
