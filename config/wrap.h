/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The program on the command line: its file, and the options that go with it.
 */
#ifndef WEBSOCKSY_WRAP_H
#define WEBSOCKSY_WRAP_H
#include "config/reader.h"

/*
 * Finds the file of the program, reports what contradicts it, and makes it the peer of the built-in
 * backend. Nothing without a program. Before the backend is built.
 */
void wrap_check(struct reader *reader);
#endif
