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

#include "base/dynbuf.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LISTING_ENTRIES_MAX (16 * LISTING_NAMES_MAX) /* with hidden names and special files */

#define TEXT_OF_TOKEN(token) #token
#define TEXT_OF(macro) TEXT_OF_TOKEN(macro)

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

/* ---- the page ---- */

/* The text of a page; after an allocation has failed, nothing is appended any more. */
struct page {
	struct dynbuf text;
	bool failed;
};

static void put_bytes(struct page *page, const char *bytes, size_t len) {
	page->failed = page->failed || dynbuf_append(&page->text, bytes, len) < 0;
}

static void put(struct page *page, const char *text) {
	put_bytes(page, text, strlen(text));
}

static void put_text(struct page *page, const char *text) {
	while(*text) {
		size_t plain = strcspn(text, "&<>");
		put_bytes(page, text, plain);
		text += plain;
		if(*text) {
			put(page, *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : "&gt;");
			text++;
		}
	}
}

static void put_entry(struct page *page, const struct entry *entry) {
	char link[3 * NAME_MAX + 2];
	if(text_percent_encode(entry->name, link, sizeof(link)) < 0) {
		return;
	}
	const char *end = entry->is_directory ? "/" : "";
	put(page, "<li><a href=\"./");
	put(page, link);
	put(page, end);
	put(page, "\">");
	put_text(page, entry->name);
	put(page, end);
	put(page, "</a></li>\n");
}

static void put_page(struct page *page, const char *path, const struct names *names) {
	put(page,
		"<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
	put_text(page, path);
	put(page, "</title>\n<h1>");
	put_text(page, path);
	put(page, "</h1>\n<ul>\n");
	if(strcmp(path, "/") != 0) {
		put(page, "<li><a href=\"../\">../</a></li>\n");
	}
	for(size_t i = 0; i < names->count; i++) {
		put_entry(page, &names->entry[i]);
	}
	put(page, "</ul>\n");
	if(names->more) {
		put(page,
			"<p>There are more than " TEXT_OF(LISTING_NAMES_MAX) " names; the others "
									     "are left out.</p>\n");
	}
}

static int make_page(int fd, const char *path, struct page *page) {
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
		put_page(page, path, &names);
		result = page->failed ? -ENOMEM : 0;
	}
	for(size_t i = 0; i < names.count; i++) {
		free(names.entry[i].name);
	}
	free(names.entry);
	closedir(directory);
	return result;
}

/* A response body is always an open file. */
static int file_of_text(const struct dynbuf *text) {
	int fd = memfd_create("websocksy-listing", MFD_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	if(write(fd, text->data, text->len) != (ssize_t)text->len) {
		close(fd);
		return -ENOMEM;
	}
	return fd;
}

int listing_open(int fd, const char *path, size_t *len) {
	struct page page = {0};
	int result = make_page(fd, path, &page);
	if(result == 0) {
		*len = page.text.len;
		result = file_of_text(&page.text);
	}
	dynbuf_free(&page.text);
	return result;
}
