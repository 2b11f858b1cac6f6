/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Times in options of backends, in the form that the options of the daemon have.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_DURATION_H
#define WEBSOCKSY_PLUGIN_COMMON_DURATION_H
#include <stdbool.h>
#include <stdint.h>

#define DURATION_FORM "must be a time up to 24h, such as 10, 2.5s, 500ms, 5m or 1h"

/*
 * Seconds, or a number with the unit ms, s, m or h, up to 24 hours. False: `text` is not such a
 * time, or no whole number of milliseconds.
 */
bool duration_parse(const char *text, uint64_t *ms);
#endif
