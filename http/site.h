/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Responses to HTTP requests without a WebSocket upgrade: the files of a site, or 426 (RFC 9110).
 */
#ifndef WEBSOCKSY_SITE_H
#define WEBSOCKSY_SITE_H
#include "http/page_fields.h"
#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A directory whose files are served, or a single file, which is then served as "/". */
struct site;

/* Longest response head, or whole response without a file. */
#define SITE_HEAD_MAX (2048 + 2 * PAGE_FIELDS_MAX)

/* The response: `head`, then `body_len` bytes of the file `fd` from `offset` on. */
struct site_response {
	unsigned status;
	size_t head_len;
	bool costly; /* making it took long; other connections should have their turn */
	bool keep; /* the connection stays open for further requests, as the head says */
	int fd; /* a regular file, which the caller closes; -1: none */
	uint64_t offset; /* not that of the descriptor */
	uint64_t body_len; /* the file may have been truncated since; 0 without a file */
	char head[SITE_HEAD_MAX]; /* without NUL; includes the body if that is text */
};

/*
 * Opens the site at `path`, relative to the current working directory of this moment. 0 and `*out`,
 * which the caller gives to site_close(), or negative errno with `*error`: static text that
 * describes the error.
 */
int site_open(const char *path, struct site **out, const char **error);

/*
 * Switches listings of directories without index.html on or off; at first they are off. 0, or
 * -ENOMEM and they are off.
 */
int site_set_listing(struct site *site, bool lists);

/*
 * Sets the header fields of pages (page_fields.h): further ones, and the sites that may frame
 * pages. They are copied. 0, or -ENOMEM and the defaults.
 */
int site_set_fields(
	struct site *site, struct page_fields_values headers, struct page_fields_values sites);

/* Closes the site; its responses stay valid. NULL: nothing. */
void site_close(struct site *site);

/*
 * Makes the response to a request without upgrade. `site` may be NULL: GET and HEAD get 426. Never
 * fails: errors become the status of the response. `keep`: the connection may stay open for further
 * requests; it does after responses of a site, if the client allows it.
 *
 * A site serves GET and HEAD of regular files beneath its root, and index.html for a directory,
 * with ranges and conditions (negotiate.h). If there is a file of the same name with the suffix .br
 * or .gz, which is not older, and the client accepts this coding, it is sent instead. Names that
 * begin with a dot get 404, except /.well-known (RFC 8615); if the directory at the site's path has
 * been replaced, the new one is served; symbolic links are followed if they are relative and stay
 * beneath the root. 301 for a directory without its slash, 400 for a target that is not a path, 403
 * without permission, 404, 405, 412, 414, 416, 503 without descriptors or memory, 500 for I/O
 * errors.
 */
void site_respond(const struct site *site, const struct request *request, bool keep,
	struct site_response *response);
#endif
