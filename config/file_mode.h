/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Warnings about files that other users may read or write.
 */
#ifndef WEBSOCKSY_FILE_MODE_H
#define WEBSOCKSY_FILE_MODE_H
#include "config/reader.h"

#include <stdbool.h>

/*
 * Warns, naming the option in hand, if other users may write to the file, its group may, or, with
 * `secret`, other users may read it. Nothing if it cannot be looked at.
 */
void file_mode_check(const struct reader *reader, const char *path, bool secret);
#endif
