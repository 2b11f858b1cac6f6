/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Dates of HTTP header fields (RFC 9110, section 5.6.7).
 */
#ifndef WEBSOCKSY_DATE_H
#define WEBSOCKSY_DATE_H
#include "base/text.h"

#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" and NUL (RFC 9110, 5.6.7). */
#define DATE_CAP 30

/*
 * Formats a time in seconds since 1970; times outside 1970 to 9999 become the nearest one inside.
 */
void date_format(char out[DATE_CAP], int64_t seconds);

/*
 * Parses a date in any of the three forms of RFC 9110, 5.6.7 into seconds since 1970. `now`
 * determines the century of a year with two digits. 0 or -EINVAL.
 */
int date_parse(struct slice text, int64_t now, int64_t *out);
#endif
