/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Slices of text: trimming, splitting, comparing, numbers, percent-decoding.
 *
 * Must not know: protocols beyond the grammar of their smallest parts, descriptors.
 * Invariants: nothing outside of a slice is read, nothing is allocated, no result depends on the
 * locale.
 * Implements the character classes of RFC 9110, section 5.6; RFC 3986, section 2.1; RFC 1123,
 * section 2.1.
 */
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define HOST_NAME_MAX_LEN 253 /* RFC 1035, 2.3.4, without the dot at the end */

static bool is_tchar(char c) {
	static const bool tchar[UINT8_MAX + 1] = {
		['0' ... '9'] = true,
		['a' ... 'z'] = true,
		['A' ... 'Z'] = true,
		['!'] = true,
		['#'] = true,
		['$'] = true,
		['%'] = true,
		['&'] = true,
		['\''] = true,
		['*'] = true,
		['+'] = true,
		['-'] = true,
		['.'] = true,
		['^'] = true,
		['_'] = true,
		['`'] = true,
		['|'] = true,
		['~'] = true,
	};
	return tchar[(uint8_t)c];
}

/* ---- slices ---- */

struct slice text_trim(struct slice slice) {
	while(slice.len > 0 && text_is_blank(slice.at[0])) {
		slice.at++;
		slice.len--;
	}
	while(slice.len > 0 && text_is_blank(slice.at[slice.len - 1])) {
		slice.len--;
	}
	return slice;
}

size_t text_find(struct slice slice, char c) {
	const char *found = slice.len > 0 ? memchr(slice.at, c, slice.len) : NULL;
	return found ? (size_t)(found - slice.at) : slice.len;
}

bool text_split(struct slice *rest, char c, struct slice *front) {
	size_t len = text_find(*rest, c);
	if(len == rest->len) {
		return false;
	}
	*front = (struct slice){.at = rest->at, .len = len};
	*rest = text_skip(*rest, len + 1);
	return true;
}

struct slice text_take(struct slice *rest, char c) {
	struct slice front;
	if(!text_split(rest, c, &front)) {
		front = *rest;
		*rest = text_skip(*rest, rest->len);
	}
	return front;
}

bool text_take_char(struct slice *rest, char c) {
	if(rest->len == 0 || rest->at[0] != c) {
		return false;
	}
	*rest = text_skip(*rest, 1);
	return true;
}

int text_copy(struct slice slice, char *out, size_t cap) {
	if(slice.len >= cap) {
		return -ENAMETOOLONG;
	}
	if(text_find(slice, '\0') < slice.len) {
		return -EINVAL;
	}
	if(slice.len > 0) {
		memcpy(out, slice.at, slice.len);
	}
	out[slice.len] = '\0';
	return 0;
}

size_t text_quote(struct slice slice, char *out, size_t cap) {
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;
	out[used++] = '"';
	for(size_t i = 0; i < slice.len; i++) {
		char c = slice.at[i];
		bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
		/* Room for this one, the mark, the quote and NUL. */
		if(cap - used < (plain ? 1 : 4) + 3 + 2) {
			memcpy(out + used, "...", 3);
			used += 3;
			break;
		}
		if(plain) {
			out[used++] = c;
		} else {
			uint8_t byte = (uint8_t)c;
			out[used++] = '\\';
			out[used++] = 'x';
			out[used++] = digits[byte >> 4];
			out[used++] = digits[byte & 15];
		}
	}
	out[used++] = '"';
	out[used] = '\0';
	return used;
}

void text_unquote(const char *quoted, char *out, size_t cap) {
	size_t used = 0;
	const char *at = quoted[0] == '"' ? quoted + 1 : quoted;
	while(*at && *at != '"' && used + 1 < cap) {
		bool escaped = at[0] == '\\' && at[1] == 'x';
		int high = escaped ? text_hex_value(at[2]) : -1;
		int low = high >= 0 ? text_hex_value(at[3]) : -1;
		char byte = at[0];
		if(low >= 0) {
			byte = (char)(high << 4 | low);
			at += 3;
		}
		out[used++] = byte;
		at++;
	}
	out[used] = '\0';
}

bool text_same_nocase(const char *a, const char *b, size_t len) {
	if(len > 0 && memcmp(a, b, len) == 0) {
		return true; /* most often, and faster */
	}
	for(size_t i = 0; i < len; i++) {
		if(a[i] != b[i] && text_lower(a[i]) != text_lower(b[i])) {
			return false;
		}
	}
	return true;
}

/* ---- kinds of text ---- */

size_t text_token_len(struct slice slice) {
	size_t len = 0;
	while(len < slice.len && is_tchar(slice.at[len])) {
		len++;
	}
	return len;
}

bool text_is_token(struct slice slice) {
	return slice.len > 0 && text_token_len(slice) == slice.len;
}

bool text_is_name(struct slice slice) {
	for(size_t i = 0; i < slice.len; i++) {
		char c = slice.at[i];
		if(!text_is_alphanumeric(c) && c != '_' && c != '-') {
			return false;
		}
	}
	return slice.len > 0;
}

/* Some networks use the underscore, which the RFC does not allow. */
bool text_is_host_name(struct slice slice) {
	bool numeric = true;
	char before = '.';
	if(slice.len == 0 || slice.len > HOST_NAME_MAX_LEN || slice.at[0] == '-') {
		return false;
	}
	for(size_t i = 0; i < slice.len; i++) {
		char c = slice.at[i];
		if(!text_is_alphanumeric(c) && c != '-' && c != '_' && c != '.') {
			return false;
		}
		if(c == '.' && before == '.') {
			return false;
		}
		numeric = numeric && (text_is_digit(c) || c == '.');
		before = c;
	}
	return !numeric; /* that would be a malformed IPv4 address */
}

size_t text_digits(struct slice slice) {
	size_t count = 0;
	while(count < slice.len && text_is_digit(slice.at[count])) {
		count++;
	}
	return count;
}

int text_read_decimal(struct slice slice, uint64_t max, uint64_t *out) {
	bool above = false;
	*out = 0;
	if(slice.len == 0 || text_digits(slice) < slice.len) {
		return -EINVAL;
	}
	for(size_t i = 0; i < slice.len; i++) {
		above |= __builtin_mul_overflow(*out, 10, out);
		above |= __builtin_add_overflow(*out, (uint64_t)(slice.at[i] - '0'), out);
	}
	return above || *out > max ? -ERANGE : 0;
}

const char *text_check_url_path(const char *text) {
	if(text[0] != '\0' && text[0] != '/') {
		return "is not a path (it has to begin with /)";
	}
	for(; *text; text++) {
		if((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f ||
			text_is_one_of(*text, "?#")) {
			return "is not a URL path (only ASCII, without white space, ? and #)";
		}
	}
	return NULL;
}

int text_percent_decode(struct slice slice, char *out, size_t cap) {
	size_t used = 0;
	for(size_t i = 0; i < slice.len; i++) {
		char c = slice.at[i];
		if(c == '%') {
			int high = slice.len - i > 2 ? text_hex_value(slice.at[i + 1]) : -1;
			int low = slice.len - i > 2 ? text_hex_value(slice.at[i + 2]) : -1;
			if(high < 0 || low < 0) {
				return -EINVAL;
			}
			c = (char)(uint8_t)(high * 16 + low);
			i += 2;
		}
		if(cap - used < 2 || used == INT_MAX - 1) { /* keeps a byte for the NUL */
			return -ENOSPC;
		}
		out[used++] = c;
	}
	if(cap == 0) {
		return -ENOSPC;
	}
	out[used] = '\0';
	return (int)used;
}

int text_percent_encode(const char *path, char *out, size_t cap) {
	size_t used = 0;
	if(cap == 0) {
		return -ENOSPC;
	}
	for(; *path; path++) {
		bool plain = text_is_alphanumeric(*path) || text_is_one_of(*path, "-._~/!$()*+,=@");
		if(cap - used < 4) {
			return -ENOSPC;
		}
		used += (size_t)snprintf(out + used, cap - used, plain ? "%c" : "%%%02X",
			plain ? *path : (int)(unsigned char)*path);
	}
	out[used] = '\0';
	return (int)used;
}
