/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints the help and the effective configuration.
 */
#ifndef WEBSOCKSY_PRINT_H
#define WEBSOCKSY_PRINT_H
#include "config.h"

/* Prints usage, generated from the option table, to standard output. */
void print_help(void);

/* Prints the effective values as a configuration file that can be read back, to standard output. */
void print_config(const struct config *config);
#endif
