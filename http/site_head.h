/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Heads of the responses of a site, field by field.
 */
#ifndef WEBSOCKSY_SITE_HEAD_H
#define WEBSOCKSY_SITE_HEAD_H
#include "http/page_fields.h"
#include "http/site.h"

/* Begins a head: status line and Date. `now`: seconds since the epoch. */
void site_head_begin(struct site_response *response, unsigned status, int64_t now);

/* Adds text; the text up to the end of the head is bounded by SITE_HEAD_MAX. */
void site_head_add(struct site_response *response, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds a field unless the operator has configured one of this name. */
void site_head_add_default(struct site_response *response, const struct page_fields *fields,
	const char *name, const char *value);

/* Adds Content-Type and Content-Length. */
void site_head_add_content(struct site_response *response, const char *type, uint64_t len);

/*
 * Adds the fields for security, those that the operator has configured, and Connection, and ends
 * the head. `is_listing`: the page loads and executes nothing, which no configured field changes.
 */
void site_head_end(
	struct site_response *response, const struct page_fields *fields, bool is_listing);
#endif
