/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reason phrases, and error responses with a line of text as their body.
 *
 * Must not know: requests, connections, how a response is sent.
 * Implements RFC 9110 sections 6.6.1 and 15.
 */
#include "http/response.h"

#include "http/date.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
	unsigned status;
	const char *text;
} statuses[] = {
	{101, "Switching Protocols"},
	{200, "OK"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{416, "Range Not Satisfiable"},
	{421, "Misdirected Request"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

const char *response_status_text(unsigned status) {
	for(size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		if(statuses[i].status == status) {
			return statuses[i].text;
		}
	}
	return "Unknown";
}

int response_format_error(char *out, size_t cap, unsigned status, const char *message,
	const char *extra, unsigned flags) {
	char date[DATE_CAP];
	date_format(date, time(NULL));
	int len = snprintf(out, cap,
		"HTTP/1.1 %u %s\r\n"
		"Date: %s\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\n"
		"Connection: %s\r\n"
		"X-Content-Type-Options: nosniff\r\n"
		"Cache-Control: no-store\r\n"
		"%s\r\n"
		"%s%s",
		status, response_status_text(status), date, strlen(message) + 1,
		flags & RESPONSE_PERSISTENT ? "keep-alive" : "close", extra ? extra : "",
		flags & RESPONSE_HEAD_ONLY ? "" : message, flags & RESPONSE_HEAD_ONLY ? "" : "\n");
	return len < 0 || (size_t)len >= cap ? -ENOSPC : len;
}
