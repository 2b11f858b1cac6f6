/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How single values of options are written: numbers with units, addresses, paths.
 */
#ifndef WEBSOCKSY_VALUE_H
#define WEBSOCKSY_VALUE_H
#include <stdbool.h>
#include <stdint.h>

#define VALUE_TEXT 24 /* any number with its unit and a NUL */

enum value_kind {
	VALUE_COUNT, /* digits only */
	VALUE_TIME, /* milliseconds, written as seconds or with ms, s, m, h, and up to three decimals */
	VALUE_SIZE, /* bytes, or with K, M, G: powers of 1024 */
	VALUE_KINDS
};

/*
 * Reads the whole of `text`. 0; -EINVAL: not written as a number of this kind, or more exact than a
 * millisecond; -ERANGE: more than 64 bits hold.
 */
int value_read(enum value_kind kind, const char *text, uint64_t *out);

/* Writes it with the largest unit that divides it; value_read() reads the same number from that. */
void value_write(enum value_kind kind, uint64_t number, char out[VALUE_TEXT]);

/* An IPv6 address without brackets; `zone`: may be followed by "%interface" (RFC 4007, 11). */
bool value_is_ip6(const char *text, bool zone);

/*
 * What is wrong with a value, as static text that goes on behind the quoted value ("is no path ..."); NULL:
 * nothing. Path of a request (RFC 3986, 3.3) or nothing; absolute directory; existing file or directory
 * for `web`, or nothing; list of name servers; address, host name (RFC 1123, 2.1) or unix:/path to listen on.
 */
const char *value_check_path(const char *text);
const char *value_check_directory(const char *text);
const char *value_check_web(const char *text);
const char *value_check_resolver(const char *text);
const char *value_check_listen(const char *text);
#endif
