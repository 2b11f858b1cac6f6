/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Slices of text and the classes of ASCII characters. All of it follows the rules of the protocols
 * and never the locale, allocates nothing, and reads nothing outside of the slices.
 */
#ifndef WEBSOCKSY_TEXT_H
#define WEBSOCKSY_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Part of a text in the caller's memory; not NUL-terminated. `at` may be NULL if `len` is 0. */
struct slice {
	const char *at;
	size_t len;
};

/* ---- characters ---- */

static inline bool text_is_digit(char c) {
	return c >= '0' && c <= '9';
}

static inline bool text_is_letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool text_is_alphanumeric(char c) {
	return text_is_digit(c) || text_is_letter(c);
}

/* OWS of RFC 9110, 5.6.3: space and tab. */
static inline bool text_is_blank(char c) {
	return c == ' ' || c == '\t';
}

static inline bool text_is_control(char c) {
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The alphabet of RFC 4648, section 4, without the padding. */
static inline bool text_is_base64(char c) {
	return text_is_alphanumeric(c) || c == '+' || c == '/';
}

/* Is `c` in `set`? NUL is in no set. */
static inline bool text_is_one_of(char c, const char *set) {
	return c != '\0' && strchr(set, c) != NULL;
}

static inline char text_lower(char c) {
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The value of a hexadecimal digit, or -1. */
static inline int text_hex_value(char c) {
	if(text_is_digit(c)) {
		return c - '0';
	}
	c = text_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- slices ---- */

/* The whole of a NUL-terminated text. */
static inline struct slice text_slice(const char *text) {
	return (struct slice){.at = text, .len = strlen(text)};
}

/* The slice without its first `len` bytes, of which it has to have at least as many. */
static inline struct slice text_skip(struct slice slice, size_t len) {
	return (struct slice){.at = slice.at + len, .len = slice.len - len};
}

/* The slice without spaces and tabs at both ends. */
struct slice text_trim(struct slice slice);

/* Position of the first `c`, or `len` if there is none. */
size_t text_find(struct slice slice, char c);

/*
 * Takes the part in front of the first `c` off the front of `*rest`, and the `c` with it. False: it
 * does not contain `c`; nothing was changed.
 */
bool text_split(struct slice *rest, char c, struct slice *front);

/*
 * Takes and returns the part in front of the first `c` as text_split() does, or all of it if it
 * does not contain `c`.
 */
struct slice text_take(struct slice *rest, char c);

/* Takes `c` off the front of `*rest`. False: it begins with something else; nothing was changed. */
bool text_take_char(struct slice *rest, char c);

/*
 * Copies the slice to `out` and terminates it with NUL. 0; -ENAMETOOLONG: it does not fit into
 * `cap` bytes; -EINVAL: it contains a NUL.
 */
int text_copy(struct slice slice, char *out, size_t cap);

/*
 * Writes the slice in quotes and terminated with NUL, for a line of the log: quotes, backslashes
 * and bytes that are not printable ASCII become "\xNN". A text that does not fit into `cap` bytes
 * (at least 6) is cut and marked by "..." before the closing quote. Returns the length.
 */
size_t text_quote(struct slice slice, char *out, size_t cap);

/*
 * Reads a text that text_quote() has written, terminated with NUL. Further text behind it does not matter;
 * a result that does not fit into `cap` bytes is cut.
 */
void text_unquote(const char *quoted, char *out, size_t cap);

/* ---- comparing ---- */

/* Two blocks of `len` bytes, ASCII letters regardless of case. */
bool text_same_nocase(const char *a, const char *b, size_t len);

static inline bool text_equal(struct slice a, struct slice b) {
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool text_equal_nocase(struct slice a, struct slice b) {
	return a.len == b.len && text_same_nocase(a.at, b.at, a.len);
}

static inline bool text_is(struct slice slice, const char *text) {
	return text_equal(slice, text_slice(text));
}

static inline bool text_is_nocase(struct slice slice, const char *text) {
	return text_equal_nocase(slice, text_slice(text));
}

static inline bool text_begins(struct slice slice, const char *prefix) {
	size_t len = strlen(prefix);
	return slice.len >= len && (len == 0 || memcmp(slice.at, prefix, len) == 0);
}

static inline bool text_begins_nocase(struct slice slice, const char *prefix) {
	size_t len = strlen(prefix);
	return slice.len >= len && text_same_nocase(slice.at, prefix, len);
}

/* ---- kinds of text ---- */

/* Number of characters of a token (RFC 9110, 5.6.2) at the front. */
size_t text_token_len(struct slice slice);

/* A token of RFC 9110, 5.6.2: at least one character, all of them tchar. */
bool text_is_token(struct slice slice);

/* At least one character; only ASCII letters, digits, '_' and '-'. */
bool text_is_name(struct slice slice);

/* A host name of RFC 1123, 2.1, with '_' allowed as well; digits and dots alone are not a name. */
bool text_is_host_name(struct slice slice);

/* Number of digits at the front. */
size_t text_digits(struct slice slice);

/*
 * Reads the whole slice as a decimal number without sign; leading zeros are allowed. 0; -EINVAL:
 * something other than digits, or nothing; -ERANGE: above `max`.
 */
int text_read_decimal(struct slice slice, uint64_t max, uint64_t *out);

/*
 * Checks the path of a URL (RFC 3986, 3.3). NULL: valid, or empty; otherwise static text that
 * continues a sentence which begins with the quoted value.
 */
const char *text_check_url_path(const char *text);

/*
 * Decodes "%xx" (RFC 3986, 2.1) into `out` and terminates it with NUL. The length; -EINVAL: a '%'
 * without two hexadecimal digits; -ENOSPC: `cap` is too small. The result may contain NUL bytes.
 */
int text_percent_decode(struct slice slice, char *out, size_t cap);

/*
 * Encodes a path for a header field or a link in HTML (RFC 3986, 2.1 and 3.3) into `out` and
 * terminates it with NUL; slashes stay. The length; -ENOSPC: `cap` is too small.
 */
int text_percent_encode(const char *path, char *out, size_t cap);
#endif
