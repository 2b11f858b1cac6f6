/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of servers in options of backends.
 *
 * Must not know: the core, which option it is.
 * Invariants: a host contains nothing that could begin a path or parameters.
 */
#include "plugins/common/server.h"

#include <stdio.h>
#include <string.h>

/* The length of the host in front of the port, all of `len` if there is none; 0: invalid. */
static size_t server_host(const char *host, size_t len) {
	static const char name[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	static const char address[] = "0123456789abcdefABCDEF:.";
	bool brackets = len > 0 && host[0] == '[';
	size_t at = brackets;
	while(at < len && host[at] && strchr(brackets ? address : name, host[at])) {
		at++;
	}
	if(!brackets) {
		return at;
	}
	return at > 1 && at < len && host[at] == ']' ? at + 1 : 0;
}

bool server_address(
	char out[SERVER_MAX], const char *scheme, const char *host, size_t len, const char *port) {
	size_t name = server_host(host, len);
	int written;
	if(name == 0 || len >= SERVER_MAX) {
		return false;
	}
	if(name == len) {
		written = snprintf(out, SERVER_MAX, "%s://%.*s:%s", scheme, (int)len, host, port);
	} else {
		size_t digits = 0;
		while(name + 1 + digits < len && host[name + 1 + digits] >= '0' &&
			host[name + 1 + digits] <= '9') {
			digits++;
		}
		if(host[name] != ':' || digits == 0 || name + 1 + digits != len) {
			return false;
		}
		written = snprintf(out, SERVER_MAX, "%s://%.*s", scheme, (int)len, host);
	}
	return written < SERVER_MAX;
}
