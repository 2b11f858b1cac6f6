/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Scheme, host and port of a request as its client sees them.
 *
 * Must not know: connections, the consequences of scheme and host.
 * Invariant: fields of a request that does not come from a trusted reverse proxy never count.
 * Implements RFC 7239, sections 5.3 and 5.4.
 */
#include "http/client_view.h"

#include "base/address.h"
#include "http/forwarded.h"

#include <string.h>

/* The last element of a list field, which the nearest proxy has written; empty: none. */
static struct slice last_element(const struct request *request, const char *name) {
	size_t count = request_count_headers(request, name);
	struct slice element = {0};
	if(count > 0) {
		struct slice list = request_find_header(request, name, count - 1)->value;
		while(request_next_element(&list, &element)) {
		}
	}
	return element;
}

/* "http" and "https", also for WebSockets: 1 for https, 0 for http, -1: something else. */
static int read_scheme(struct slice text) {
	if(text_is_nocase(text, "https") || text_is_nocase(text, "wss")) {
		return 1;
	}
	return text_is_nocase(text, "http") || text_is_nocase(text, "ws") ? 0 : -1;
}

/* host[:port]; an empty port is valid (RFC 3986, 3.2.3). False: nothing was changed. */
static bool read_host(struct slice text, struct client_view *view) {
	struct slice rest = text;
	union address address;
	uint16_t port = 0;
	if(text.len == 0) {
		return false;
	}
	if(address_take_ip6(&rest, &address)) {
		rest = text_skip(text, text_find(text, ':'));
		struct slice name = {text.at, text.len - rest.len};
		name.len -= name.len > 0 && name.at[name.len - 1] == '.';
		if(!text_is_host_name(name) && address_parse(name, &address)) {
			return false;
		}
	}
	struct slice host = {text.at, text.len - rest.len};
	if(rest.len > 0 && !text_take_char(&rest, ':')) {
		return false;
	}
	if(rest.len > 0 && (address_parse_port(rest, &port) || port == 0)) {
		return false;
	}
	view->host = host;
	view->port = port;
	return true;
}

/* The Forwarded field of trusted reverse proxies about the client's request. */
static struct forwarded_chain read_standard(
	const struct request *request, struct cidr_list trusted) {
	struct forwarded_chain chain = {0};
	const char *name = forwarded_field_name(FORWARDED_STANDARD);
	for(size_t i = request_count_headers(request, name); i > 0; i--) {
		struct slice value = request_find_header(request, name, i - 1)->value;
		forwarded_chain_add(&chain, FORWARDED_STANDARD, value.at, value.len, trusted);
	}
	return chain;
}

static void take_scheme(struct client_view *view, struct slice standard, struct slice common) {
	int first = read_scheme(standard);
	int second = read_scheme(common);
	if(first >= 0 && second >= 0 && first != second) {
		return;
	}
	view->told = first >= 0 || second >= 0;
	if(view->told) {
		view->https = first > 0 || second > 0;
	}
}

static void take_host(
	struct client_view *view, const struct request *request, struct slice standard) {
	uint16_t port;
	if(!read_host(standard, view)) {
		read_host(last_element(request, "X-Forwarded-Host"), view);
	}
	if(view->port == 0 &&
		address_parse_port(last_element(request, "X-Forwarded-Port"), &port) == 0) {
		view->port = port;
	}
}

void client_view_read(struct client_view *view, const struct request *request, bool tls,
	const struct cidr_list *trusted) {
	const struct request_header *host = request_find_header(request, "Host", 0);
	*view = (struct client_view){.https = tls};
	if(host) {
		read_host(host->value, view);
	}
	if(trusted) {
		struct forwarded_chain chain = read_standard(request, *trusted);
		take_scheme(view, chain.proto, last_element(request, "X-Forwarded-Proto"));
		take_host(view, request, chain.host);
	}
}

unsigned client_view_port(const struct client_view *view) {
	unsigned assumed = view->https ? 443 : 80;
	return view->port ? view->port : assumed;
}
