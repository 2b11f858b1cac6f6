/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers to HTTP requests that are no WebSocket upgrade: the files of a site, or the hint that
 * this is a WebSocket endpoint (RFC 9110).
 */
#ifndef WEBSOCKSY_SITE_H
#define WEBSOCKSY_SITE_H
#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A directory whose files are served, or one file that is then what "/" answers. */
struct site;

/* Room for a response head, or for a whole response without a file. */
#define SITE_HEAD_MAX 2048

/* What to send: `head`, then `body_len` bytes of `fd` from `offset` on. */
struct site_response {
	unsigned status;
	size_t head_len;
	bool keep; /* the head says that further requests are answered */
	int fd; /* a regular file for the caller to close; -1: none */
	uint64_t offset; /* not the descriptor's own */
	uint64_t body_len; /* the file may have become shorter since; 0 without a file */
	char head[SITE_HEAD_MAX]; /* no NUL behind it; a text body is in it too */
};

/*
 * Opens the site at `path` (relative to the working directory of this moment, never of a later one)
 * and stores it in `*out`, which the caller gives back to site_close(). 0, or negative errno
 * with `*error` a static text that says what is wrong with the path.
 */
int site_open(const char *path, struct site **out, const char **error);

/* Shall directories without index.html be listed? Not unless this says so. */
void site_set_listing(struct site *site, bool lists);

/* Closes the site; NULL is fine. Responses that were made from it stay valid. */
void site_close(struct site *site);

/*
 * Makes the answer to a request that is no upgrade. `site` may be NULL: then GET and HEAD get 426.
 * Never fails: what goes wrong becomes the status of the answer. With `keep` the connection may be
 * used for further requests: answers of a site then let it, if the client does.
 *
 * A site serves GET and HEAD of regular files below its root, index.html for a directory, with
 * ranges and conditions as negotiate.h has them, and a file's neighbour with the suffix .br or .gz
 * instead of the file if the client takes it and it is not older. Names that begin with a dot do not
 * exist; symbolic links work as long as they are relative and stay below the root. 301 for a
 * directory without its slash, 400 for a target that is no path, 403 unreadable, 404, 405, 412, 414,
 * 416, 503 out of descriptors or memory, 500 for other errors of the file system.
 */
void site_respond(const struct site *site, const struct request *request, bool keep,
	struct site_response *response);
#endif
