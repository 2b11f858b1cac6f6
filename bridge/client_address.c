/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The address of a client behind trusted reverse proxies.
 *
 * Must not know: the use of the address.
 * Invariants: only trusted proxies are believed; the address of a connection is decided once.
 * Implements RFC 7239 (through forwarded.c).
 */
#include "bridge/client_address.h"

#include "base/cidr.h"
#include "bridge/handshake_state.h"
#include "bridge/summary.h"
#include "http/forwarded.h"
#include "network/proxy_protocol.h"
#include "network/tls_stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_ADDRESS_READ 512 /* of a PROXY header at once: mostly all of it */

/* The client address of one field; its lines in a request are one list. */
static struct forwarded_chain read_proxy_field(const struct request *request,
	enum forwarded_field field, const char *name, struct cidr_list trusted) {
	struct forwarded_chain chain = {0};
	for(size_t i = request_count_headers(request, name); i > 0; i--) {
		struct slice value = request_find_header(request, name, i - 1)->value;
		forwarded_chain_add(&chain, field, value.at, value.len, trusted);
	}
	return chain;
}

/*
 * The one field of real-ip-header, or all of RFC 7239 and its predecessors; forwarded_chain_join()
 * has the rule. `*name` is the field that decides.
 */
static struct forwarded_chain read_proxy_fields(
	const struct settings *settings, const struct request *request, const char **name) {
	struct cidr_list trusted = settings->trusted;
	struct forwarded_chain chain = {0};
	*name = settings->real_ip_header;
	if(*name) {
		return read_proxy_field(request, forwarded_field_of(*name), *name, trusted);
	}
	for(int i = 0; i < FORWARDED_FIELDS; i++) {
		enum forwarded_field field = (enum forwarded_field)i;
		struct forwarded_chain told =
			read_proxy_field(request, field, forwarded_field_name(field), trusted);
		if(forwarded_chain_join(&chain, &told, trusted)) {
			*name = forwarded_field_name(field);
		}
	}
	return chain;
}

static bool refuse_fields(struct connection *c, enum forwarded_claim claim, const char *name,
	struct error_response *response) {
	summary_add(c, "header", name);
	return error_response_set(response, 400,
		claim == FORWARDED_CLAIM_BAD
			? "a proxy's header with the client's address is malformed"
			: "headers of a proxy with the client's address contradict each other "
			  "(real-ip-header)",
		NULL);
}

/*
 * A client that the proxy does not name has no address. It must not have the proxy's, which may be
 * trusted elsewhere, too.
 */
static bool take_fields(
	struct connection *c, const struct request *request, struct error_response *response) {
	const char *name;
	struct forwarded_chain chain = read_proxy_fields(c->env->settings, request, &name);
	char proxy[ADDRESS_HOST_TEXT];
	switch(chain.claim) {
	case FORWARDED_CLAIM_NONE:
		return true;
	case FORWARDED_CLAIM_BAD:
	case FORWARDED_CLAIM_DISPUTED:
		return refuse_fields(c, chain.claim, name, response);
	case FORWARDED_CLAIM_HIDDEN:
		chain.address = (union address){0};
		break;
	case FORWARDED_CLAIM_ADDRESS:
		break;
	}
	address_format_host(&c->address.any, proxy);
	c->address = chain.address;
	connection_log(c, LOG_DEBUG, "the address is from the %s header of %s", name, proxy);
	return true;
}

/* A PROXY header may have named a client that is not a trusted proxy, or none. */
static bool is_told_by_fields(const struct connection *c) {
	return c->proxied && !c->handshake->unnamed &&
		cidr_list_contains(c->env->settings->trusted, &c->address.any);
}

bool client_address_identify(
	struct connection *c, const struct request *request, struct error_response *response) {
	*response = (struct error_response){0};
	if(!c->proxied || c->handshake->identified) {
		return true;
	}
	c->handshake->shared = is_told_by_fields(c);
	if(c->handshake->shared && !take_fields(c, request, response)) {
		return false;
	}
	c->handshake->identified = true;
	return admission_identify(c);
}

void client_address_view(
	const struct connection *c, const struct request *request, struct client_view *view) {
	client_view_read(view, request, tls_stream_is_active(&c->client),
		c->handshake->shared ? &c->env->settings->trusted : NULL);
}

void client_address_header_failed(struct connection *c, const char *why) {
	connection_log_limited(
		c, LOG_KIND_PROXY, LOG_NOTICE, "closed, wrong PROXY header: %s", why);
	connection_close(c);
}

static void proxy_header_done(struct connection *c, const struct proxy_protocol_header *header) {
	struct handshake *h = c->handshake;
	h->proxy_header = false;
	memory_free(c->env, &h->input);
	h->unnamed = header->source.any.sa_family == AF_UNSPEC;
	if(!h->unnamed) {
		char proxy[ADDRESS_HOST_TEXT];
		address_format_host(&c->address.any, proxy);
		c->address = header->source;
		h->destination = header->destination;
		connection_log(c, LOG_DEBUG, "the address is from the PROXY header of %s", proxy);
	}
}

/*
 * Takes only the bytes of the header from the socket: the bytes behind it may be of any protocol
 * and are read by that.
 */
bool client_address_read_header(struct connection *c) {
	struct handshake *h = c->handshake;
	struct proxy_protocol_header header;
	const char *why;
	size_t used;
	if(memory_reserve(c->env, &h->input, CLIENT_ADDRESS_READ)) {
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
	h->input.len += (uint32_t)ours;
	if(result == PROXY_PROTOCOL_DONE) {
		proxy_header_done(c, &header);
	}
	return result == PROXY_PROTOCOL_DONE;
}
