/* SPDX-License-Identifier: BSD-2-Clause
 *
 * HOST:PORT, as websockify has it: the last colon separates, brackets around the host do not count.
 *
 * It must not know what is at this address.
 */
#include "compat/endpoint.h"

#include "base/address.h"

#include <stdio.h>
#include <string.h>

bool endpoint_parse(const char *text, struct endpoint *out) {
	const char *colon = strrchr(text, ':');
	struct slice host = {text, colon ? (size_t)(colon - text) : 0};
	while(host.len > 0 && strchr("[]", host.at[0])) {
		host.at++;
		host.len--;
	}
	while(host.len > 0 && strchr("[]", host.at[host.len - 1])) {
		host.len--;
	}
	out->host = host;
	return address_parse_port(text_slice(colon ? colon + 1 : text), &out->port) == 0;
}

char *endpoint_format(const struct endpoint *endpoint, const char *any) {
	struct slice host = endpoint->host.len > 0 ? endpoint->host : text_slice(any);
	bool ipv6 = memchr(host.at, ':', host.len);
	char *text;
	if(asprintf(&text, "%s%.*s%s:%u", ipv6 ? "[" : "", (int)host.len, host.at, ipv6 ? "]" : "",
		   endpoint->port) < 0) {
		return NULL;
	}
	return text;
}
