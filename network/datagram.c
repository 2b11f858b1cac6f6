/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of datagrams: UDP and Unix datagram sockets.
 *
 * Must not know: the contents of datagrams.
 * Invariants: a datagram is sent whole or queued whole, with its length in front of it; addresses
 * are kept until the first datagram comes back or DATAGRAM_KEPT_MAX bytes have been sent.
 */
#include "network/datagram.h"

#include "base/passes.h"
#include "network.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DATAGRAM_FLUSHES 64 /* sent in one go */
#define DATAGRAM_KEPT_MAX (64 * 1024) /* sent without an answer: the address works */
#define DATAGRAM_KEPT_IOV 8 /* pieces of a kept datagram */
#define DATAGRAM_UDP6_MAX 65527 /* over IPv6 the header of the network does not count */
#define DATAGRAM_IOV 1024 /* pieces of one datagram, what sendmsg() takes (IOV_MAX) */
/* The first and the last piece of a queued datagram are not whole chunks. */
#define DATAGRAM_MAX ((size_t)(DATAGRAM_IOV - 2) * BUFQ_CHUNK_DATA)

/* ---- other addresses of the service ---- */

struct others {
	struct bufq kept; /* sent datagrams: lengths and bytes, as in the queue */
	size_t count;
	size_t next;
	union address address[];
};

static void others_drop(struct stream *stream) {
	struct others *others = stream->state;
	if(others) {
		bufq_consume(&others->kept, &stream->loop->pool, others->kept.len);
		free(others);
		stream->state = NULL;
	}
}

void datagram_set_others(struct stream *stream, const union address *address, size_t count) {
	struct others *others =
		count > 0 ? calloc(1, sizeof(*others) + count * sizeof(*address)) : NULL;
	if(others) {
		others->count = count;
		memcpy(others->address, address, count * sizeof(*address));
	}
	stream->state = others;
}

/* Keeps a datagram that has been sent. */
static void others_keep(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	struct others *others = stream->state;
	struct bufq_pool *pool = &stream->loop->pool;
	uint32_t len = (uint32_t)total;
	if(!others) {
		return;
	}
	bool kept = others->kept.len + total <= DATAGRAM_KEPT_MAX &&
		bufq_append(&others->kept, pool, &len, sizeof(len)) == 0;
	for(int i = 0; i < count && kept; i++) {
		kept = bufq_append(&others->kept, pool, iov[i].iov_base, iov[i].iov_len) == 0;
	}
	if(!kept) {
		others_drop(stream);
	}
}

/* A queue begins with the length of a datagram at `offset`. */
static uint32_t read_len(const struct bufq *queue, size_t offset) {
	uint32_t len = 0;
	uint8_t *to = (uint8_t *)&len;
	struct iovec iov[2];
	int count = bufq_peek(queue, offset, sizeof(len), iov, 2);
	for(int i = 0; i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	return len;
}

/* Sends the kept datagrams to the address that is connected now; those that do not fit are lost. */
static void others_send(struct stream *stream, const struct others *others) {
	struct iovec iov[DATAGRAM_KEPT_IOV];
	for(size_t at = 0; at < others->kept.len;) {
		uint32_t len = read_len(&others->kept, at);
		at += sizeof(len);
		int count = bufq_peek(&others->kept, at, len, iov, DATAGRAM_KEPT_IOV);
		network_send(stream->io.fd, iov, count, 0);
		at += len;
	}
}

/*
 * Connects the socket to another address. A socket for IPv6 takes IPv4 addresses, too, but not the
 * other way round.
 */
static int connect_again(int fd, union address address) {
	int domain = 0;
	socklen_t len = sizeof(domain);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	if(domain == AF_INET6) {
		address_map(&address);
	}
	network_connect(fd, &none, sizeof(none));
	return network_connect(fd, &address.any, address_size(&address));
}

/* The service does not listen there. Does the stream go on with another address? */
static bool others_next(struct stream *stream, int error) {
	struct others *others = stream->state;
	if(error != -ECONNREFUSED || !others) {
		return false;
	}
	while(others->next < others->count) {
		if(connect_again(stream->io.fd, others->address[others->next++]) == 0) {
			others_send(stream, others);
			return true;
		}
	}
	others_drop(stream);
	return false;
}

/* ---- the stream ---- */

static ssize_t datagram_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, MSG_TRUNC));
	if(got >= 0) {
		others_drop(stream);
	} else if(errno == EAGAIN || others_next(stream, -errno)) {
		loop_used_up(&stream->io, LOOP_IN);
		errno = EAGAIN;
	}
	if(got < 0) {
		/*
		 * The call that failed to send took the error with it, and a datagram socket has no
		 * end.
		 */
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
		ssize_t sent;
		do {
			sent = network_send(stream->io.fd, iov, count, 0);
		} while(sent < 0 && others_next(stream, (int)sent));
		/*
		 * No room on a device's queue: datagrams may be lost, and nothing would tell when
		 * to retry.
		 */
		if(sent >= 0 || sent == -ENOBUFS) {
			others_keep(stream, iov, count, total);
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
	struct iovec iov[DATAGRAM_IOV];
	uint32_t len = read_len(&stream->out, 0);
	int count = bufq_peek(&stream->out, sizeof(len), len, iov, DATAGRAM_IOV);
	ssize_t sent;
	do {
		sent = network_send(stream->io.fd, iov, count, 0);
	} while(sent < 0 && others_next(stream, (int)sent));
	if(sent < 0 && sent != -ENOBUFS) {
		return (int)sent;
	}
	others_keep(stream, iov, count, len);
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
	.destroy = others_drop,
};
