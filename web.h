/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers to HTTP requests that are no WebSocket upgrade: the files of a site, or the hint that
 * this is a WebSocket endpoint (RFC 9110).
 */
#ifndef WEBSOCKSY_WEB_H
#define WEBSOCKSY_WEB_H
#include "http.h"

#include <stddef.h>
#include <stdint.h>

/* A directory whose files are served, or one file that is then what "/" answers. */
struct web_site;

/* Room for a response head, or for a whole response without a file. */
#define WEB_HEAD_MAX 2048

/* What to send: `head`, then `body_len` bytes of `fd`. */
struct web_response {
	unsigned status;
	size_t head_len;
	int fd;            /* a regular file at its start, for the caller to close; -1: none */
	uint64_t body_len; /* the file may have become shorter since; 0 without a file */
	char head[WEB_HEAD_MAX]; /* no NUL behind it; a text body is in it too */
};

/*
 * Opens the site at `path` (relative to the working directory of this moment, never of a later one)
 * and stores it in `*out`, which the caller gives back to web_site_close(). 0, or negative errno
 * with `*error` a static text that says what is wrong with the path.
 */
int web_site_open(const char *path, struct web_site **out, const char **error);

/* Closes the site; NULL is fine. Responses that were made from it stay valid. */
void web_site_close(struct web_site *site);

/*
 * Makes the answer to a request that is no upgrade. `site` may be NULL: then GET and HEAD get 426.
 * Never fails: what goes wrong becomes the status of the answer. Every answer says Connection:
 * close.
 *
 * A site serves GET and HEAD of regular files below its root, index.html for a directory. Names
 * that begin with a dot do not exist; symbolic links work as long as they are relative and stay
 * below the root. 301 for a directory without its slash, 400 for a target that is no path, 403
 * unreadable, 404, 405, 414, 503 out of descriptors or memory, 500 for other errors of the file
 * system.
 */
void web_respond(const struct web_site *site, const struct http_request *request,
	struct web_response *response);
#endif
