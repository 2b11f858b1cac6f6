/* SPDX-License-Identifier: BSD-2-Clause
 *
 * WebSocket as a client: RFC 6455, sections 4.1, 5.2, 5.3, 5.5.
 *
 * Must not know: sockets.
 * Invariants: in_payload false means that `header` holds what there is of the next header.
 */
#include "wsclient.h"

#include <stdio.h>
#include <string.h>

/* The key of RFC 6455, 1.3: every connection uses it, so that nothing has to be hashed here. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static size_t extended_len(uint8_t second) {
	return (second & 0x7F) == 126 ? 2 : (second & 0x7F) == 127 ? 8 : 0;
}

static void consume(struct wsclient_io *io, size_t len) {
	io->in += len;
	io->in_len -= len;
}

static enum wsclient_result begin_payload(struct wsclient *client) {
	uint8_t opcode = client->header[0] & 0x0F;
	size_t extended = extended_len(client->header[1]);
	uint64_t len = extended ? 0 : client->header[1];
	for(size_t i = 0; i < extended; i++) {
		len = len << 8 | client->header[2 + i];
	}
	bool control = opcode >= WSCLIENT_CLOSE;
	if((client->header[0] & 0x70) || (client->header[1] & 0x80) || opcode > WSCLIENT_PONG ||
		(opcode > WSCLIENT_BINARY && !control) || (control && len > WSCLIENT_CONTROL_MAX)) {
		return WSCLIENT_BAD;
	}
	client->opcode = opcode;
	client->left = len;
	client->have = 0;
	client->control_len = 0;
	client->in_payload = true;
	return WSCLIENT_MORE;
}

static enum wsclient_result take_header(struct wsclient *client, struct wsclient_io *io) {
	size_t need = client->have < 2 ? 2 : 2 + extended_len(client->header[1]);
	while(client->have < need && io->in_len > 0) {
		client->header[client->have++] = *io->in;
		consume(io, 1);
		if(client->have == 2) {
			need = 2 + extended_len(client->header[1]);
		}
	}
	return client->have < need ? WSCLIENT_MORE : begin_payload(client);
}

static enum wsclient_result take_control(struct wsclient *client, struct wsclient_io *io) {
	size_t len = client->left < io->in_len ? (size_t)client->left : io->in_len;
	memcpy(client->control + client->control_len, io->in, len);
	client->control_len = (uint8_t)(client->control_len + len);
	client->left -= len;
	consume(io, len);
	if(client->left > 0) {
		return WSCLIENT_MORE;
	}
	client->in_payload = false;
	io->opcode = client->opcode;
	io->payload = client->control;
	io->payload_len = client->control_len;
	return WSCLIENT_CONTROL;
}

static enum wsclient_result take_data(struct wsclient *client, struct wsclient_io *io) {
	size_t len = client->left < io->in_len ? (size_t)client->left : io->in_len;
	io->opcode = client->opcode;
	io->payload = io->in;
	io->payload_len = len;
	client->left -= len;
	consume(io, len);
	client->in_payload = client->left > 0;
	return len > 0 ? WSCLIENT_DATA : WSCLIENT_MORE;
}

enum wsclient_result wsclient_parse(struct wsclient *client, struct wsclient_io *io) {
	enum wsclient_result result = WSCLIENT_MORE;
	while(result == WSCLIENT_MORE && (io->in_len > 0 || client->in_payload)) {
		if(!client->in_payload) {
			result = take_header(client, io);
		} else if(io->in_len == 0 && client->left > 0) {
			break;
		} else if(client->opcode >= WSCLIENT_CLOSE) {
			result = take_control(client, io);
		} else {
			result = take_data(client, io);
		}
	}
	return result;
}

size_t wsclient_put_header(uint8_t out[WSCLIENT_HEADER_MAX], enum wsclient_opcode opcode,
	uint64_t len, uint32_t mask) {
	size_t extended = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;
	out[0] = (uint8_t)(0x80 | opcode);
	out[1] = (uint8_t)(0x80 | (extended == 0 ? len : extended == 2 ? 126 : 127));
	for(size_t i = 0; i < extended; i++) {
		out[2 + i] = (uint8_t)(len >> (8 * (extended - 1 - i)));
	}
	memcpy(out + 2 + extended, &mask, 4);
	return 2 + extended + 4;
}

size_t wsclient_put_request(
	char *out, size_t cap, const char *host, const char *path, const char *protocol) {
	int len = snprintf(out, cap,
		"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
		path, host, protocol ? "Sec-WebSocket-Protocol: " : "", protocol ? protocol : "",
		protocol ? "\r\n" : "");
	return len < 0 || (size_t)len >= cap ? 0 : (size_t)len;
}

long wsclient_check_answer(const char *head, size_t len) {
	const char *end = memmem(head, len, "\r\n\r\n", 4);
	if(!end) {
		return 0;
	}
	size_t head_len = (size_t)(end - head) + 4;
	if(head_len < 12 || memcmp(head, "HTTP/1.1 101", 12) != 0 ||
		!memmem(head, head_len, ": " ACCEPT "\r\n", sizeof(ACCEPT) + 3)) {
		return -1;
	}
	return (long)head_len;
}
