/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client's address as trusted reverse proxies give it in header fields.
 *
 * Must not know: requests, connections, which networks are trusted.
 * Invariant: an element to the left of one that was not appended by a trusted reverse proxy is
 * never used.
 * Implements RFC 7239 sections 4 and 6.
 */
#include "http/forwarded.h"

#include <assert.h>
#include <string.h>

const char *forwarded_field_name(enum forwarded_field field) {
	static const char *const names[] = {
		[FORWARDED_STANDARD] = "Forwarded",
		[FORWARDED_X_FORWARDED_FOR] = "X-Forwarded-For",
		[FORWARDED_X_REAL_IP] = "X-Real-IP",
	};
	static_assert(
		sizeof(names) / sizeof(names[0]) == FORWARDED_FIELDS, "one name for each field");
	return names[field];
}

enum forwarded_field forwarded_field_of(const char *name) {
	for(int i = 0; i < FORWARDED_FIELDS; i++) {
		if(text_is_nocase(
			   text_slice(name), forwarded_field_name((enum forwarded_field)i))) {
			return (enum forwarded_field)i;
		}
	}
	return FORWARDED_X_REAL_IP;
}

/* Takes the part in front of the first semicolon outside of quotes off the front of `*rest`. */
static struct slice take_pair(struct slice *rest) {
	struct slice pair = {rest->at, 0};
	bool quoted = false;
	while(pair.len < rest->len && (quoted || rest->at[pair.len] != ';')) {
		if(quoted && rest->at[pair.len] == '\\' && pair.len + 1 < rest->len) {
			pair.len++;
		} else if(rest->at[pair.len] == '"') {
			quoted = !quoted;
		}
		pair.len++;
	}
	*rest = text_skip(*rest, pair.len < rest->len ? pair.len + 1 : pair.len);
	return text_trim(pair);
}

/*
 * Takes the part behind the last comma off the end of `*rest`. It is read backwards from the end,
 * which trusted reverse proxies have written, so that an unbalanced quote that a client has sent
 * cannot hide it.
 */
static struct slice take_last(struct slice *rest, bool quotes) {
	size_t i = rest->len;
	bool quoted = false;
	while(i > 0 && (quoted || rest->at[i - 1] != ',')) {
		bool escaped = quoted && i > 1 && rest->at[i - 2] == '\\';
		if(quotes && rest->at[i - 1] == '"' && !escaped) {
			quoted = !quoted;
		}
		i--;
	}
	struct slice element = text_skip(*rest, i);
	rest->len = i > 0 ? i - 1 : 0;
	return text_trim(element);
}

/* An obfuscated identifier or port: RFC 7239, 6.2 and 6.3. */
static bool is_obfuscated(struct slice text) {
	if(text.len < 2 || text.at[0] != '_') {
		return false;
	}
	for(size_t i = 1; i < text.len; i++) {
		if(!text_is_alphanumeric(text.at[i]) && !text_is_one_of(text.at[i], "._-")) {
			return false;
		}
	}
	return true;
}

/* The part behind the colon of a node: a port or an obfuscated one. */
static bool read_node_port(struct slice text, union address *address) {
	uint16_t port = 0;
	if(!is_obfuscated(text) && address_parse_port(text, &port)) {
		return false;
	}
	address_set_port(address, port);
	return true;
}

/*
 * RFC 7239, section 6: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80", "unknown",
 * "_name". `bare`: the older fields also have IPv6 without brackets, and nginx writes "unix:" for
 * clients on Unix sockets.
 */
static enum forwarded_claim read_node(struct slice text, bool bare, union address *out) {
	const char *close =
		text.len > 0 && text.at[0] == '[' ? memchr(text.at, ']', text.len) : NULL;
	const char *colon = memchr(text.at, ':', text.len);
	struct slice host = text;
	struct slice rest = {0};
	*out = (union address){0};
	if(bare && text_is_nocase(text, "unix:")) {
		out->any.sa_family = AF_UNIX;
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(bare && address_parse(text, out) == 0) {
		address_unmap(out);
		return FORWARDED_CLAIM_ADDRESS;
	}
	if(close) {
		host = (struct slice){text.at + 1, (size_t)(close - text.at) - 1};
		rest = text_skip(text, host.len + 2);
	} else if(colon) {
		host.len = (size_t)(colon - text.at);
		rest = text_skip(text, host.len);
	}
	bool hidden = text_is_nocase(host, "unknown") || is_obfuscated(host);
	bool good = hidden ? !close : address_parse(host, out) == 0;
	if(!good || (!hidden && (out->any.sa_family == AF_INET6) != (close != NULL))) {
		return FORWARDED_CLAIM_BAD;
	}
	if(rest.len > 0 && (rest.at[0] != ':' || !read_node_port(text_skip(rest, 1), out))) {
		return FORWARDED_CLAIM_BAD;
	}
	address_unmap(out);
	return hidden ? FORWARDED_CLAIM_HIDDEN : FORWARDED_CLAIM_ADDRESS;
}

/*
 * A token, or the content of a quoted string; nodes need no escapes, so strings with quotes inside
 * are malformed.
 */
static bool read_value(struct slice text, struct slice *out) {
	*out = text;
	if(text.len < 2 || text.at[0] != '"') {
		return text_is_token(text);
	}
	*out = (struct slice){text.at + 1, text.len - 2};
	return text.at[text.len - 1] == '"' && !memchr(out->at, '"', out->len);
}

/* An element of a field, taken apart. */
struct forwarded_element {
	enum forwarded_claim claim;
	union address address;
	struct slice proto;
	struct slice host;
};

/*
 * A value of which only a use elsewhere decides whether it is valid: some proxies write a host with
 * its port without quotes. False: there are two (RFC 7239, section 4).
 */
static bool keep_value(struct slice text, struct slice *out) {
	struct slice value;
	bool first = out->len == 0;
	*out = read_value(text, &value) ? value : text;
	return first;
}

/* One parameter of Forwarded. False: it is malformed. */
static bool read_parameter(
	struct slice name, struct slice text, struct forwarded_element *out, bool *found) {
	struct slice node;
	if(text_is_nocase(name, "proto")) {
		return keep_value(text, &out->proto);
	}
	if(text_is_nocase(name, "host")) {
		return keep_value(text, &out->host);
	}
	if(!text_is_nocase(name, "for")) {
		return text_is_token(name);
	}
	if(*found || !read_value(text, &node)) {
		return false;
	}
	*found = true;
	out->claim = read_node(node, false, &out->address);
	return out->claim != FORWARDED_CLAIM_BAD;
}

/* One element of Forwarded: parameters, in any order (RFC 7239, section 4). */
static void read_forwarded(struct slice element, struct forwarded_element *out) {
	bool found = false;
	out->claim = FORWARDED_CLAIM_HIDDEN;
	while(element.len > 0) {
		struct slice pair = take_pair(&element);
		const char *equals = memchr(pair.at, '=', pair.len);
		if(pair.len == 0) {
			continue;
		}
		struct slice name = {pair.at, equals ? (size_t)(equals - pair.at) : 0};
		if(!equals || !read_parameter(name, text_skip(pair, name.len + 1), out, &found)) {
			*out = (struct forwarded_element){.claim = FORWARDED_CLAIM_BAD};
			return;
		}
	}
}

/* Called for the elements from the last to the first, until one is not a trusted reverse proxy. */
static void chain_take(struct forwarded_chain *chain, const struct forwarded_element *element,
	struct cidr_list trusted) {
	chain->claim = element->claim;
	chain->address = element->address;
	chain->proto = element->proto;
	chain->host = element->host;
	chain->settled = element->claim != FORWARDED_CLAIM_ADDRESS ||
		!cidr_list_contains(trusted, &element->address.any);
}

void forwarded_chain_add(struct forwarded_chain *chain, enum forwarded_field field,
	const char *value, size_t len, struct cidr_list trusted) {
	struct slice rest = {value, len};
	if(field == FORWARDED_X_REAL_IP && chain->claim != FORWARDED_CLAIM_NONE) {
		/* Not a list: which of two values the proxy has written is unknown. */
		*chain = (struct forwarded_chain){.claim = FORWARDED_CLAIM_BAD, .settled = true};
		return;
	}
	while(rest.len > 0 && !chain->settled) {
		struct forwarded_element element = {0};
		struct slice text = take_last(&rest, field == FORWARDED_STANDARD);
		if(text.len == 0) {
			continue;
		}
		if(field == FORWARDED_STANDARD) {
			read_forwarded(text, &element);
		} else {
			element.claim = read_node(text, true, &element.address);
		}
		if(field == FORWARDED_X_REAL_IP && text_trim(rest).len > 0) {
			element.claim = FORWARDED_CLAIM_BAD;
		}
		chain_take(chain, &element, trusted);
	}
}

/* Is the result a trusted reverse proxy, which does not identify a client? */
static bool is_weak(const struct forwarded_chain *chain, struct cidr_list trusted) {
	return chain->claim == FORWARDED_CLAIM_ADDRESS &&
		cidr_list_contains(trusted, &chain->address.any);
}

bool forwarded_chain_join(struct forwarded_chain *all, const struct forwarded_chain *found,
	struct cidr_list trusted) {
	if(found->claim == FORWARDED_CLAIM_NONE || all->claim == FORWARDED_CLAIM_BAD ||
		all->claim == FORWARDED_CLAIM_DISPUTED) {
		return false;
	}
	if(all->claim == FORWARDED_CLAIM_NONE || found->claim == FORWARDED_CLAIM_BAD) {
		*all = *found;
		return true;
	}
	if(is_weak(found, trusted)) {
		return false;
	}
	if(is_weak(all, trusted)) {
		*all = *found;
		return true;
	}
	if(all->claim == found->claim && address_same_host(&all->address, &found->address)) {
		return false;
	}
	all->claim = FORWARDED_CLAIM_DISPUTED;
	return true;
}
