/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server's own names.
 *
 * Must not know: TLS, HTTP, the consequences of another name.
 * Invariants: names are compared as a whole or at a dot, never as plain suffixes.
 * Implements RFC 9110 section 7.2, RFC 6066 section 3.
 */
#include "network/server_name.h"

#include "base/address.h"

/* The whole of `text` as an IPv6 address in brackets. */
static bool read_ip6(struct slice text, union address *address) {
	return text.len > 0 && text.at[0] == '[' && address_take_ip6(&text, address) == 0 &&
		text.len == 0;
}

const char *server_name_check(const char *text) {
	struct slice name = text_slice(text);
	union address address;
	if(read_ip6(name, &address) ||
		(address_parse(name, &address) == 0 && address.any.sa_family == AF_INET)) {
		return NULL;
	}
	if(text_begins(name, "*.")) {
		name = text_skip(name, 2);
	}
	return text_is_host_name(name) ? NULL
				       : "is not a host name, *. and a host name, or an IP address "
					 "(IPv6 in brackets)";
}

static struct slice without_dot(struct slice name) {
	name.len -= name.len > 1 && name.at[name.len - 1] == '.';
	return name;
}

static bool matches(struct slice pattern, struct slice name) {
	union address a;
	union address b;
	if(read_ip6(pattern, &a) && read_ip6(name, &b)) {
		return address_same_host(&a, &b);
	}
	if(!text_begins(pattern, "*.")) {
		return text_equal_nocase(without_dot(pattern), name);
	}
	pattern = text_skip(without_dot(pattern), 1);
	return name.len > pattern.len &&
		text_equal_nocase(pattern, text_skip(name, name.len - pattern.len));
}

bool server_name_is_own(char *const *list, size_t count, struct slice name) {
	name = without_dot(name);
	for(size_t i = 0; i < count; i++) {
		if(matches(text_slice(list[i]), name)) {
			return true;
		}
	}
	return count == 0;
}
