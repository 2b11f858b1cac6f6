/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Conditional requests, range requests and content codings (RFC 9110, sections 12.5.3, 13 and 14).
 * No file descriptors.
 */
#ifndef WEBSOCKSY_NEGOTIATE_H
#define WEBSOCKSY_NEGOTIATE_H
#include "http/request.h"

#include <stdint.h>

/* The properties of a file that matter here. */
struct negotiate_file {
	const char *etag; /* strong, with its quotes */
	int64_t modified; /* its Last-Modified, in seconds since 1970 */
	int64_t now;
	uint64_t size;
};

/* The bytes to send: the whole file unless the status is 206. */
struct negotiate_range {
	uint64_t first;
	uint64_t len;
};

/*
 * The status for a GET or HEAD of `file`: 200, 206, 304, 412 if a precondition fails, or 416 if the
 * range lies behind the end. A Range field is ignored if it is malformed, has several ranges or
 * another unit, if the method is HEAD, or if its If-Range does not match the file.
 */
unsigned negotiate_status(const struct request *request, const struct negotiate_file *file,
	struct negotiate_range *range);

/*
 * The client's quality value for a content coding, in thousandths (0: not acceptable). If the field
 * names neither the coding nor "*", identity has 1, less than any coding that is named, and other
 * codings have 0.
 */
unsigned negotiate_quality(const struct request *request, const char *coding);
#endif
