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

/* One element of Forwarded: parameters, of which only `for` is used (RFC 7239, section 4). */
static enum forwarded_claim read_forwarded(struct slice element, union address *out) {
	enum forwarded_claim claim = FORWARDED_CLAIM_HIDDEN;
	bool found = false;
	while(element.len > 0) {
		struct slice value = take_pair(&element);
		const char *equals = memchr(value.at, '=', value.len);
		if(value.len == 0) {
			continue;
		}
		struct slice name = {value.at, equals ? (size_t)(equals - value.at) : 0};
		bool is_for = text_is_nocase(name, "for");
		bool good = text_is_token(name);
		if(good && is_for) {
			struct slice node;
			good = !found && read_value(text_skip(value, name.len + 1), &node);
			claim = good ? read_node(node, false, out) : FORWARDED_CLAIM_BAD;
			found = true;
		}
		if(!good || claim == FORWARDED_CLAIM_BAD) {
			return FORWARDED_CLAIM_BAD;
		}
	}
	return claim;
}

/* Called for the elements from the last to the first, until one is not a trusted reverse proxy. */
static void chain_take(struct forwarded_chain *chain, enum forwarded_claim claim,
	const union address *address, struct cidr_list trusted) {
	chain->claim = claim;
	chain->address = *address;
	chain->settled =
		claim != FORWARDED_CLAIM_ADDRESS || !cidr_list_contains(trusted, &address->any);
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
		union address address = {0};
		struct slice element = take_last(&rest, field == FORWARDED_STANDARD);
		if(element.len == 0) {
			continue;
		}
		enum forwarded_claim claim = field == FORWARDED_STANDARD
			? read_forwarded(element, &address)
			: read_node(element, true, &address);
		if(field == FORWARDED_X_REAL_IP && text_trim(rest).len > 0) {
			claim = FORWARDED_CLAIM_BAD;
		}
		chain_take(chain, claim, &address, trusted);
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
