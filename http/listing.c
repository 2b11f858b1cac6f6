/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The names in a directory as an HTML page.
 *
 * Must not know: requests, which directories may be listed.
 * Invariants: a name is escaped wherever it appears, as a path segment behind "./" (so that it is
 * never taken for a scheme or a host) and as text; memory and time are bounded by
 * LISTING_NAMES_MAX.
 */
#include "http/listing.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LISTING_ENTRIES_MAX (16 * LISTING_NAMES_MAX) /* with hidden names and special files */

struct entry {
	char *name;
	bool is_directory;
};

struct names {
	struct entry *entry;
	size_t count;
	bool more; /* the directory has further names */
};

static int compare_entries(const void *a, const void *b) {
	const struct entry *left = a;
	const struct entry *right = b;
	if(left->is_directory != right->is_directory) {
		return left->is_directory ? -1 : 1;
	}
	return strcmp(left->name, right->name);
}

static bool is_shown(const struct dirent *found) {
	switch(found->d_type) {
	case DT_DIR:
	case DT_REG:
	case DT_LNK:
	case DT_UNKNOWN:
		return found->d_name[0] != '.';
	default:
		return false;
	}
}

static int add_name(struct names *names, const struct dirent *found) {
	struct entry *entry = &names->entry[names->count];
	entry->name = strdup(found->d_name);
	entry->is_directory = found->d_type == DT_DIR;
	names->count += entry->name != NULL;
	return entry->name ? 0 : -ENOMEM;
}

static int read_names(DIR *directory, struct names *names) {
	const struct dirent *found;
	int result = 0;
	errno = 0;
	for(int entries = 0; result == 0 && (found = readdir(directory)); entries++) {
		if(entries == LISTING_ENTRIES_MAX) {
			names->more = true;
			return 0;
		}
		if(!is_shown(found)) {
			continue;
		}
		if(names->count == LISTING_NAMES_MAX) {
			names->more = true;
			return 0;
		}
		result = add_name(names, found);
		errno = 0;
	}
	return result ? result : -errno;
}

static void put_text(FILE *page, const char *text) {
	for(const char *at = text; *at; at++) {
		switch(*at) {
		case '&':
			fputs("&amp;", page);
			break;
		case '<':
			fputs("&lt;", page);
			break;
		case '>':
			fputs("&gt;", page);
			break;
		default:
			fputc(*at, page);
			break;
		}
	}
}

static void put_entry(FILE *page, const struct entry *entry) {
	char link[3 * NAME_MAX + 2];
	if(text_percent_encode(entry->name, link, sizeof(link)) < 0) {
		return;
	}
	const char *end = entry->is_directory ? "/" : "";
	fprintf(page, "<li><a href=\"./%s%s\">", link, end);
	put_text(page, entry->name);
	fprintf(page, "%s</a></li>\n", end);
}

static void put_page(FILE *page, const char *path, const struct names *names) {
	fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
		page);
	put_text(page, path);
	fputs("</title>\n<h1>", page);
	put_text(page, path);
	fputs("</h1>\n<ul>\n", page);
	if(strcmp(path, "/") != 0) {
		fputs("<li><a href=\"../\">../</a></li>\n", page);
	}
	for(size_t i = 0; i < names->count; i++) {
		put_entry(page, &names->entry[i]);
	}
	fputs("</ul>\n", page);
	if(names->more) {
		fprintf(page, "<p>There are more than %d names; the others are left out.</p>\n",
			LISTING_NAMES_MAX);
	}
}

static int write_page(const char *path, const struct names *names, char **out, size_t *len) {
	FILE *page = open_memstream(out, len);
	if(!page) {
		return -ENOMEM;
	}
	put_page(page, path, names);
	bool failed = ferror(page);
	failed |= fclose(page) != 0;
	if(failed) {
		free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int make_page(int fd, const char *path, char **out, size_t *len) {
	struct names names = {0};
	DIR *directory = fdopendir(fd);
	if(!directory) {
		int error = -errno;
		close(fd);
		return error;
	}
	names.entry = malloc(LISTING_NAMES_MAX * sizeof(*names.entry));
	int result = names.entry ? read_names(directory, &names) : -ENOMEM;
	if(result == 0) {
		qsort(names.entry, names.count, sizeof(*names.entry), compare_entries);
		result = write_page(path, &names, out, len);
	}
	for(size_t i = 0; i < names.count; i++) {
		free(names.entry[i].name);
	}
	free(names.entry);
	closedir(directory);
	return result;
}

/* A response body is always an open file. */
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

int listing_open(int fd, const char *path, size_t *len) {
	char *text = NULL;
	int result = make_page(fd, path, &text, len);
	if(result == 0) {
		result = file_of_text(text, *len);
	}
	free(text);
	return result;
}
