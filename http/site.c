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
#include "http/listing_cache.h"
#include "http/mime.h"
#include "http/negotiate.h"
#include "http/page_fields.h"
#include "http/response.h"
#include "http/root.h"
#include "http/site_head.h"
#include "http/target.h"

#include <errno.h>
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

#define ETAG_CAP 80

/* Of a redirect; in the encoded path, and in the field Location. */
#define REDIRECT_MAX 1024

struct site {
	struct root *root;
	struct page_fields fields;
	struct listing_cache *listings; /* NULL: directories without index.html are not listed */
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

/* Splits and decodes the target. 0, or the status and message of the error response. */
static unsigned read_target(
	const struct request *request, struct lookup *lookup, const char **message) {
	int decoded = text_percent_decode(
		request_path(request), lookup->path, PATH_CAP - sizeof(INDEX_NAME));
	lookup->query = request_query(request);
	if(decoded == -ENOSPC) {
		*message = "the path is too long";
		return 414;
	}
	if(decoded < 0 || lookup->path[0] != '/') {
		*message = "the path is malformed";
		return 400;
	}
	if(strlen(lookup->path) != (size_t)decoded || !target_path_is_public(lookup->path)) {
		*message = "file not found";
		return 404;
	}
	return 0;
}

/*
 * The last segment of the request's path, normalized. Slashes that were percent-encoded belong to
 * it: clients do not take them for separators. Its length, or -ENOSPC.
 */
static int encode_last_segment(const struct request *request, char out[REDIRECT_MAX]) {
	char decoded[REDIRECT_MAX];
	struct slice path = request_path(request);
	const char *slash = memrchr(path.at, '/', path.len);
	struct slice segment = text_skip(path, slash ? (size_t)(slash - path.at) + 1 : 0);
	int len = text_percent_decode(segment, decoded, sizeof(decoded));
	return len < 0 ? len : text_percent_encode(decoded, out, REDIRECT_MAX);
}

/*
 * A directory without its slash at the end, to which relative links would not be resolved. Location
 * is relative to the request (RFC 9110, 10.2.2), so that it is right behind a reverse proxy that
 * removes a prefix of the path.
 */
static void respond_redirect(const struct request *request, const struct lookup *lookup,
	struct site_response *response) {
	char name[REDIRECT_MAX];
	char extra[REDIRECT_MAX + 64];
	int len = encode_last_segment(request, name);
	if(len >= 0) {
		len = snprintf(extra, sizeof(extra), "Location: %s/%.*s\r\n", name,
			lookup->query.len > sizeof(extra) ? (int)sizeof(extra)
							  : (int)lookup->query.len,
			lookup->query.at);
	}
	if(len < 0 || (size_t)len >= sizeof(extra)) {
		respond_error(request, response, 414, "the path is too long", NULL);
		return;
	}
	respond_error(request, response, 301, "the path of a directory ends in a slash", extra);
}

/* ---- files ---- */

/* The fields that a 304 needs as well (RFC 9110, 15.4.5), and the coding. */
static void add_validators(struct site_response *response, const struct lookup *lookup,
	const struct negotiate_file *file) {
	char date[DATE_CAP];
	date_format(date, file->modified);
	site_head_add(response,
		"Last-Modified: %s\r\n"
		"ETag: %s\r\n"
		"Accept-Ranges: bytes\r\n",
		date, file->etag);
	site_head_add_default(response, &lookup->site->fields, "Cache-Control", "no-cache");
	if(!lookup->site->root->file) {
		site_head_add(response, "Vary: Accept-Encoding\r\n");
	}
	if(lookup->coding) {
		site_head_add(response, "Content-Encoding: %s\r\n", lookup->coding);
	}
}

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
 * The entity tag is made of the size and both times, to the nanosecond: it changes when the file is
 * replaced, even by one with the same modification time, or written. The coding tells variants
 * apart. The inode is not part of it, as it would tell clients about the file system.
 */
static void describe(
	const struct lookup *lookup, char etag[ETAG_CAP], struct negotiate_file *file) {
	const struct stat *info = &lookup->file.info;
	int64_t modified = (int64_t)info->st_mtim.tv_sec;
	snprintf(etag, ETAG_CAP, "\"%llx-%llx.%lx-%llx.%lx%s%s\"",
		(unsigned long long)info->st_size, (unsigned long long)modified,
		(unsigned long)info->st_mtim.tv_nsec, (unsigned long long)info->st_ctim.tv_sec,
		(unsigned long)info->st_ctim.tv_nsec, lookup->coding ? "-" : "",
		lookup->coding ? lookup->coding : "");
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
	describe(lookup, etag, &file);
	unsigned status = negotiate_status(request, &file, &range);
	if(status == 416 || status == 412) {
		respond_unsatisfiable(request, lookup, status, response);
		return;
	}
	site_head_begin(response, status, file.now);
	add_validators(response, lookup, &file);
	if(status == 206) {
		site_head_add(response, "Content-Range: bytes %llu-%llu/%llu\r\n",
			(unsigned long long)range.first,
			(unsigned long long)(range.first + range.len - 1),
			(unsigned long long)file.size);
	}
	if(status == 304) {
		range.len = 0;
	} else {
		site_head_add_content(response, mime_type(name), range.len);
	}
	site_head_end(response, &lookup->site->fields, false);
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
	int result = root_open_file(lookup->site->root, lookup->path + 1, &variant);
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

/* A descriptor of the directory that is to be listed, or negative errno. */
static int open_directory(const struct lookup *lookup) {
	char name[PATH_CAP];
	size_t path_len = strlen(lookup->path);
	/* Without the slashes at both ends; the root is ".". */
	int name_len = path_len > 2 ? (int)path_len - 2 : 0;
	snprintf(name, sizeof(name), "%.*s", name_len ? name_len : 1,
		name_len ? lookup->path + 1 : ".");
	return root_open_directory(lookup->site->root, name);
}

/*
 * The page is not made for HEAD: Content-Length may be left out if it takes work to know it
 * (RFC 9110, 9.3.2).
 */
static void respond_listing(
	const struct request *request, struct lookup *lookup, struct site_response *response) {
	bool is_head = request_method_is(request, "HEAD");
	size_t len = 0;
	int fd = open_directory(lookup);
	if(fd >= 0 && !is_head) {
		fd = listing_cache_open(
			lookup->site->listings, fd, lookup->path, &len, &response->costly);
	}
	if(fd < 0) {
		respond_errno(request, response, -fd);
		return;
	}
	site_head_begin(response, 200, (int64_t)time(NULL));
	site_head_add(response, "Content-Type: text/html; charset=utf-8\r\n");
	if(!is_head) {
		site_head_add(response, "Content-Length: %zu\r\n", len);
	}
	site_head_add_default(response, &lookup->site->fields, "Cache-Control", "no-store");
	site_head_end(response, &lookup->site->fields, true);
	give_body(request, response, fd, 0, len);
}

static void respond_from_directory(
	const struct request *request, struct lookup *lookup, struct site_response *response) {
	size_t len = strlen(lookup->path);
	bool is_directory = lookup->path[len - 1] == '/';
	if(is_directory) { /* read_target() has left the room */
		memcpy(lookup->path + len, INDEX_NAME, sizeof(INDEX_NAME));
	}
	int result = root_open_file(lookup->site->root, lookup->path + 1, &lookup->file);
	if(result == -ENOENT && is_directory && lookup->site->listings) {
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
	int result = is_root ? root_open_file(lookup->site->root, NULL, &lookup->file) : -ENOENT;
	if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		respond_file(request, lookup, lookup->site->root->file, response);
	}
}

void site_respond(const struct site *site, const struct request *request, bool keep,
	struct site_response *response) {
	response->fd = -1;
	response->offset = 0;
	response->body_len = 0;
	response->keep = false;
	response->costly = false;
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
	root_follow(site->root);
	struct lookup lookup = {.site = site, .file.fd = -1};
	const char *message;
	unsigned refused = read_target(request, &lookup, &message);
	if(refused != 0) {
		respond_error(request, response, refused, message, NULL);
	} else if(site->root->file) {
		respond_from_file(request, &lookup, response);
	} else {
		respond_from_directory(request, &lookup, response);
	}
}

int site_open(const char *path, struct site **out, const char **error) {
	struct site *site = calloc(1, sizeof(*site));
	int result = site ? root_open(path, &site->root) : -ENOMEM;
	*out = NULL;
	if(result < 0) {
		*error = root_error(result);
		free(site);
		return result;
	}
	*out = site;
	return 0;
}

int site_set_listing(struct site *site, bool lists) {
	listing_cache_free(site->listings);
	site->listings = lists ? listing_cache_new() : NULL;
	return !lists || site->listings ? 0 : -ENOMEM;
}

int site_set_fields(
	struct site *site, struct page_fields_values headers, struct page_fields_values sites) {
	return page_fields_set(&site->fields, headers, sites);
}

void site_close(struct site *site) {
	if(site) {
		root_close(site->root);
		listing_cache_free(site->listings);
		page_fields_free(&site->fields);
		free(site);
	}
}
