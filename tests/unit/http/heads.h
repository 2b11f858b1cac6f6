/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Request heads that are read whole, byte by byte and cut at every offset, each time in memory that
 * moves between the reads and ends at an unreadable page.
 */
#ifndef WEBSOCKSY_TESTS_HEADS_H
#define WEBSOCKSY_TESTS_HEADS_H
#include "support.h"

#include "http/request.h"

#include <errno.h>

#define TEXT(literal) (literal), sizeof(literal) - 1
#define HOST "Host: example.com\r\n"
#define SLICE(literal) ((struct slice){.at = (literal), .len = sizeof(literal) - 1})

/* One reading of one input. */
struct reading {
	const char *input;
	struct guard guard; /* as large as the input; the bytes so far lie at its end */
	size_t total;
	size_t have;
	size_t scanned;
	size_t head_len;
	enum request_result result;
	struct request request;
	struct request_error error;
};

static inline void feed(void *ctx, size_t offset, size_t length) {
	struct reading *reading = ctx;
	if(reading->result != REQUEST_MORE) {
		return;
	}
	assert_int_equal(offset, reading->have);
	reading->have += length;
	char *data = (char *)reading->guard.data + reading->total - reading->have;
	memcpy(data, reading->input, reading->have);
	memset(&reading->request, 0xa5, sizeof(reading->request)); /* nothing is kept in it */
	reading->result = request_parse(data, reading->have, &reading->scanned, &reading->request,
		&reading->head_len, &reading->error);
}

static inline struct reading read_way(const char *input, size_t len, size_t way) {
	struct reading reading = {.input = input, .total = len, .result = REQUEST_MORE};
	reading.guard = guard_new(NULL, len);
	cut_feed(len, way, feed, &reading);
	return reading;
}

static inline struct reading read_whole(const char *input, size_t len) {
	return read_way(input, len, 0);
}

static inline void assert_slice(struct slice slice, const char *text) {
	if(slice.len != strlen(text) || memcmp(slice.at, text, slice.len) != 0) {
		fail_msg("\"%.*s\" instead of \"%s\"", (int)slice.len, slice.at, text);
	}
}

/*
 * Feeds `len` bytes one by one. Bytes that were examined more than a page ago are unreadable,
 * except for the first ones of the request, until a long line or the request is complete: a parser
 * whose work is not linear crashes.
 */
static inline enum request_result read_slowly(
	const char *input, size_t len, struct request *request) {
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct guard guard = guard_new(input, len);
	const size_t offset = (uintptr_t)guard.data % page;
	uint8_t *const pages = guard.data - offset;
	size_t hidden =
		2 * page; /* end of the unreadable pages; the first two are not among them */
	size_t scanned = 0;
	size_t head_len = 0;
	struct request_error error;
	enum request_result result = REQUEST_MORE;
	for(size_t have = 1, line = 0; have <= len && result == REQUEST_MORE; have++) {
		bool line_ends = input[have - 1] == '\n';
		if(have == len || (line_ends && have - line > page)) {
			assert_int_equal(mprotect(pages, offset + len, PROT_READ), 0);
		} else if(offset + scanned >= hidden + 2 * page) {
			assert_int_equal(mprotect(pages + hidden, page, PROT_NONE), 0);
			hidden += page;
		}
		line = line_ends ? have : line;
		result = request_parse(
			(const char *)guard.data, have, &scanned, request, &head_len, &error);
	}
	assert_int_equal(mprotect(pages, offset + len, PROT_READ | PROT_WRITE), 0);
	guard_free(&guard);
	return result;
}
#endif
