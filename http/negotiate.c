/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Preconditions, ranges and content codings of requests for files.
 *
 * Must not know: where files come from, how a response is formatted.
 * Invariant: a malformed field is ignored, so that the response is the whole file at worst.
 * Implements RFC 9110 sections 8.8.3.2, 12.4.2, 12.5.3, 13.1.1 to 13.1.5, 13.2.2, 14.1.2 and 14.2.
 */
#include "http/negotiate.h"

#include "http/date.h"

#include <stdbool.h>
#include <string.h>

#define QUALITY_ONE 1000

/* The value of a field; false unless it is present exactly once. */
static bool single_value(const struct request *request, const char *name, struct slice *out) {
	const struct request_header *header = request_find_header(request, name, 0);
	if(!header || request_find_header(request, name, 1)) {
		return false;
	}
	*out = header->value;
	return true;
}

/* ---- conditions ---- */

/*
 * Does any field called `name` list the entity tag? `weak`: by weak comparison (RFC 9110, 8.8.3.2).
 */
static bool names_etag(
	const struct request *request, const char *name, const char *etag, bool weak) {
	const struct request_header *header;
	for(size_t i = 0; (header = request_find_header(request, name, i)); i++) {
		struct slice list = header->value;
		struct slice element;
		while(request_next_element(&list, &element)) {
			if(weak && text_begins(element, "W/")) {
				element = text_skip(element, 2);
			}
			if(text_is(element, "*") || text_is(element, etag)) {
				return true;
			}
		}
	}
	return false;
}

/*
 * Do If-Match and If-Unmodified-Since hold? The tag takes precedence over the date (RFC 9110,
 * 13.2.2).
 */
static bool precondition_holds(const struct request *request, const struct negotiate_file *file) {
	struct slice value;
	int64_t since;
	if(request_find_header(request, "If-Match", 0)) {
		return names_etag(request, "If-Match", file->etag, false);
	}
	return !single_value(request, "If-Unmodified-Since", &value) ||
		date_parse(value, file->now, &since) < 0 || file->modified <= since;
}

/* Does the client have the current version, according to If-None-Match or If-Modified-Since? */
static bool is_not_modified(const struct request *request, const struct negotiate_file *file) {
	struct slice value;
	int64_t since;
	if(request_find_header(request, "If-None-Match", 0)) {
		return names_etag(request, "If-None-Match", file->etag, true);
	}
	return single_value(request, "If-Modified-Since", &value) &&
		date_parse(value, file->now, &since) == 0 && file->modified <= since;
}

/* ---- ranges ---- */

/*
 * Does If-Range, if present, match the file? A date matches only if it is a strong validator: the
 * file cannot have changed again within the same second (RFC 9110, 8.8.2.2).
 */
static bool range_applies(const struct request *request, const struct negotiate_file *file) {
	struct slice value;
	int64_t date;
	if(!request_find_header(request, "If-Range", 0)) {
		return true;
	}
	if(!single_value(request, "If-Range", &value)) {
		return false;
	}
	if(date_parse(value, file->now, &date) == 0) {
		return date == file->modified && file->now > file->modified;
	}
	return text_is(value, file->etag);
}

/* Takes a number off the front; numbers above the maximum become the maximum. */
static bool take_number(struct slice *text, uint64_t *out) {
	size_t len = 0;
	*out = 0;
	for(; len < text->len && text_is_digit(text->at[len]); len++) {
		if(__builtin_mul_overflow(*out, 10, out) ||
			__builtin_add_overflow(*out, (uint64_t)(text->at[len] - '0'), out)) {
			*out = UINT64_MAX;
		}
	}
	*text = text_skip(*text, len);
	return len > 0;
}

/* "-n": the last n bytes. */
static unsigned read_suffix(
	struct slice text, const struct negotiate_file *file, struct negotiate_range *range) {
	uint64_t len;
	if(!take_number(&text, &len) || text.len > 0) {
		return 200;
	}
	if(len == 0 || file->size == 0) {
		return 416;
	}
	range->len = len < file->size ? len : file->size;
	range->first = file->size - range->len;
	return 206;
}

/* "a-" or "a-b", both included. */
static unsigned read_range(
	struct slice text, const struct negotiate_file *file, struct negotiate_range *range) {
	uint64_t first;
	uint64_t last = UINT64_MAX;
	if(text.len > 0 && text.at[0] == '-') {
		return read_suffix(text_skip(text, 1), file, range);
	}
	if(!take_number(&text, &first) || text.len == 0 || text.at[0] != '-') {
		return 200;
	}
	text = text_skip(text, 1);
	if(text.len > 0 && (!take_number(&text, &last) || text.len > 0 || last < first)) {
		return 200;
	}
	if(first >= file->size) {
		return 416;
	}
	range->first = first;
	range->len = (last < file->size ? last + 1 : file->size) - first;
	return 206;
}

static unsigned find_range(const struct request *request, const struct negotiate_file *file,
	struct negotiate_range *range) {
	struct slice list;
	struct slice only;
	struct slice second;
	if(!single_value(request, "Range", &list) || !text_begins_nocase(list, "bytes=") ||
		!range_applies(request, file)) {
		return 200;
	}
	list = text_skip(list, strlen("bytes="));
	if(!request_next_element(&list, &only) || request_next_element(&list, &second)) {
		return 200;
	}
	return read_range(only, file, range);
}

unsigned negotiate_status(const struct request *request, const struct negotiate_file *file,
	struct negotiate_range *range) {
	*range = (struct negotiate_range){.first = 0, .len = file->size};
	if(!precondition_holds(request, file)) {
		return 412;
	}
	if(is_not_modified(request, file)) {
		return 304;
	}
	return request_method_is(request, "GET") ? find_range(request, file, range) : 200;
}

/* ---- content codings ---- */

/* "0", "0.5", "1.000" in thousandths; 0 if it is malformed. */
static unsigned read_quality(struct slice text) {
	unsigned value = 0;
	unsigned unit = QUALITY_ONE;
	if(text.len == 0 || text.len > 5 || (text.len > 1 && text.at[1] != '.')) {
		return 0;
	}
	for(size_t i = 0; i < text.len; i++) {
		if(i == 1) {
			continue;
		}
		if(!text_is_digit(text.at[i])) {
			return 0;
		}
		value += unit * (unsigned)(text.at[i] - '0');
		unit /= 10;
	}
	return value <= QUALITY_ONE ? value : 0;
}

/* Removes ";q=..." from an element and returns the quality value; 1 if there is none. */
static unsigned take_quality(struct slice *element) {
	struct slice name;
	if(!text_split(element, ';', &name)) {
		return QUALITY_ONE;
	}
	struct slice weight = text_trim(*element);
	*element = text_trim(name);
	return text_begins_nocase(weight, "q=") ? read_quality(text_skip(weight, 2)) : 0;
}

unsigned negotiate_quality(const struct request *request, const char *coding) {
	const struct request_header *header;
	bool is_identity = strcmp(coding, "identity") == 0;
	unsigned others = is_identity ? 1 : 0;
	for(size_t i = 0; (header = request_find_header(request, "Accept-Encoding", i)); i++) {
		struct slice list = header->value;
		struct slice element;
		while(request_next_element(&list, &element)) {
			unsigned quality = take_quality(&element);
			if(text_is_nocase(element, coding)) {
				return quality;
			}
			if(text_is_nocase(element, "*")) {
				others = quality;
			}
		}
	}
	return others;
}
