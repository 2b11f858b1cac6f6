/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Header fields of pages that the operator has configured: `web-header` and `frame-ancestors`.
 */
#ifndef WEBSOCKSY_PAGE_FIELDS_H
#define WEBSOCKSY_PAGE_FIELDS_H
#include <stdbool.h>
#include <stddef.h>

/* The values of one option together, with separators, are not longer than this. */
#define PAGE_FIELDS_MAX 1024

/* Texts, as page_fields_check_*() accept them. */
struct page_fields_values {
	char *const *at;
	size_t count;
};

/* Initialised by zero: the defaults. */
struct page_fields {
	char *fields; /* complete lines with CRLF; NULL: none */
	char *ancestors; /* sources of the directive frame-ancestors (CSP 3); NULL: 'self' */
};

/*
 * Checks a value. NULL: valid; otherwise static text that continues a sentence which begins with
 * the quoted value. A field is "Name: value" and none of those that depend on the response; a site
 * is "self", "none", "*", or "scheme://host[:port]", with "*." for subdomains.
 */
const char *page_fields_check_header(const char *text);
const char *page_fields_check_site(const char *text);

/* Copies valid values, within PAGE_FIELDS_MAX. 0 or -ENOMEM, which leaves the defaults. */
int page_fields_set(struct page_fields *fields, struct page_fields_values headers,
	struct page_fields_values sites);

/* Has a field of this name been configured? It replaces the default. */
bool page_fields_has(const struct page_fields *fields, const char *name);

void page_fields_free(struct page_fields *fields);
#endif
