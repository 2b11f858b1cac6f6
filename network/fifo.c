/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams over named pipes (fifo(7)), each in one direction.
 *
 * Must not know: the data.
 * Invariants: nothing here waits for the other end of a fifo; other kinds of files are not kept
 * open.
 */
#include "network/fifo.h"

#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FIFO_IOV 32 /* chunks handed to the kernel at once */

static ssize_t fifo_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(read(stream->io.fd, data, cap));
	if(got < 0) {
		return -errno;
	}
	/* A short read proves nothing: a writer may have made packets of it (O_DIRECT, pipe(2)). */
	return got;
}

/* A fifo is not a socket, so this is not network_send(). SIGPIPE is ignored by main. */
static ssize_t fifo_send(struct stream *stream, const struct iovec *iov, int count) {
	ssize_t sent = RETRY_INTERRUPTED(writev(stream->io.fd, iov, count));
	if(sent < 0 && errno != EAGAIN) {
		return -errno;
	}
	sent = sent < 0 ? 0 : sent;
	stream->sent += (uint32_t)sent;
	return sent;
}

int fifo_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	ssize_t sent = 0;
	if(stream->out.len == 0 && (stream->io.ready & LOOP_OUT)) {
		sent = fifo_send(stream, iov, count);
		if(sent < 0 || (size_t)sent == total) {
			return sent < 0 ? (int)sent : 0;
		}
		loop_used_up(&stream->io, LOOP_OUT);
	}
	return stream_queue(stream, iov, count, (size_t)sent);
}

int fifo_flush(struct stream *stream) {
	PASSES(writes, stream->out.len);
	while(stream->out.len > 0) {
		PASS(writes);
		struct iovec iov[FIFO_IOV];
		int count = bufq_peek(&stream->out, 0, stream->out.len, iov, FIFO_IOV);
		ssize_t sent = fifo_send(stream, iov, count);
		if(sent < 0) {
			return (int)sent;
		}
		if(sent == 0) {
			loop_used_up(&stream->io, LOOP_OUT);
			return 0;
		}
		bufq_consume(&stream->out, &stream->loop->pool, (size_t)sent);
	}
	return 0;
}

/* The writing end gives no bytes, but the kernel says when the last reader has gone. */
static ssize_t fifo_tx_read(struct stream *stream, void *data, size_t cap) {
	(void)data;
	(void)cap;
	return stream->io.ready & LOOP_HUP ? -EPIPE : -EAGAIN;
}

static int fifo_rx_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	(void)stream;
	(void)iov;
	(void)count;
	(void)total;
	return -EOPNOTSUPP;
}

static int flush_nothing(struct stream *stream) {
	(void)stream;
	return 0;
}

const struct stream_ops fifo_tx_ops = {
	.read = fifo_tx_read,
	.write = fifo_write,
	.flush = fifo_flush,
};

const struct stream_ops fifo_rx_ops = {
	.read = fifo_read,
	.write = fifo_rx_write,
	.flush = flush_nothing,
};

int fifo_open(const char *path, int access, const char **why) {
	struct stat status;
	/*
	 * Before it is opened, as opening a device may have effects; and after, as it may have been
	 * replaced.
	 */
	if(stat(path, &status) < 0) {
		return -errno;
	}
	int fd = -1;
	if(S_ISFIFO(status.st_mode)) {
		fd = open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if(fd < 0) {
			*why = errno == ENXIO ? "no process has the fifo open for reading" : NULL;
			return -errno;
		}
		if(fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) {
			return fd;
		}
		close(fd);
	}
	*why = "the path is not a fifo";
	return -EINVAL;
}
