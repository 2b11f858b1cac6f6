/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The address of a client behind trusted reverse proxies.
 *
 * Must not know: what the address is used for.
 * Invariants: only trusted proxies are believed; the address of a connection is decided once.
 * Implements RFC 7239 (through proxy.c).
 */
#include "bridge/client_address.h"

#include "base/cidr.h"
#include "bridge/handshake_state.h"
#include "http/forwarded.h"
#include "network/proxy_protocol.h"

#include <errno.h>

#define CLIENT_ADDRESS_READ 512 /* of a PROXY header at once: mostly all of it */

/* What one kind of field comes to. The lines of a request are one list. */
static struct forwarded_chain read_proxy_field(
	const struct request *request, enum forwarded_field field, struct cidr_list trusted) {
	struct forwarded_chain chain = {0};
	const char *name = forwarded_field_name(field);
	for(size_t i = request_count_headers(request, name); i > 0; i--) {
		struct slice value = request_find_header(request, name, i - 1)->value;
		forwarded_chain_add(&chain, field, value.at, value.len, trusted);
	}
	return chain;
}

/* RFC 7239 and its predecessors; forwarded_chain_join() has the rule. */
static void read_proxy_fields(struct connection *c, const struct request *request) {
	struct cidr_list trusted = c->env->settings->trusted;
	struct forwarded_chain chain = {0};
	const char *name = NULL;
	for(int field = 0; field < FORWARDED_FIELDS; field++) {
		struct forwarded_chain told =
			read_proxy_field(request, (enum forwarded_field)field, trusted);
		if(forwarded_chain_join(&chain, &told, trusted)) {
			name = forwarded_field_name((enum forwarded_field)field);
		}
	}
	if(chain.claim == FORWARDED_CLAIM_BAD || chain.claim == FORWARDED_CLAIM_DISPUTED) {
		connection_log_limited(c, LOG_NOTICE, "the %s header of a trusted proxy %s", name,
			chain.claim == FORWARDED_CLAIM_BAD
				? "is malformed and ignored"
				: "contradicts another one; both are ignored");
	} else if(chain.claim == FORWARDED_CLAIM_ADDRESS) {
		char proxy[ADDRESS_HOST_TEXT];
		address_format_host(&c->address.any, proxy);
		c->address = chain.address;
		connection_log(
			c, LOG_DEBUG, "the address is from the %s header of %s", name, proxy);
	}
}

/*
 * A PROXY header may have named a client that is not a trusted proxy: its header fields do not
 * count.
 */
bool client_address_identify(struct connection *c, const struct request *request) {
	if(!c->proxied || c->handshake->identified) {
		return true;
	}
	if(cidr_list_contains(c->env->settings->trusted, &c->address.any)) {
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

static void proxy_header_done(struct connection *c, const struct proxy_protocol_header *header) {
	struct handshake *h = c->handshake;
	h->proxy_header = false;
	dynbuf_free(&h->input);
	if(header->source.any.sa_family != AF_UNSPEC) {
		char proxy[ADDRESS_HOST_TEXT];
		address_format_host(&c->address.any, proxy);
		c->address = header->source;
		h->destination = header->destination;
		connection_log(c, LOG_DEBUG, "the address is from the PROXY header of %s", proxy);
	}
}

/*
 * Takes no byte that is not of the header out of the socket: what follows may be of any protocol,
 * and is read when its turn comes.
 */
bool client_address_read_header(struct connection *c) {
	struct handshake *h = c->handshake;
	struct proxy_protocol_header header;
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
	enum proxy_protocol_result result = proxy_protocol_parse(
		h->input.data, h->input.len + (size_t)got, &header, &used, &why);
	if(result == PROXY_PROTOCOL_BAD) {
		client_address_header_failed(c, why);
		return false;
	}
	size_t ours = result == PROXY_PROTOCOL_DONE ? used - h->input.len : (size_t)got;
	if(stream_read(&c->client, fresh, ours) != (ssize_t)ours) {
		connection_close(c);
		return false;
	}
	h->input.len += ours;
	if(result == PROXY_PROTOCOL_DONE) {
		proxy_header_done(c, &header);
	}
	return result == PROXY_PROTOCOL_DONE;
}
