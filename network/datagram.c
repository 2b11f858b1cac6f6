/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of datagrams: UDP and Unix datagram sockets.
 *
 * Must not know: what is in the datagrams.
 * Invariants: a datagram is sent whole or queued whole, with its length in front of it.
 */
#include "network/datagram.h"

#include "base/passes.h"
#include "network.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAM_FLUSHES 64 /* sent in one go */
#define DATAGRAM_UDP6_MAX 65527 /* over IPv6 the header of the network does not count */
#define DATAGRAM_IOV 1024 /* pieces of one datagram, what sendmsg() takes (IOV_MAX) */
/* The first and the last piece of a queued datagram are not whole chunks. */
#define DATAGRAM_MAX ((size_t)(DATAGRAM_IOV - 2) * BUFQ_CHUNK_DATA)

static ssize_t datagram_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, MSG_TRUNC));
	if(got < 0) {
		/* The call that failed to send took the error with it, and a datagram socket has no end. */
		return errno == EAGAIN && stream->error ? -stream->error : -errno;
	}
	return (size_t)got > cap ? -EMSGSIZE : got;
}

/* A queued datagram is its length and its bytes. */
static int datagram_queue(struct stream *stream, const struct iovec *iov, size_t total) {
	uint32_t len = (uint32_t)total;
	struct iovec record[2] = {{&len, sizeof(len)}, iov[0]};
	return stream_queue(stream, record, 2, 0);
}

static int datagram_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	assert(count == 1);
	if(total > DATAGRAM_MAX) {
		return -EMSGSIZE;
	}
	if(stream->out.len == 0 && (stream->io.ready & LOOP_OUT)) {
		ssize_t sent = network_send(stream->io.fd, iov, count, 0);
		/* No room on a device's queue: datagrams may be lost, and nothing would tell when to retry. */
		if(sent >= 0 || sent == -ENOBUFS) {
			return 0;
		}
		if(sent != -EAGAIN) {
			return (int)sent;
		}
		loop_used_up(&stream->io, LOOP_OUT);
	}
	return datagram_queue(stream, iov, total);
}

/* Sends the first queued datagram. 0, or negative errno with the datagram still queued. */
static int datagram_flush_one(struct stream *stream) {
	uint32_t len = 0;
	uint8_t *to = (uint8_t *)&len;
	struct iovec iov[DATAGRAM_IOV];
	int count = bufq_peek(&stream->out, 0, sizeof(len), iov, DATAGRAM_IOV);
	for(int i = 0; i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	count = bufq_peek(&stream->out, sizeof(len), len, iov, DATAGRAM_IOV);
	ssize_t sent = network_send(stream->io.fd, iov, count, 0);
	if(sent < 0 && sent != -ENOBUFS) {
		return (int)sent;
	}
	bufq_consume(&stream->out, &stream->loop->pool, sizeof(len) + len);
	return 0;
}

static int datagram_flush(struct stream *stream) {
	for(int i = 0; i < DATAGRAM_FLUSHES && stream->out.len > 0; i++) {
		int result = datagram_flush_one(stream);
		if(result == -EAGAIN) {
			loop_used_up(&stream->io, LOOP_OUT);
			return 0;
		}
		if(result) {
			return result;
		}
	}
	return 0;
}

/* UDP: the length field of its header. Unix: the buffer that a datagram has to fit into. */
static size_t datagram_max(int fd) {
	int domain = 0;
	int buffer = 0;
	socklen_t len = sizeof(domain);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	len = sizeof(buffer);
	if(domain != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, &len) < 0 ||
		buffer < STREAM_MESSAGE_MIN) {
		return domain == AF_INET6 ? DATAGRAM_UDP6_MAX : STREAM_MESSAGE_MIN;
	}
	return (size_t)buffer;
}

const struct stream_ops datagram_ops = {
	.read = datagram_read,
	.write = datagram_write,
	.flush = datagram_flush,
	.message_max = datagram_max,
};
