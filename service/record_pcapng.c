/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Recordings as pcapng: packets of a TCP connection that carries HTTP and WebSocket, as an analyzer
 * would have captured them.
 *
 * Must not know: files, threads.
 * Invariants: the packets are made up. Sequence numbers, lengths and checksums are right, so that
 * analyzers find no fault with them; the HTTP heads have what is needed to recognise WebSocket. The
 * masking key of frames of the client is 0.
 * Implements draft-ietf-opsawg-pcapng, RFC 791, RFC 8200, RFC 9293, RFC 6455 section 5.2.
 */
#include "service/record_format.h"
#include "websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LINK_RAW 101 /* packets begin with the header of IPv4 or IPv6 */
#define SEGMENT_MAX 32768 /* payload of one packet */
#define TCP_HEADER 20
#define IP4_HEADER 20
#define IP6_HEADER 40
#define NANOSECONDS                                                                                \
	PAIR(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 9 : 9 << 8, 0) /* 10^-9, one byte */
#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10

/* ---- blocks ---- */

/*
 * Fields of blocks have the byte order of the machine, which the first block tells. PAIR: two of 16
 * bits.
 */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PAIR(first, second) ((uint32_t)(second) << 16 | (first))
#else
#define PAIR(first, second) ((uint32_t)(first) << 16 | (second))
#endif

static int put_32(struct dynbuf *out, uint32_t number) {
	return dynbuf_append(out, &number, sizeof(number));
}

static int put_sections(struct dynbuf *out) {
	/* Section header: length unknown. Interface: raw IP, no limit, times in nanoseconds. */
	static const uint32_t blocks[] = {0x0a0d0d0a, 28, 0x1a2b3c4d, PAIR(1, 0), UINT32_MAX,
		UINT32_MAX, 28, 1, 32, PAIR(LINK_RAW, 0), 0, PAIR(9, 1), NANOSECONDS, 0, 32};
	return dynbuf_append(out, blocks, sizeof(blocks));
}

/* ---- packets ---- */

static void store_16(uint8_t *out, uint32_t number) {
	out[0] = (uint8_t)(number >> 8);
	out[1] = (uint8_t)number;
}

static void store_32(uint8_t *out, uint32_t number) {
	store_16(out, number >> 16);
	store_16(out + 2, number & 0xffff);
}

/* RFC 1071, without the complement. */
static uint32_t sum(uint32_t before, const uint8_t *data, size_t len) {
	uint64_t total = before;
	for(size_t i = 0; i + 1 < len; i += 2) {
		total += (uint32_t)(data[i] << 8 | data[i + 1]);
	}
	if(len % 2) {
		total += (uint32_t)(data[len - 1] << 8);
	}
	while(total >> 16) {
		total = (total & 0xffff) + (total >> 16);
	}
	return (uint32_t)total;
}

struct packet {
	bool from_client;
	uint8_t flags;
	const uint8_t *data;
	size_t len;
	uint64_t at_ns; /* since the epoch */
};

/* Addresses of a Unix socket or of an unknown client: those of the loopback interface. */
static union address shown(const union address *address, uint16_t port) {
	union address result = *address;
	if(!address_is_ip(address)) {
		result = (union address){.in = {.sin_family = AF_INET}};
		result.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	if(address_port(&result) == 0) {
		address_set_port(&result, port);
	}
	return result;
}

static size_t put_ip(
	uint8_t *out, const union address *from, const union address *to, size_t payload) {
	size_t len;
	const uint8_t *source = address_bytes(from, &len);
	const uint8_t *target = address_bytes(to, &len);
	memset(out, 0, IP6_HEADER);
	if(len == 4) {
		out[0] = 0x45;
		store_16(out + 2, (uint32_t)(IP4_HEADER + payload));
		out[8] = 64;
		out[9] = IPPROTO_TCP;
		memcpy(out + 12, source, 4);
		memcpy(out + 16, target, 4);
		store_16(out + 10, ~sum(0, out, IP4_HEADER));
		return IP4_HEADER;
	}
	out[0] = 0x60;
	store_16(out + 4, (uint32_t)payload);
	out[6] = IPPROTO_TCP;
	out[7] = 64;
	memcpy(out + 8, source, 16);
	memcpy(out + 24, target, 16);
	return IP6_HEADER;
}

static void put_tcp(uint8_t *out, const struct record_state *state, const struct packet *packet,
	const union address *from, const union address *to) {
	size_t len;
	memset(out, 0, TCP_HEADER);
	store_16(out, address_port(from));
	store_16(out + 2, address_port(to));
	store_32(out + 4, state->sequence[packet->from_client]);
	store_32(out + 8, packet->flags & FLAG_ACK ? state->sequence[!packet->from_client] : 0);
	out[12] = TCP_HEADER / 4 << 4;
	out[13] = packet->flags;
	store_16(out + 14, 65535);
	const uint8_t *source = address_bytes(from, &len);
	uint32_t check = sum(IPPROTO_TCP + (uint32_t)(TCP_HEADER + packet->len), source, len);
	check = sum(check, address_bytes(to, &len), len);
	check = sum(check, out, TCP_HEADER);
	store_16(out + 16, ~sum(check, packet->data, packet->len));
}

static int put_packet(struct record_state *state, const struct record_about *about,
	const struct packet *packet, struct dynbuf *out) {
	static const uint8_t padding[4] = {0};
	union address client = shown(&about->client, 49152);
	union address server = shown(&about->server, 80);
	uint8_t head[IP6_HEADER + TCP_HEADER];
	if(client.any.sa_family != server.any.sa_family) {
		address_map(&client);
		address_map(&server);
	}
	const union address *from = packet->from_client ? &client : &server;
	const union address *to = packet->from_client ? &server : &client;
	size_t ip = put_ip(head, from, to, TCP_HEADER + packet->len);
	put_tcp(head + ip, state, packet, from, to);
	size_t len = ip + TCP_HEADER + packet->len;
	size_t pad = (4 - len % 4) % 4;
	uint32_t block = (uint32_t)(32 + len + pad);
	const uint32_t fields[] = {6, block, 0, (uint32_t)(packet->at_ns >> 32),
		(uint32_t)packet->at_ns, (uint32_t)len, (uint32_t)len};
	state->sequence[packet->from_client] +=
		(uint32_t)packet->len + (packet->flags & (FLAG_SYN | FLAG_FIN) ? 1 : 0);
	return dynbuf_append(out, fields, sizeof(fields)) ||
			dynbuf_append(out, head, ip + TCP_HEADER) ||
			(packet->len > 0 && dynbuf_append(out, packet->data, packet->len)) ||
			dynbuf_append(out, padding, pad) || put_32(out, block)
		? -ENOMEM
		: 0;
}

static int put_data(struct record_state *state, const struct record_about *about,
	const struct packet *whole, struct dynbuf *out) {
	struct packet packet = *whole;
	size_t left = whole->len;
	do {
		packet.len = left < SEGMENT_MAX ? left : SEGMENT_MAX;
		if(put_packet(state, about, &packet, out)) {
			return -ENOMEM;
		}
		packet.data += packet.len;
		left -= packet.len;
	} while(left > 0);
	return 0;
}

/* ---- the format ---- */

/* The key and its answer are those of RFC 6455, section 1.3. */
static int put_handshake(
	struct record_state *state, const struct record_about *about, struct dynbuf *out) {
	char text[RECORD_PATH_MAX + RECORD_PROTOCOL_MAX + 256];
	char protocol[RECORD_PROTOCOL_MAX + 32] = "";
	if(about->protocol[0]) {
		snprintf(protocol, sizeof(protocol), "Sec-WebSocket-Protocol: %s\r\n",
			about->protocol);
	}
	int len = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: websocksy\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: "
		"13\r\n%s\r\n",
		about->path, protocol);
	struct packet request = {
		true, FLAG_PSH | FLAG_ACK, (const uint8_t *)text, (size_t)len, about->begun_ns};
	if(put_packet(state, about, &request, out)) {
		return -ENOMEM;
	}
	len = snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n%s\r\n",
		protocol);
	struct packet response = {
		false, FLAG_PSH | FLAG_ACK, (const uint8_t *)text, (size_t)len, about->begun_ns};
	return put_packet(state, about, &response, out);
}

static int put_flags(struct record_state *state, const struct record_about *about, bool from_client,
	uint8_t flags, struct dynbuf *out) {
	struct packet packet = {from_client, flags, NULL, 0, about->begun_ns};
	return put_packet(state, about, &packet, out);
}

static int pcapng_begin(
	struct record_state *state, const struct record_about *about, struct dynbuf *out) {
	return put_sections(out) || put_flags(state, about, true, FLAG_SYN, out) ||
			put_flags(state, about, false, FLAG_SYN | FLAG_ACK, out) ||
			put_flags(state, about, true, FLAG_ACK, out) ||
			put_handshake(state, about, out)
		? -ENOMEM
		: 0;
}

static int pcapng_message(struct record_state *state, const struct record_about *about,
	const struct record_message *message, struct dynbuf *out) {
	struct dynbuf frame = {0};
	uint8_t header[WEBSOCKET_CLIENT_HEADER_MAX] = {0};
	size_t len = websocket_put_header(
		header, true, (enum websocket_opcode)message->opcode, message->len);
	if(message->from_client) {
		header[1] |= 0x80;
		len += 4;
	}
	int result = dynbuf_append(&frame, header, len) ||
			(message->len > 0 && dynbuf_append(&frame, message->data, message->len))
		? -ENOMEM
		: 0;
	struct packet packet = {message->from_client, FLAG_PSH | FLAG_ACK, frame.data, frame.len,
		about->begun_ns + message->t_ns};
	if(result == 0) {
		result = put_data(state, about, &packet, out);
	}
	dynbuf_free(&frame);
	return result;
}

static int pcapng_end(struct record_state *state, const struct record_about *about, uint64_t t_ns,
	struct dynbuf *out) {
	for(int side = 0; side < 2; side++) {
		struct packet packet = {
			side == 0, FLAG_FIN | FLAG_ACK, NULL, 0, about->begun_ns + t_ns};
		if(put_packet(state, about, &packet, out)) {
			return -ENOMEM;
		}
	}
	return 0;
}

const struct record_writer record_pcapng = {pcapng_begin, pcapng_message, pcapng_end};
