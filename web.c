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
 * RFC 9110, sections 8.3, 8.8.2, 9.3.1, 9.3.2, 10.2.2, 15.4.2, 15.5.6 and 15.5.22.
 */
#include "web.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Decoded path, index.html and NUL included: what open(2) would take anyway. */
#define PATH_CAP 4096

/* The kernel gives up a lookup when a directory is renamed meanwhile; asking again mostly helps. */
#define LOOKUP_TRIES 4

#define INDEX_NAME "index.html"

struct web_site {
	int root;   /* the directory, or the one that holds `file` */
	char *file; /* name in `root`; NULL: a whole directory is served */
};

/* One request on its way to a file. */
struct lookup {
	const struct web_site *site;
	struct http_slice query; /* behind the path, with its '?'; may be empty */
	char path[PATH_CAP];     /* decoded; begins with '/' */
	struct stat info;        /* of the opened file */
	int fd;                  /* the file, or -1 */
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

static bool is_method(const struct http_request *request, const char *method) {
	return request->method.len == strlen(method) &&
		memcmp(request->method.at, method, request->method.len) == 0;
}

static void respond_error(const struct http_request *request, struct web_response *response,
	unsigned status, const char *message, const char *extra) {
	int len = http_format_error(response->head, sizeof(response->head), status, message, extra,
		is_method(request, "HEAD"));
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
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
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
static int open_file(const struct web_site *site, const char *path, struct lookup *lookup) {
	static const int ways[] = {O_PATH, O_RDONLY | O_NONBLOCK | O_NOCTTY};
	for(size_t way = 0; way < sizeof(ways) / sizeof(*ways); way++) {
		int fd = stat_opened(open_entry(site, path, ways[way]), &lookup->info);
		if(fd < 0) {
			return fd;
		}
		if(!S_ISREG(lookup->info.st_mode)) {
			close(fd);
			return S_ISDIR(lookup->info.st_mode) ? -EISDIR : -EINVAL;
		}
		if(way == 0) {
			close(fd);
		} else {
			lookup->fd = fd;
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

/* Splits and decodes the target. 0, or the status and message that refuse it. */
static unsigned read_target(
	const struct http_request *request, struct lookup *lookup, const char **message) {
	struct http_slice target = request->target;
	const char *query = memchr(target.at, '?', target.len);
	size_t len = query ? (size_t)(query - target.at) : target.len;
	lookup->query = (struct http_slice){.at = target.at + len, .len = target.len - len};
	int decoded = http_percent_decode(
		target.at, len, lookup->path, sizeof(lookup->path) - sizeof(INDEX_NAME));
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

/* Percent-encodes everything a browser could read as more than a part of a path. Length, or
 * -ENOSPC. */
static int encode_path(const char *path, char *out, size_t cap) {
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~/!$&'()*+,;=:@";
	size_t used = 0;
	for(const char *at = path; *at; at++) {
		bool is_plain = strchr(plain, *at) != NULL;
		if(cap - used < 4) {
			return -ENOSPC;
		}
		used += (size_t)snprintf(out + used, cap - used, is_plain ? "%c" : "%%%02X",
			is_plain ? *at : (int)(unsigned char)*at);
	}
	return (int)used;
}

/* A directory asked for without its slash: relative links in its index would miss it. */
static void respond_redirect(const struct http_request *request, const struct lookup *lookup,
	struct web_response *response) {
	char path[WEB_HEAD_MAX / 2];
	char extra[WEB_HEAD_MAX / 2 + 64];
	int len = encode_path(lookup->path, path, sizeof(path));
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

static void respond_file(const struct http_request *request, struct lookup *lookup,
	const char *name, struct web_response *response) {
	char now_date[HTTP_DATE_CAP];
	char date[HTTP_DATE_CAP];
	int64_t now = (int64_t)time(NULL);
	int64_t modified = (int64_t)lookup->info.st_mtim.tv_sec;
	uint64_t size = (uint64_t)lookup->info.st_size;
	http_format_date(now_date, now);
	/* Never in the future (RFC 9110, 8.8.2.1). */
	http_format_date(date, modified < now ? modified : now);
	int len = snprintf(response->head, sizeof(response->head),
		"HTTP/1.1 200 %s\r\n"
		"Date: %s\r\n"
		"Content-Type: %s\r\n"
		"Content-Length: %llu\r\n"
		"Last-Modified: %s\r\n"
		"Cache-Control: no-cache\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Referrer-Policy: no-referrer\r\n"
		"Connection: close\r\n"
		"\r\n",
		http_status_text(200), now_date, type_of(name), (unsigned long long)size, date);
	response->status = 200;
	response->head_len = (size_t)len;
	if(size == 0 || is_method(request, "HEAD")) {
		close(lookup->fd);
		return;
	}
	response->fd = lookup->fd;
	response->body_len = size;
}

static void respond_from_directory(
	const struct http_request *request, struct lookup *lookup, struct web_response *response) {
	size_t len = strlen(lookup->path);
	bool is_directory = lookup->path[len - 1] == '/';
	if(is_directory) { /* read_target() has left the room */
		memcpy(lookup->path + len, INDEX_NAME, sizeof(INDEX_NAME));
	}
	int result = open_file(lookup->site, lookup->path + 1, lookup);
	if(result == -EISDIR && !is_directory) {
		respond_redirect(request, lookup, response);
	} else if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		respond_file(request, lookup, lookup->path, response);
	}
}

static void respond_from_file(
	const struct http_request *request, struct lookup *lookup, struct web_response *response) {
	int result =
		strcmp(lookup->path, "/") == 0 ? open_file(lookup->site, NULL, lookup) : -ENOENT;
	if(result < 0) {
		respond_errno(request, response, -result);
	} else {
		respond_file(request, lookup, lookup->site->file, response);
	}
}

void web_respond(const struct web_site *site, const struct http_request *request,
	struct web_response *response) {
	response->fd = -1;
	response->body_len = 0;
	if(!is_method(request, "GET") && !is_method(request, "HEAD")) {
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
	struct lookup lookup = {.site = site, .fd = -1};
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
	struct lookup probe = {.fd = -1};
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
