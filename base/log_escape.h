/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Text that others have chosen, made safe for a line of the log.
 */
#ifndef WEBSOCKSY_LOG_ESCAPE_H
#define WEBSOCKSY_LOG_ESCAPE_H
#include <stddef.h>

#define LOG_ESCAPE_MAX 4096 /* bytes of text that the functions take */

/*
 * Control characters and bytes that are not UTF-8 become '?'; characters that are invisible or
 * change the direction of text become "\u{202e}". In place; returns the new length, at most `cap`.
 * `len` is at most LOG_ESCAPE_MAX.
 */
size_t log_escape_line(char *text, size_t len, size_t cap);

/*
 * Writes the content of a string of JSON (RFC 8259, section 7) without its quotes. The same
 * characters, quotes and backslashes become escapes; bytes that are not UTF-8 become U+FFFD. What
 * does not fit into `cap` bytes (at least 3) is cut and marked by "...". Returns the length.
 */
size_t log_escape_json(const char *text, size_t len, char *out, size_t cap);
#endif
