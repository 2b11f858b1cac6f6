/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From a request target to an open file and a response head.
 *
 * Must not know: sockets, connections, how the body is sent.
 * Invariant: the document root (root.c) confines every lookup; the checks of paths here hide names,
 * they are not the security barrier.
 * Implements RFC 9110 sections 8.3, 8.4, 8.8.2, 8.8.3, 9.3.1, 9.3.2, 10.2.2, 12.5.5, 14.4, 15.3.7,
 * 15.4.2, 15.4.5, 15.5.6, 15.5.17 and 15.5.22.
 */
#include "http/site.h"

#include "http/date.h"
#include "http/listing.h"
#include "http/mime.h"
#include "http/negotiate.h"
#include "http/response.h"
#include "http/root.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Decoded path with index.html and NUL: the limit of open(2). */
#define PATH_CAP 4096

#define INDEX_NAME "index.html"
#define SUFFIX_MAX 3 /* ".br" */

#define ETAG_CAP 64

/* Pages may be framed only by pages of the same origin; listings load and execute nothing. */
#define PAGE_POLICY "frame-ancestors 'self'"
#define LISTING_POLICY "default-src 'none'; frame-ancestors 'self'"

struct site {
	struct root root;
	bool lists; /* directories without index.html are listed */
};

/* The file for a request, as far as it is known. */
struct lookup {
	const struct site *site;
	struct slice query; /* behind the path, with its '?'; may be empty */
	char path[PATH_CAP + SUFFIX_MAX]; /* decoded; begins with '/' */
	struct root_file file;
	const char *coding; /* the content coding of `file`; NULL: none */
};

/* Precompressed variants of a file by the suffixes of their names; the first is preferred. */
static const struct {
	const char *suffix;
	const char *coding;
} codings[] = {
	{".br", "br"},
	{".gz", "gzip"},
};

static void respond_error(const struct request *request, struct site_response *response,
	unsigned status, const char *message, const char *extra) {
	unsigned flags = request_method_is(request, "HEAD") ? RESPONSE_HEAD_ONLY : 0;
	flags |= response->keep ? RESPONSE_PERSISTENT : 0;
	int len = response_format_error(
		response->head, sizeof(response->head), status, message, extra, flags);
	response->status = status;
	response->head_len = len < 0 ? 0 : (size_t)len;
}

static void respond_errno(
	const struct request *request, struct site_response *response, int error) {
	switch(error) {
	case EACCES:
	case EPERM:
		respond_error(request, response, 403, "permission denied", NULL);
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		respond_error(request, response, 503, "out of resources", NULL);
		break;
	case EIO:
	case ESTALE:
		respond_error(request, response, 500, "I/O error", NULL);
		break;
	default: /* clients cannot tell missing names, long ones and links out of the root apart */
		respond_error(request, response, 404, "file not found", NULL);
		break;
	}
}

/*
 * May this path be served? Not with hidden names, of which ".." is one, nor with empty segments:
 * "//host/dir" in a redirect would refer to another server.
 */
static bool is_public(const char *path) {
	for(const char *at = path; *at; at++) {
		if(*at == '/' && (at[1] == '.' || at[1] == '/')) {
			return false;
		}
	}
	return path[0] == '/';
}

/* Splits and decodes the target. 0, or the status and message of the error response. */
static unsigned read_target(
	const struct request *request, struct lookup *lookup, const char **message) {
	struct slice target = request->target;
	struct slice path = {.at = target.at, .len = text_find(target, '?')};
	int decoded = text_percent_decode(path, lookup->path, PATH_CAP - sizeof(INDEX_NAME));
	lookup->query = text_skip(target, path.len);
	if(decoded == -ENOSPC) {
		*message = "the path is too long";
		return 414;
	}
	if(decoded < 0 || lookup->path[0] != '/') {
		*message = "the path is malformed";
		return 400;
	}
	if(strlen(lookup->path) != (size_t)decoded || !is_public(lookup->path)) {
		*message = "file not found";
		return 404;
	}
	return 0;
}

/* A directory without its slash at the end, to which relative links would not be resolved. */
static void respond_redirect(const struct request *request, const struct lookup *lookup,
	struct site_response *response) {
	char path[SITE_HEAD_MAX / 2];
	char extra[SITE_HEAD_MAX / 2 + 64];
	int len = text_percent_encode(lookup->path, path, sizeof(path));
	if(len >= 0) {
		len = snprintf(extra, sizeof(extra), "Location: %s/%.*s\r\n", path,
			lookup->query.len > SITE_HEAD_MAX ? SITE_HEAD_MAX : (int)lookup->query.len,
			lookup->query.at);
	}
	if(len < 0 || (size_t)len >= sizeof(extra)) {
		respond_error(request, response, 414, "the path is too long", NULL);
		return;
	}
	respond_error(request, response, 301, "the path of a directory ends in a slash", extra);
}

/* ---- heads ---- */

/* All parts of a head are bounded, and their sum is below SITE_HEAD_MAX. */
__attribute__((format(printf, 2, 3))) static void add(
	struct site_response *response, const char *format, ...) {
	size_t room = sizeof(response->head) - response->head_len;
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(response->head + response->head_len, room, format, arguments);
	va_end(arguments);
	assert(len >= 0 && (size_t)len < room);
	response->head_len += (size_t)len;
}

static void begin_head(struct site_response *response, unsigned status, int64_t now) {
	char date[DATE_CAP];
	date_format(date, now);
	response->status = status;
	response->head_len = 0;
	add(response, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, response_status_text(status), date);
}

static void end_head(struct site_response *response, const char *policy) {
	add(response,
		"X-Content-Type-Options: nosniff\r\n"
		"Referrer-Policy: no-referrer\r\n"
		"Content-Security-Policy: %s\r\n"
		"Connection: %s\r\n"
		"\r\n",
		policy, response->keep ? "keep-alive" : "close");
}

static void add_content(struct site_response *response, const char *type, uint64_t len) {
	add(response, "Content-Type: %s\r\nContent-Length: %llu\r\n", type,
		(unsigned long long)len);
}

/* The fields that a 304 needs as well (RFC 9110, 15.4.5), and the coding. */
static void add_validators(struct site_response *response, const struct lookup *lookup,
	const struct negotiate_file *file) {
	char date[DATE_CAP];
	date_format(date, file->modified);
	add(response,
		"Last-Modified: %s\r\n"
		"ETag: %s\r\n"
		"Cache-Control: no-cache\r\n"
		"Accept-Ranges: bytes\r\n",
		date, file->etag);
	if(!lookup->site->root.file) {
		add(response, "Vary: Accept-Encoding\r\n");
	}
	if(lookup->coding) {
		add(response, "Content-Encoding: %s\r\n", lookup->coding);
	}
}

/* ---- files ---- */

/* Hands `fd` over, or closes it if the response has no body. */
static void give_body(const struct request *request, struct site_response *response, int fd,
	uint64_t offset, uint64_t len) {
	if(len == 0 || request_method_is(request, "HEAD")) {
		close(fd);
		return;
	}
	response->fd = fd;
	response->offset = offset;
	response->body_len = len;
}

/* 412 or 416. */
static void respond_unsatisfiable(const struct request *request, struct lookup *lookup,
	unsigned status, struct site_response *response) {
	char extra[64];
	bool is_range = status == 416;
	snprintf(extra, sizeof(extra), "Content-Range: bytes */%llu\r\n",
		(unsigned long long)lookup->file.info.st_size);
	close(lookup->file.fd);
	respond_error(request, response, status,
		is_range ? "the range is behind the end of the file" : "a precondition failed",
		is_range ? extra : NULL);
}

/*
 * The entity tag is made of inode, size and modification time: it changes when the file is replaced
 * or written, and differs for each precompressed variant.
 */
static void describe(const struct stat *info, char etag[ETAG_CAP], struct negotiate_file *file) {
	int64_t modified = (int64_t)info->st_mtim.tv_sec;
	snprintf(etag, ETAG_CAP, "\"%llx-%llx-%llx.%lx\"", (unsigned long long)info->st_ino,
		(unsigned long long)info->st_size, (unsigned long long)modified,
		(unsigned long)info->st_mtim.tv_nsec);
	file->etag = etag;
	file->now = (int64_t)time(NULL);
	/* Last-Modified is never in the future (RFC 9110, 8.8.2.1). */
	file->modified = modified < file->now ? modified : file->now;
	file->size = (uint64_t)info->st_size;
}

static void respond_file(const struct request *request, struct lookup *lookup, const char *name,
	struct site_response *response) {
	char etag[ETAG_CAP];
	struct negotiate_file file;
	struct negotiate_range range;
	describe(&lookup->file.info, etag, &file);
	unsigned status = negotiate_status(request, &file, &range);
	if(status == 416 || status == 412) {
		respond_unsatisfiable(request, lookup, status, response);
		return;
	}
	begin_head(response, status, file.now);
	add_validators(response, lookup, &file);
	if(status == 206) {
		add(response, "Content-Range: bytes %llu-%llu/%llu\r\n",
			(unsigned long long)range.first,
			(unsigned long long)(range.first + range.len - 1),
			(unsigned long long)file.size);
	}
	if(status == 304) {
		range.len = 0;
	} else {
		add_content(response, mime_type(name), range.len);
	}
	end_head(response, PAGE_POLICY);
	give_body(request, response, lookup->file.fd, range.first, range.len);
}

/* An older variant was compressed from an older version of the file. */
static bool is_fresh(const struct stat *variant, struct timespec modified) {
	struct timespec time = variant->st_mtim;
	return time.tv_sec != modified.tv_sec ? time.tv_sec > modified.tv_sec
					      : time.tv_nsec >= modified.tv_nsec;
}

/* Replaces the file, modified at `modified`, by the variant with this suffix, if there is one. */
static bool take_variant(struct lookup *lookup, const char *suffix, struct timespec modified) {
	size_t len = strlen(lookup->path);
	struct root_file variant;
	/* read_target() has left the room. */
	memcpy(lookup->path + len, suffix, strlen(suffix) + 1);
	int result = root_open_file(&lookup->site->root, lookup->path + 1, &variant);
	lookup->path[len] = '\0';
	if(result < 0) {
		return false;
	}
	if(!is_fresh(&variant.info, modified)) {
		close(variant.fd);
		return false;
	}
	close(lookup->file.fd);
	lookup->file = variant;
	return true;
}

/*
 * Takes the variant with the highest quality value, if that is at least the one of the file itself.
 */
static void choose_coding(const struct request *request, struct lookup *lookup) {
	unsigned best = negotiate_quality(request, "identity");
	struct timespec modified = lookup->file.info.st_mtim;
	for(size_t i = 0; i < sizeof(codings) / sizeof(*codings); i++) {
		unsigned quality = negotiate_quality(request, codings[i].coding);
		bool better = lookup->coding ? quality > best : quality >= best;
		if(quality > 0 && better && take_variant(lookup, codings[i].suffix, modified)) {
			lookup->coding = codings[i].coding;
			best = quality;
		}
	}
}

/* ---- directories ---- */

/* A descriptor of the page and its length in `*len`, or negative errno. */
static int open_listing(const struct lookup *lookup, size_t *len) {
	char name[PATH_CAP];
	size_t path_len = strlen(lookup->path);
	/* Without the slashes at both ends; the root is ".". */
	int name_len = path_len > 2 ? (int)path_len - 2 : 0;
	snprintf(name, sizeof(name), "%.*s", name_len ? name_len : 1,
		name_len ? lookup->path + 1 : ".");
	int fd = root_open_directory(&lookup->site->root, name);
	return fd < 0 ? fd : listing_open(fd, lookup->path, len);
}

static void respond_listing(
	const struct request *request, struct lookup *lookup, struct site_response *response) {
	size_t len = 0;
	int fd = open_listing(lookup, &len);
	if(fd < 0) {
		respond_errno(request, response, -fd);
		return;
	}
	begin_head(response, 200, (int64_t)time(NULL));
	add_content(response, "text/html; charset=utf-8", len);
	add(response, "Cache-Control: no-store\r\n");
	end_head(response, LISTING_POLICY);
	give_body(request, response, fd, 0, len);
}

static void respond_from_directory(
	const struct request *request, struct lookup *lookup, struct site_response *response) {
	size_t len = strlen(lookup->path);
	bool is_directory = lookup->path[len - 1] == '/';
	if(is_directory) { /* read_target() has left the room */
		memcpy(lookup->path + len, INDEX_NAME, sizeof(INDEX_NAME));
	}
	int result = root_open_file(&lookup->site->root, lookup->path + 1, &lookup->file);
	if(result == -ENOENT && is_directory && lookup->site->lists) {
		lookup->path[len] = '\0';
		respond_listing(request, lookup, response);
	} else if(result == -EISDIR && !is_directory) {
		respond_redirect(request, lookup, response);
	} else if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		choose_coding(request, lookup);
		respond_file(request, lookup, lookup->path, response);
	}
}

static void respond_from_file(
	const struct request *request, struct lookup *lookup, struct site_response *response) {
	bool is_root = strcmp(lookup->path, "/") == 0;
	int result = is_root ? root_open_file(&lookup->site->root, NULL, &lookup->file) : -ENOENT;
	if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		respond_file(request, lookup, lookup->site->root.file, response);
	}
}

void site_respond(const struct site *site, const struct request *request, bool keep,
	struct site_response *response) {
	response->fd = -1;
	response->offset = 0;
	response->body_len = 0;
	response->keep = false;
	if(!request_method_is(request, "GET") && !request_method_is(request, "HEAD")) {
		respond_error(request, response, 405, "only GET and HEAD are supported",
			"Allow: GET, HEAD\r\n");
		return;
	}
	if(!site) {
		respond_error(request, response, 426,
			"this is a WebSocket endpoint: connect with a WebSocket client",
			RESPONSE_UPGRADE_FIELDS);
		return;
	}
	response->keep = keep && request_is_persistent(request);
	struct lookup lookup = {.site = site, .file.fd = -1};
	const char *message;
	unsigned refused = read_target(request, &lookup, &message);
	if(refused != 0) {
		respond_error(request, response, refused, message, NULL);
	} else if(site->root.file) {
		respond_from_file(request, &lookup, response);
	} else {
		respond_from_directory(request, &lookup, response);
	}
}

int site_open(const char *path, struct site **out, const char **error) {
	struct site *site = calloc(1, sizeof(*site));
	int result = site ? root_open(&site->root, path) : -ENOMEM;
	*out = NULL;
	if(result < 0) {
		*error = root_error(result);
		free(site);
		return result;
	}
	*out = site;
	return 0;
}

void site_set_listing(struct site *site, bool lists) {
	site->lists = lists;
}

void site_close(struct site *site) {
	if(site) {
		root_close(&site->root);
		free(site);
	}
}
