/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What of a file a request gets: nothing new (304), all of it, a range of it, or another encoding
 * (RFC 9110, sections 12.5.3, 13 and 14). No file descriptors.
 */
#ifndef WEBSOCKSY_NEGOTIATE_H
#define WEBSOCKSY_NEGOTIATE_H
#include "http/request.h"

#include <stdint.h>

/* What is known of the file. */
struct negotiate_file {
	const char *etag; /* strong, with its quotes */
	int64_t modified; /* as its Last-Modified says, in seconds since 1970 */
	int64_t now;
	uint64_t size;
};

/* The bytes to be sent: all of the file, unless the status is 206. */
struct negotiate_range {
	uint64_t first;
	uint64_t len;
};

/*
 * The status for a GET or HEAD of `file`: 200, 206, 304, 412 if it is not what the client demands,
 * or 416 if nothing of what is asked for exists. Several ranges, malformed ones and such of other units are ignored, as are those of a
 * HEAD and those whose If-Range names another state of the file.
 */
unsigned negotiate_status(const struct request *request, const struct negotiate_file *file,
	struct negotiate_range *range);

/*
 * How much does the client want this content coding, in thousandths (0: not at all)? Identity that
 * is not named is 1: anything that is named is liked better. Any other coding that is not named is
 * 0, unless the field holds "*".
 */
unsigned negotiate_quality(const struct request *request, const char *coding);
#endif
