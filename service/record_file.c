/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files of recordings.
 *
 * Must not know: threads, what is in a file.
 * Invariants: a file is in the directory of the template, whatever a client is called; an existing file
 * is not touched.
 */
#include "service/record_file.h"

#include "base/passes.h"
#include "base/text.h"
#include "service/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NUMBERS_MAX 10000 /* of files with the same name */
#define NAME_ROOM 16 /* for the number */

static bool has_parent(const char *path) {
	struct slice rest = text_slice(path);
	while(rest.len > 0) {
		struct slice part = text_take(&rest, '/');
		if(text_is(part, "..")) {
			return true;
		}
	}
	return false;
}

static bool has_valid_escapes(const char *name) {
	for(const char *at = name; *at; at++) {
		if(*at == '%' && !text_is_one_of(*++at, "tia%")) {
			return false;
		}
	}
	return true;
}

const char *record_check_template(const char *text) {
	const char *name = strrchr(text, '/');
	if(text[0] == '\0') {
		return NULL;
	}
	if(text[0] != '/' || strlen(text) >= PATH_MAX) {
		return "is not an absolute path";
	}
	name++;
	if(memchr(text, '%', (size_t)(name - text))) {
		return "has a % in its directory (%t, %i, %a and %% are for the name of the file)";
	}
	if(has_parent(text)) {
		return "has a .. in its path";
	}
	if(name[0] == '\0' || strcmp(name, ".") == 0) {
		return "has no name for the file (use /DIRECTORY/NAME with %t, %i, %a or %%)";
	}
	return has_valid_escapes(name) ? NULL : "has an unknown escape (use %t, %i, %a or %%)";
}

/* ---- names ---- */

static size_t expand(char letter, const struct record_about *about, char *out, size_t cap) {
	time_t seconds = (time_t)(about->begun_ns / 1000000000);
	struct tm utc;
	if(letter == 't') {
		return gmtime_r(&seconds, &utc) ? strftime(out, cap, "%Y%m%dT%H%M%SZ", &utc) : 0;
	}
	if(letter == 'i') {
		return (size_t)snprintf(out, cap, "%" PRIu64, about->id);
	}
	if(letter == 'a') {
		char host[ADDRESS_HOST_TEXT];
		address_format_host(&about->client.any, host);
		return (size_t)snprintf(out, cap, "%s", host);
	}
	return (size_t)snprintf(out, cap, "%%");
}

/* No expansion contains a slash. 0 or -ENAMETOOLONG. */
static int expand_name(const char *name, const struct record_about *about, char *out, size_t cap) {
	size_t used = 0;
	for(const char *at = name; *at; at++) {
		char piece[64] = {*at};
		size_t len = 1;
		if(*at == '%') {
			len = expand(*++at, about, piece, sizeof(piece));
		}
		if(len >= cap - used) {
			return -ENAMETOOLONG;
		}
		memcpy(out + used, piece, len);
		used += len;
	}
	out[used] = '\0';
	return 0;
}

static int create(int directory, char *name, size_t len) {
	for(unsigned number = 0; number < NUMBERS_MAX; number++) {
		if(number > 0) {
			snprintf(name + len, NAME_ROOM, ".%u", number);
		}
		int fd = openat(directory, name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
		if(fd >= 0 || errno != EEXIST) {
			return fd >= 0 ? fd : -errno;
		}
	}
	return -EEXIST;
}

int record_file_open(
	struct record_file *file, const char *template, const struct record_about *about) {
	char path[PATH_MAX];
	char name[NAME_MAX + NAME_ROOM];
	size_t directory_len = (size_t)(strrchr(template, '/') - template) + 1;
	int result = expand_name(template + directory_len, about, name, NAME_MAX - NAME_ROOM);
	if(result) {
		return result;
	}
	memcpy(path, template, directory_len);
	path[directory_len] = '\0';
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if(directory < 0) {
		return -errno;
	}
	int fd = create(directory, name, strlen(name));
	close(directory);
	file->fd = fd;
	return fd < 0 ? fd : 0;
}

/* ---- writing ---- */

int record_file_write(struct record_file *file, const void *data, size_t len) {
	const char *at = data;
	PASSES(writes, len + INTERRUPTIONS_MAX);
	for(size_t left = len; left > 0;) {
		PASS(writes);
		ssize_t written = RETRY_INTERRUPTED(write(file->fd, at, left));
		if(written <= 0) {
			return written < 0 ? -errno : -EIO;
		}
		at += written;
		left -= (size_t)written;
	}
	file->whole += (off_t)len;
	return 0;
}

void record_file_cut(struct record_file *file, const void *data, size_t len) {
	if(file->fd < 0 || ftruncate(file->fd, file->whole) < 0 ||
		lseek(file->fd, file->whole, SEEK_SET) < 0 || file->whole == 0) {
		return;
	}
	if(len > 0) {
		record_file_write(file, data, len);
	}
}

void record_file_close(struct record_file *file) {
	if(file->fd >= 0) {
		close(file->fd);
	}
	file->fd = -1;
}
