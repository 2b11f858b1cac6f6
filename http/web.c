/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From a request target to an open file and a response head.
 *
 * Must not know: sockets, connections, how the body is sent.
 * Invariants: every file is opened relative to a directory descriptor held from the start, and the
 * kernel (openat2) keeps the lookup below it; the checks on the text come on top, they are not the
 * barrier. What is opened for reading has been seen to be a regular file, so a fifo or a device in
 * the tree can neither block nor be disturbed.
 *
 * RFC 9110, sections 8.3, 8.4, 8.8.2, 8.8.3, 9.3.1, 9.3.2, 10.2.2, 12.5.5, 14.4, 15.3.7, 15.4.2, 15.4.5,
 * 15.5.6, 15.5.17 and 15.5.22.
 */
#include "http/web.h"

#include "base/passes.h"
#include "http/listing.h"
#include "http/negotiate.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Decoded path, index.html and NUL included: what open(2) would take anyway. */
#define PATH_CAP 4096

/* The kernel gives up a lookup when a directory is renamed meanwhile; asking again mostly helps. */
#define LOOKUP_TRIES 4

#define INDEX_NAME "index.html"
#define SUFFIX_MAX 3 /* ".br" */

#define ETAG_CAP 64

/* A page may be shown in frames of its own site only, and a listing does nothing at all. */
#define PAGE_POLICY "frame-ancestors 'self'"
#define LISTING_POLICY "default-src 'none'; frame-ancestors 'self'"

struct web_site {
	int root; /* the directory, or the one that holds `file` */
	char *file; /* name in `root`; NULL: a whole directory is served */
	bool lists; /* directories without index are listed */
};

/* An open file; fd -1: none. */
struct opened {
	int fd;
	struct stat info;
};

/* One request on its way to a file. */
struct lookup {
	const struct web_site *site;
	struct http_slice query; /* behind the path, with its '?'; may be empty */
	char path[PATH_CAP + SUFFIX_MAX]; /* decoded; begins with '/' */
	struct opened file;
	const char *coding; /* the content coding of `file`; NULL: none */
};

/* Files beside a file that hold it compressed; the first is preferred. */
static const struct {
	const char *suffix;
	const char *coding;
} codings[] = {
	{".br", "br"},
	{".gz", "gzip"},
};

static const struct {
	const char *extension;
	const char *type;
} types[] = {
	{"html", "text/html; charset=utf-8"},
	{"htm", "text/html; charset=utf-8"},
	{"css", "text/css; charset=utf-8"},
	{"js", "text/javascript; charset=utf-8"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"json", "application/json"},
	{"map", "application/json"},
	{"webmanifest", "application/manifest+json"},
	{"txt", "text/plain; charset=utf-8"},
	{"log", "text/plain; charset=utf-8"},
	{"md", "text/markdown; charset=utf-8"},
	{"csv", "text/csv; charset=utf-8"},
	{"xml", "text/xml; charset=utf-8"},
	{"xhtml", "application/xhtml+xml; charset=utf-8"},
	{"svg", "image/svg+xml; charset=utf-8"},
	{"png", "image/png"},
	{"apng", "image/apng"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"bmp", "image/bmp"},
	{"ico", "image/vnd.microsoft.icon"},
	{"cur", "image/vnd.microsoft.icon"},
	{"wasm", "application/wasm"},
	{"pdf", "application/pdf"},
	{"woff", "font/woff"},
	{"woff2", "font/woff2"},
	{"ttf", "font/ttf"},
	{"otf", "font/otf"},
	{"mp3", "audio/mpeg"},
	{"m4a", "audio/mp4"},
	{"wav", "audio/wav"},
	{"flac", "audio/flac"},
	{"opus", "audio/ogg"},
	{"oga", "audio/ogg"},
	{"ogg", "audio/ogg"},
	{"ogv", "video/ogg"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
	{"zip", "application/zip"},
	{"gz", "application/gzip"},
};

static const char *type_of(const char *path) {
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name ? name : path, '.');
	for(size_t at = 0; dot && at < sizeof(types) / sizeof(*types); at++) {
		if(strcasecmp(dot + 1, types[at].extension) == 0) {
			return types[at].type;
		}
	}
	return "application/octet-stream";
}

static void respond_error(const struct http_request *request, struct web_response *response,
	unsigned status, const char *message, const char *extra) {
	unsigned flags = http_method_is(request, "HEAD") ? HTTP_HEAD_ONLY : 0;
	flags |= response->keep ? HTTP_PERSIST : 0;
	int len = http_format_error(
		response->head, sizeof(response->head), status, message, extra, flags);
	response->status = status;
	response->head_len = len < 0 ? 0 : (size_t)len;
}

static void respond_errno(
	const struct http_request *request, struct web_response *response, int error) {
	switch(error) {
	case EACCES:
	case EPERM:
		respond_error(request, response, 403, "this file may not be read", NULL);
		break;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		respond_error(request, response, 503, "the server is short of resources", NULL);
		break;
	case EIO:
	case ESTALE:
		respond_error(request, response, 500, "this file cannot be read", NULL);
		break;
	default: /* no such name, too long a name, or a way out of the root: all the same from
		    outside */
		respond_error(request, response, 404, "there is no such file", NULL);
		break;
	}
}

/* Without openat2: one segment after the other, and no symbolic links at all. */
static int walk_beneath(int root, const char *path, int flags) {
	char segment[NAME_MAX + 1];
	int at = root;
	int fd;
	for(;;) {
		size_t len = strcspn(path, "/");
		bool last = path[len] == '\0';
		if(len >= sizeof(segment)) {
			fd = -ENAMETOOLONG;
			break;
		}
		memcpy(segment, path, len);
		segment[len] = '\0';
		if(strcmp(segment, "..") == 0) {
			fd = -EXDEV;
			break;
		}
		fd = openat(at, segment,
			O_NOFOLLOW | O_CLOEXEC | (last ? flags : O_PATH | O_DIRECTORY));
		fd = fd < 0 ? -errno : fd;
		if(fd < 0 || last) {
			break;
		}
		if(at != root) {
			close(at);
		}
		at = fd;
		path += len + 1;
	}
	if(at != root) {
		close(at);
	}
	return fd;
}

/*
 * Opens `path` (relative) below the directory `root`; a descriptor or negative errno. EPERM is how
 * older container sandboxes answer system calls that they do not know.
 */
static int open_beneath(int root, const char *path, int flags) {
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	for(int try = 0; try < LOOKUP_TRIES; try++) {
		ssize_t fd = RETRY_INTERRUPTED(syscall(SYS_openat2, root, path, &how, sizeof(how)));
		if(fd >= 0) {
			return (int)fd;
		}
		if(errno == ENOSYS || errno == EPERM) {
			return walk_beneath(root, path, flags);
		}
		if(errno != EAGAIN) {
			return -errno;
		}
	}
	return -EAGAIN;
}

/* The one file of a site was named by the operator: its symbolic links may lead anywhere. */
static int open_entry(const struct web_site *site, const char *path, int flags) {
	if(!site->file) {
		return open_beneath(site->root, path, flags);
	}
	int fd = openat(site->root, site->file, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* fstat() that closes `fd` when it fails; the descriptor or negative errno. */
static int stat_opened(int fd, struct stat *info) {
	if(fd < 0 || fstat(fd, info) == 0) {
		return fd;
	}
	int error = errno;
	close(fd);
	return -error;
}

/*
 * Opens a file for reading. It is looked at through O_PATH first, which touches nothing: opening a
 * fifo would wake its writer, opening a device may do anything. The second look guards against an
 * exchange in between. 0, or negative errno; -EISDIR for a directory, -EINVAL for what else is no
 * regular file.
 */
static int open_file(const struct web_site *site, const char *path, struct opened *file) {
	static const int ways[] = {O_PATH, O_RDONLY | O_NONBLOCK | O_NOCTTY};
	for(size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
		int fd = stat_opened(open_entry(site, path, ways[way]), &file->info);
		if(fd < 0) {
			return fd;
		}
		if(!S_ISREG(file->info.st_mode)) {
			close(fd);
			return S_ISDIR(file->info.st_mode) ? -EISDIR : -EINVAL;
		}
		if(way == 0) {
			close(fd);
		} else {
			file->fd = fd;
		}
	}
	return 0;
}

/*
 * Would anybody be served this path? Hidden names are not, ".." is one of them, and an empty
 * segment is none: "//host/dir" in a redirect would name another server.
 */
static bool is_public(const char *path) {
	for(const char *at = path; *at; at++) {
		if(*at == '/' && (at[1] == '.' || at[1] == '/')) {
			return false;
		}
	}
	return path[0] == '/';
}

/* Splits and decodes the target. 0, or the status and message that respond_error it. */
static unsigned read_target(
	const struct http_request *request, struct lookup *lookup, const char **message) {
	struct http_slice target = request->target;
	const char *query = memchr(target.at, '?', target.len);
	size_t len = query ? (size_t)(query - target.at) : target.len;
	lookup->query = (struct http_slice){.at = target.at + len, .len = target.len - len};
	int decoded =
		http_percent_decode(target.at, len, lookup->path, PATH_CAP - sizeof(INDEX_NAME));
	if(decoded == -ENOSPC) {
		*message = "the address is too long";
		return 414;
	}
	if(decoded < 0 || lookup->path[0] != '/') {
		*message = "the address is not a well-formed path";
		return 400;
	}
	if(strlen(lookup->path) != (size_t)decoded || !is_public(lookup->path)) {
		*message = "there is no such file";
		return 404;
	}
	return 0;
}

/* A directory asked for without its slash: relative links in its index would miss it. */
static void respond_redirect(const struct http_request *request, const struct lookup *lookup,
	struct web_response *response) {
	char path[WEB_HEAD_MAX / 2];
	char extra[WEB_HEAD_MAX / 2 + 64];
	int len = http_percent_encode(lookup->path, path, sizeof(path));
	if(len >= 0) {
		len = snprintf(extra, sizeof(extra), "Location: %s/%.*s\r\n", path,
			lookup->query.len > WEB_HEAD_MAX ? WEB_HEAD_MAX : (int)lookup->query.len,
			lookup->query.at);
	}
	if(len < 0 || (size_t)len >= sizeof(extra)) {
		respond_error(request, response, 414, "the address is too long", NULL);
		return;
	}
	respond_error(request, response, 301, "this directory has a slash at its end", extra);
}

/* ---- heads ---- */

/* The parts of a head have bounds that together leave room. */
__attribute__((format(printf, 2, 3))) static void add(
	struct web_response *response, const char *format, ...) {
	size_t room = sizeof(response->head) - response->head_len;
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(response->head + response->head_len, room, format, arguments);
	va_end(arguments);
	assert(len >= 0 && (size_t)len < room);
	response->head_len += (size_t)len;
}

static void begin_head(struct web_response *response, unsigned status, int64_t now) {
	char date[HTTP_DATE_CAP];
	http_format_date(date, now);
	response->status = status;
	response->head_len = 0;
	add(response, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_status_text(status), date);
}

static void end_head(struct web_response *response, const char *policy) {
	add(response,
		"X-Content-Type-Options: nosniff\r\n"
		"Referrer-Policy: no-referrer\r\n"
		"Content-Security-Policy: %s\r\n"
		"Connection: %s\r\n"
		"\r\n",
		policy, response->keep ? "keep-alive" : "close");
}

static void add_content(struct web_response *response, const char *type, uint64_t len) {
	add(response, "Content-Type: %s\r\nContent-Length: %llu\r\n", type,
		(unsigned long long)len);
}

/* What a 304 has to repeat (RFC 9110, 15.4.5), and the coding. */
static void add_validators(struct web_response *response, const struct lookup *lookup,
	const struct negotiate_file *file) {
	char date[HTTP_DATE_CAP];
	http_format_date(date, file->modified);
	add(response,
		"Last-Modified: %s\r\n"
		"ETag: %s\r\n"
		"Cache-Control: no-cache\r\n"
		"Accept-Ranges: bytes\r\n",
		date, file->etag);
	if(!lookup->site->file) {
		add(response, "Vary: Accept-Encoding\r\n");
	}
	if(lookup->coding) {
		add(response, "Content-Encoding: %s\r\n", lookup->coding);
	}
}

/* ---- files ---- */

/* Hands `fd` over, unless there is nothing to be sent of it. */
static void give_body(const struct http_request *request, struct web_response *response, int fd,
	uint64_t offset, uint64_t len) {
	if(len == 0 || http_method_is(request, "HEAD")) {
		close(fd);
		return;
	}
	response->fd = fd;
	response->offset = offset;
	response->body_len = len;
}

/* The file is there, but not what is asked for. */
static void respond_unsatisfiable(const struct http_request *request, struct lookup *lookup,
	unsigned status, struct web_response *response) {
	char extra[64];
	bool is_range = status == 416;
	snprintf(extra, sizeof(extra), "Content-Range: bytes */%llu\r\n",
		(unsigned long long)lookup->file.info.st_size);
	close(lookup->file.fd);
	respond_error(request, response, status,
		is_range ? "the file has no such range" : "the file has changed",
		is_range ? extra : NULL);
}

/*
 * Inode, size and time of the last change: a file that is replaced or written to gets another one,
 * and so does each of its compressed neighbours.
 */
static void describe(const struct stat *info, char etag[ETAG_CAP], struct negotiate_file *file) {
	int64_t modified = (int64_t)info->st_mtim.tv_sec;
	snprintf(etag, ETAG_CAP, "\"%llx-%llx-%llx.%lx\"", (unsigned long long)info->st_ino,
		(unsigned long long)info->st_size, (unsigned long long)modified,
		(unsigned long)info->st_mtim.tv_nsec);
	file->etag = etag;
	file->now = (int64_t)time(NULL);
	/* Never in the future (RFC 9110, 8.8.2.1). */
	file->modified = modified < file->now ? modified : file->now;
	file->size = (uint64_t)info->st_size;
}

static void respond_file(const struct http_request *request, struct lookup *lookup,
	const char *name, struct web_response *response) {
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
		add_content(response, type_of(name), range.len);
	}
	end_head(response, PAGE_POLICY);
	give_body(request, response, lookup->file.fd, range.first, range.len);
}

/* One that is older than the file holds what the file was before. */
static bool is_fresh(const struct stat *neighbour, struct timespec modified) {
	struct timespec time = neighbour->st_mtim;
	return time.tv_sec != modified.tv_sec ? time.tv_sec > modified.tv_sec
					      : time.tv_nsec >= modified.tv_nsec;
}

/* Exchanges the file, changed at `modified`, for its neighbour with this suffix, if there is one. */
static bool take_neighbour(struct lookup *lookup, const char *suffix, struct timespec modified) {
	size_t len = strlen(lookup->path);
	struct opened neighbour;
	memcpy(lookup->path + len, suffix,
		strlen(suffix) + 1); /* read_target() has left the room */
	int result = open_file(lookup->site, lookup->path + 1, &neighbour);
	lookup->path[len] = '\0';
	if(result < 0) {
		return false;
	}
	if(!is_fresh(&neighbour.info, modified)) {
		close(neighbour.fd);
		return false;
	}
	close(lookup->file.fd);
	lookup->file = neighbour;
	return true;
}

/* The compressed neighbour that the client likes best, if it likes one at least as much as the file. */
static void choose_coding(const struct http_request *request, struct lookup *lookup) {
	unsigned best = negotiate_quality(request, "identity");
	struct timespec modified = lookup->file.info.st_mtim;
	for(size_t at = 0; at < sizeof(codings) / sizeof(*codings); at++) {
		unsigned quality = negotiate_quality(request, codings[at].coding);
		bool better = lookup->coding ? quality > best : quality >= best;
		if(quality > 0 && better && take_neighbour(lookup, codings[at].suffix, modified)) {
			lookup->coding = codings[at].coding;
			best = quality;
		}
	}
}

/* ---- directories ---- */

/* The text as an open file, like every other body; a descriptor or negative errno. */
static int file_of_text(const char *text, size_t len) {
	int fd = memfd_create("websocksy-listing", MFD_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	if(write(fd, text, len) != (ssize_t)len) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

/* A descriptor with the page and its length in `*len`, or negative errno. */
static int make_listing(const struct lookup *lookup, size_t *len) {
	char name[PATH_CAP];
	char *text = NULL;
	size_t path_len = strlen(lookup->path);
	/* Without the slashes at both ends; the root is ".". */
	int name_len = path_len > 2 ? (int)path_len - 2 : 0;
	snprintf(name, sizeof(name), "%.*s", name_len ? name_len : 1,
		name_len ? lookup->path + 1 : ".");
	int fd = open_beneath(lookup->site->root, name, O_RDONLY | O_DIRECTORY);
	int result = fd < 0 ? fd : listing_make(fd, lookup->path, &text, len);
	if(result == 0) {
		result = file_of_text(text, *len);
	}
	free(text);
	return result;
}

static void respond_listing(
	const struct http_request *request, struct lookup *lookup, struct web_response *response) {
	size_t len = 0;
	int fd = make_listing(lookup, &len);
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
	const struct http_request *request, struct lookup *lookup, struct web_response *response) {
	size_t len = strlen(lookup->path);
	bool is_directory = lookup->path[len - 1] == '/';
	if(is_directory) { /* read_target() has left the room */
		memcpy(lookup->path + len, INDEX_NAME, sizeof(INDEX_NAME));
	}
	int result = open_file(lookup->site, lookup->path + 1, &lookup->file);
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
	const struct http_request *request, struct lookup *lookup, struct web_response *response) {
	bool is_root = strcmp(lookup->path, "/") == 0;
	int result = is_root ? open_file(lookup->site, NULL, &lookup->file) : -ENOENT;
	if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		respond_file(request, lookup, lookup->site->file, response);
	}
}

void web_respond(const struct web_site *site, const struct http_request *request, bool keep,
	struct web_response *response) {
	response->fd = -1;
	response->offset = 0;
	response->body_len = 0;
	response->keep = false;
	if(!http_method_is(request, "GET") && !http_method_is(request, "HEAD")) {
		respond_error(request, response, 405, "only GET and HEAD are answered here",
			"Allow: GET, HEAD\r\n");
		return;
	}
	if(!site) {
		respond_error(request, response, 426,
			"this address speaks WebSocket: connect with a WebSocket client",
			HTTP_UPGRADE_FIELDS);
		return;
	}
	response->keep = keep && http_persists(request);
	struct lookup lookup = {.site = site, .file.fd = -1};
	const char *message;
	unsigned refused = read_target(request, &lookup, &message);
	if(refused != 0) {
		respond_error(request, response, refused, message, NULL);
	} else if(site->file) {
		respond_from_file(request, &lookup, response);
	} else {
		respond_from_directory(request, &lookup, response);
	}
}

static const char *open_error(int error) {
	switch(error) {
	case ENOENT:
	case ENOTDIR:
		return "there is no such file or directory";
	case EACCES:
	case EPERM:
		return "it may not be read";
	case EINVAL:
		return "it is neither a directory nor a regular file";
	case ELOOP:
		return "its symbolic links lead in a circle";
	case ENAMETOOLONG:
		return "the name is too long";
	case ENOMEM:
		return "out of memory";
	default:
		return "it cannot be opened";
	}
}

/* Must be readable and searchable: the dot is looked up, which needs the right to search. */
static int open_directory(const char *path, struct web_site *site) {
	site->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if(site->root < 0) {
		return -errno;
	}
	int probe = openat(site->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if(probe < 0) {
		return -errno;
	}
	close(probe);
	return 0;
}

/* Holds the directory of `path`, and opens the file once to see that it can be read. */
static int open_single(const char *path, struct web_site *site) {
	const char *slash = strrchr(path, '/');
	char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct opened probe = {.fd = -1};
	int result = -ENOMEM;
	site->file = strdup(slash ? slash + 1 : path);
	if(directory && site->file) {
		site->root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
		result = site->root < 0 ? -errno : open_file(site, NULL, &probe);
	}
	if(probe.fd >= 0) {
		close(probe.fd);
	}
	free(directory);
	return result;
}

int web_site_open(const char *path, struct web_site **out, const char **error) {
	struct stat info;
	struct web_site *site = malloc(sizeof(*site));
	int result = -ENOMEM;
	*out = NULL;
	if(site) {
		*site = (struct web_site){.root = -1};
		if(stat(path, &info) < 0) {
			result = -errno;
		} else if(S_ISDIR(info.st_mode)) {
			result = open_directory(path, site);
		} else {
			result = S_ISREG(info.st_mode) ? open_single(path, site) : -EINVAL;
		}
	}
	if(result < 0) {
		*error = open_error(-result);
		web_site_close(site);
		return result;
	}
	*out = site;
	return 0;
}

void web_site_set_listing(struct web_site *site, bool lists) {
	site->lists = lists;
}

void web_site_close(struct web_site *site) {
	if(!site) {
		return;
	}
	if(site->root >= 0) {
		close(site->root);
	}
	free(site->file);
	free(site);
}
