/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the options on the command line.
 */
#ifndef WEBSOCKSY_CMDLINE_H
#define WEBSOCKSY_CMDLINE_H
#include "config/reader.h"

/* Takes options, and the configuration files that they name, in their order. Errors are reported to
 * the reader. */
void cmdline_read(struct reader *reader, int argc, char **argv);
#endif
