/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Heads of the responses of a site.
 *
 * Must not know: requests, files.
 * Invariant: each part of a head is bounded, and their sum is below SITE_HEAD_MAX.
 * Implements RFC 9110 section 6.6.1; Content Security Policy Level 3.
 */
#include "http/site_head.h"

#include "http/date.h"
#include "http/response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* Pages may be framed only by pages of the same origin unless other sites are configured. */
#define DEFAULT_ANCESTORS "'self'"

void site_head_add(struct site_response *response, const char *format, ...) {
	size_t room = sizeof(response->head) - response->head_len;
	va_list arguments;
	va_start(arguments, format);
	int len = vsnprintf(response->head + response->head_len, room, format, arguments);
	va_end(arguments);
	assert(len >= 0 && (size_t)len < room);
	response->head_len += (size_t)len;
}

void site_head_begin(struct site_response *response, unsigned status, int64_t now) {
	char date[DATE_CAP];
	date_format(date, now);
	response->status = status;
	response->head_len = 0;
	site_head_add(response, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status,
		response_status_text(status), date);
}

void site_head_add_default(struct site_response *response, const struct page_fields *fields,
	const char *name, const char *value) {
	if(!page_fields_has(fields, name)) {
		site_head_add(response, "%s: %s\r\n", name, value);
	}
}

void site_head_add_content(struct site_response *response, const char *type, uint64_t len) {
	site_head_add(response, "Content-Type: %s\r\nContent-Length: %llu\r\n", type,
		(unsigned long long)len);
}

/* If several policies are sent, browsers enforce each of them. */
static void add_policy(
	struct site_response *response, const struct page_fields *fields, bool is_listing) {
	const char *name = "Content-Security-Policy";
	if(is_listing || !page_fields_has(fields, name)) {
		site_head_add(response, "%s: %sframe-ancestors %s\r\n", name,
			is_listing ? "default-src 'none'; " : "",
			fields->ancestors ? fields->ancestors : DEFAULT_ANCESTORS);
	}
}

void site_head_end(
	struct site_response *response, const struct page_fields *fields, bool is_listing) {
	site_head_add_default(response, fields, "X-Content-Type-Options", "nosniff");
	site_head_add_default(response, fields, "Referrer-Policy", "no-referrer");
	add_policy(response, fields, is_listing);
	site_head_add(response, "%sConnection: %s\r\n\r\n", fields->fields ? fields->fields : "",
		response->keep ? "keep-alive" : "close");
}
