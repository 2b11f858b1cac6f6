/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams over named pipes (fifo(7)), each in one direction.
 *
 * Must not know: what goes through them.
 * Invariants: nothing here waits for the other end of a fifo; what is not a fifo is not kept open.
 */
#include "network/fifo.h"

#include "base/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t fifo_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(read(stream->io.fd, data, cap));
	if(got < 0) {
		return -errno;
	}
	/* A short read proves nothing: a writer may have made packets of it (O_DIRECT, pipe(2)). */
	return got;
}

/* A fifo is no socket: here alone writing is not sendmsg(). SIGPIPE is ignored by main. */
static ssize_t fifo_send(int fd, const struct iovec *iov, int count, int flags) {
	(void)flags;
	ssize_t sent = RETRY_INTERRUPTED(writev(fd, iov, count));
	return sent < 0 ? -errno : sent;
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
	.send = fifo_send,
	.write = stream_write_bytes,
	.flush = stream_flush_bytes,
};

const struct stream_ops fifo_rx_ops = {
	.read = fifo_read,
	.write = fifo_rx_write,
	.flush = flush_nothing,
};

int fifo_open(const char *path, int access, const char **why) {
	struct stat status;
	/* Before it is opened, as opening a device may have effects; and after, as it may have been replaced. */
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
