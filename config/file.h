/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads configuration files.
 */
#ifndef WEBSOCKSY_CONFIG_FILE_H
#define WEBSOCKSY_CONFIG_FILE_H
#include "config/option.h"

/* The type of the option that names a configuration file: its options are read at once. */
extern const struct option_type file_type;
#endif
