/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A name server in the test's own event loop. It answers questions for A records with 127.0.0.1,
 * 127.0.0.2 and so on, and says that there are no others; or it is silent.
 */
#ifndef WEBSOCKSY_TESTS_NAME_SERVER_H
#define WEBSOCKSY_TESTS_NAME_SERVER_H
#include "base/loop.h"
#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define NAME_SERVER_HEADER 12

struct name_server {
	struct ev_io io;
	struct loop *loop;
	unsigned addresses; /* 0: silent */
	unsigned questions;
	char text[32]; /* its address as resolver_open() takes it */
};

/* Length of the question behind the header, and whether it is for A records. */
static inline size_t name_server_question(const uint8_t *query, bool *is_a) {
	size_t at = NAME_SERVER_HEADER;
	while(query[at]) {
		at += 1u + query[at];
	}
	*is_a = query[at + 2] == 1;
	return at + 5;
}

static inline void name_server_run(struct ev_io *io) {
	struct name_server *server = container_of(io, struct name_server, io);
	uint8_t packet[1024];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t got = recvfrom(io->fd, packet, 512, 0, (struct sockaddr *)&from, &from_len);
	if(got < NAME_SERVER_HEADER) {
		return;
	}
	server->questions++;
	if(server->addresses == 0) {
		return;
	}
	bool is_a;
	size_t len = name_server_question(packet, &is_a);
	unsigned count = is_a ? server->addresses : 0;
	const uint8_t header[] = {
		0x81, 0x80, 0, 1, (uint8_t)(count >> 8), (uint8_t)count, 0, 0, 0, 0};
	memcpy(packet + 2, header, sizeof(header));
	for(unsigned i = 1; i <= count; i++) {
		const uint8_t record[] = {0xc0, NAME_SERVER_HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4,
			127, 0, 0, (uint8_t)i};
		memcpy(packet + len, record, sizeof(record));
		len += sizeof(record);
	}
	assert_int_equal(
		sendto(io->fd, packet, len, 0, (struct sockaddr *)&from, from_len), (ssize_t)len);
}

static inline void name_server_open(
	struct name_server *server, struct loop *loop, unsigned addresses) {
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(own);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*server = (struct name_server){.loop = loop, .addresses = addresses};
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	assert_int_equal(loop_add_level(loop, &server->io, fd, LOOP_IN, name_server_run), 0);
	snprintf(server->text, sizeof(server->text), "127.0.0.1:%u", ntohs(own.sin_port));
}

static inline void name_server_close(struct name_server *server) {
	loop_close_io(server->loop, &server->io);
}
#endif
