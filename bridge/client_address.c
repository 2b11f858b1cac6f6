/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The address of a client behind trusted reverse proxies.
 *
 * Must not know: what the address is used for.
 * Invariants: only trusted proxies are believed; the address of a connection is decided once.
 * Implements RFC 7239 (through proxy.c).
 */
#include "bridge/client_address.h"

#include "bridge/handshake_state.h"

#include <errno.h>

#define CLIENT_ADDRESS_READ 512 /* of a PROXY header at once: mostly all of it */

/* What one kind of field comes to. The lines of a request are one list. */
static struct proxy_chain read_proxy_field(
	const struct http_request *request, enum proxy_field field, struct proxy_networks trusted) {
	struct proxy_chain chain = {0};
	const char *name = proxy_field_name(field);
	for(size_t i = http_count_header(request, name); i > 0; i--) {
		struct http_slice value = http_find_header(request, name, i - 1)->value;
		proxy_chain_add(&chain, field, value.at, value.len, trusted);
	}
	return chain;
}

/* RFC 7239 and its predecessors; proxy_chain_join() has the rule. */
static void read_proxy_fields(struct connection *c, const struct http_request *request) {
	struct proxy_networks trusted = c->env->settings->trusted;
	struct proxy_chain chain = {0};
	const char *name = NULL;
	for(int field = 0; field < PROXY_FIELDS; field++) {
		struct proxy_chain told =
			read_proxy_field(request, (enum proxy_field)field, trusted);
		if(proxy_chain_join(&chain, &told, trusted)) {
			name = proxy_field_name((enum proxy_field)field);
		}
	}
	if(chain.claim == PROXY_CLAIM_BAD || chain.claim == PROXY_CLAIM_DISPUTED) {
		connection_log_limited(c, LOG_NOTICE, "the %s header of a trusted proxy %s", name,
			chain.claim == PROXY_CLAIM_BAD
				? "is malformed and ignored"
				: "contradicts another one; both are ignored");
	} else if(chain.claim == PROXY_CLAIM_ADDRESS) {
		char proxy[PROXY_HOST_TEXT];
		proxy_format_host(&c->address.any, proxy);
		c->address = chain.address;
		connection_log(
			c, LOG_DEBUG, "the address is from the %s header of %s", name, proxy);
	}
}

/* A PROXY header may have named a client that is no proxy itself: what that one claims does not count. */
bool client_address_identify(struct connection *c, const struct http_request *request) {
	if(!c->proxied || c->handshake->identified) {
		return true;
	}
	if(proxy_trusts(c->env->settings->trusted, &c->address.any)) {
		c->handshake->shared = true;
		read_proxy_fields(c, request);
	}
	c->handshake->identified = true;
	return admission_identify(c);
}

void client_address_header_failed(struct connection *c, const char *why) {
	connection_log_limited(c, LOG_NOTICE, "closed, wrong PROXY header: %s", why);
	connection_close(c);
}

static void proxy_header_done(struct connection *c, const struct proxy_header *header) {
	struct handshake *h = c->handshake;
	h->proxy_header = false;
	dynbuf_free(&h->input);
	if(header->source.any.sa_family != AF_UNSPEC) {
		char proxy[PROXY_HOST_TEXT];
		proxy_format_host(&c->address.any, proxy);
		c->address = header->source;
		h->destination = header->destination;
		connection_log(c, LOG_DEBUG, "the address is from the PROXY header of %s", proxy);
	}
}

/*
 * Takes no byte that is not of the header out of the socket: what follows may be of any protocol, and is read when
 * its turn comes.
 */
bool client_address_read_header(struct connection *c) {
	struct handshake *h = c->handshake;
	struct proxy_header header;
	const char *why;
	size_t used;
	if(dynbuf_reserve(&h->input, CLIENT_ADDRESS_READ)) {
		connection_close(c);
		return false;
	}
	uint8_t *fresh = h->input.data + h->input.len;
	ssize_t got = stream_peek(&c->client, fresh, CLIENT_ADDRESS_READ);
	if(got == -EAGAIN) {
		return false;
	}
	if(got <= 0) {
		connection_close(c);
		return false;
	}
	enum proxy_result result =
		proxy_parse_header(h->input.data, h->input.len + (size_t)got, &header, &used, &why);
	if(result == PROXY_BAD) {
		client_address_header_failed(c, why);
		return false;
	}
	size_t ours = result == PROXY_DONE ? used - h->input.len : (size_t)got;
	if(stream_read(&c->client, fresh, ours) != (ssize_t)ours) {
		connection_close(c);
		return false;
	}
	h->input.len += ours;
	if(result == PROXY_DONE) {
		proxy_header_done(c, &header);
	}
	return result == PROXY_DONE;
}
