/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams, and the kinds for connected TCP and Unix sockets.
 *
 * Must not know: WebSocket, HTTP, connections.
 * Invariants: while bytes are queued or a file waits for room a stream wants LOOP_OUT, and only
 * then; a stream whose write failed has an empty queue and refuses further writes; the descriptor
 * is closed in stream_close() and nowhere else.
 */
#include "network/stream.h"

#include "base/passes.h"
#include "network.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLUSH_IOV 32 /* chunks handed to the kernel at once */
#define SEND_FILE_READ (64 * 1024) /* of a file at once, where the bytes have to be copied */

/* ---- plain sockets ---- */

static ssize_t plain_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, 0));
	if(got < 0) {
		return -errno;
	}
	/* After a hang-up there is the end to be read, too. */
	if((size_t)got < cap && stream->ops->short_read_is_all && !(stream->io.ready & LOOP_HUP)) {
		loop_used_up(&stream->io, LOOP_IN);
	}
	return got;
}

int stream_write_bytes(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	size_t sent = 0;
	if(stream->out.len == 0 && (stream->io.ready & LOOP_OUT)) {
		/*
		 * Held back until the end joins it; should that not come at once, the kernel waits
		 * for 200 ms.
		 */
		int flags = stream->ending ? MSG_MORE : 0;
		ssize_t result = network_send(stream->io.fd, iov, count, flags);
		if(result < 0 && result != -EAGAIN) {
			return (int)result;
		}
		sent = result < 0 ? 0 : (size_t)result;
		stream->sent += (uint32_t)sent;
		if(sent == total) {
			return 0;
		}
		loop_used_up(&stream->io, LOOP_OUT);
	}
	return stream_queue(stream, iov, count, sent);
}

int stream_flush_bytes(struct stream *stream) {
	PASSES(sends, stream->out.len);
	while(stream->out.len > 0) {
		PASS(sends);
		struct iovec iov[FLUSH_IOV];
		int count = bufq_peek(&stream->out, 0, stream->out.len, iov, FLUSH_IOV);
		size_t offered = 0;
		for(int i = 0; i < count; i++) {
			offered += iov[i].iov_len;
		}
		ssize_t sent = network_send(stream->io.fd, iov, count, 0);
		if(sent < 0 && sent != -EAGAIN) {
			return (int)sent;
		}
		if(sent > 0) {
			stream->sent += (uint32_t)sent;
			bufq_consume(&stream->out, &stream->loop->pool, (size_t)sent);
		}
		if(sent <= 0 || sent < (ssize_t)offered) {
			loop_used_up(&stream->io, LOOP_OUT);
			return 0;
		}
	}
	return 0;
}

/* The signal of a broken pipe cannot be suppressed for one call here; main ignores it. */
static ssize_t plain_send_file(int fd, int file, uint64_t offset, size_t max) {
	off_t at = (off_t)offset;
	ssize_t sent = RETRY_INTERRUPTED(sendfile(fd, file, &at, max));
	return sent < 0 ? -errno : sent;
}

static bool plain_finish(struct stream *stream) {
	/* ENOTCONN: the other side was quicker. There is nothing left to do then. */
	shutdown(stream->io.fd, SHUT_WR);
	return true;
}

const struct stream_ops stream_tcp_ops = {
	.read = plain_read,
	.write = stream_write_bytes,
	.send_file = plain_send_file,
	.flush = stream_flush_bytes,
	.finish = plain_finish,
	.has_end = true,
	.short_read_is_all = true,
};

/*
 * A read stops in front of a message that carries descriptors, so only EAGAIN proves anything
 * (unix(7)).
 */
const struct stream_ops stream_unix_ops = {
	.read = plain_read,
	.write = stream_write_bytes,
	.send_file = plain_send_file,
	.flush = stream_flush_bytes,
	.finish = plain_finish,
	.has_end = true,
};

/* Keeps the invariant: LOOP_OUT is wanted while there is a backlog. */
void stream_update(struct stream *stream) {
	unsigned want = stream->io.want & (LOOP_IN | LOOP_LOST);
	if(stream->out.len > 0 || stream->starved) {
		want |= LOOP_OUT;
	}
	loop_want(stream->loop, &stream->io, want);
}

static void stream_break(struct stream *stream, int error) {
	stream->error = (uint16_t)(error < 0 ? -error : error);
	stream->starved = false;
	bufq_consume(&stream->out, &stream->loop->pool, stream->out.len);
	stream_update(stream);
}

static void stream_finish_now(struct stream *stream) {
	if(stream->finishing && !stream->finished && stream->out.len == 0 && !stream->error) {
		stream->finished = !stream->ops->finish || stream->ops->finish(stream);
	}
}

static unsigned stream_flush(struct stream *stream) {
	size_t before = stream->out.len;
	bool starved = stream->starved;
	stream->starved = false;
	if(stream->error) {
		stream_update(stream);
		return STREAM_BROKEN;
	}
	int result = stream->ops->flush(stream);
	if(result) {
		stream_break(stream, result);
		return STREAM_BROKEN;
	}
	stream_update(stream);
	stream_finish_now(stream);
	if(stream->out.len == before && !starved) {
		return 0;
	}
	stream->progress_ms = stream->loop->now_ms;
	return STREAM_PROGRESS;
}

static void stream_run(struct ev_io *io) {
	struct stream *stream = container_of(io, struct stream, io);
	unsigned events = 0;
	if((io->ready & io->want) == LOOP_IN) { /* most often */
		stream->fn(stream, STREAM_READABLE);
		return;
	}
	if(io->ready & io->want & LOOP_OUT) {
		events |= stream_flush(stream);
	}
	if(io->ready & io->want & LOOP_IN) {
		events |= STREAM_READABLE;
	}
	if(io->ready & io->want & LOOP_LOST) {
		events |= STREAM_BROKEN;
		stream_want_read(stream, false); /* told once */
	}
	if(events) {
		stream->fn(stream, events);
	}
}

static void stream_init(
	struct stream *stream, struct loop *loop, const struct stream_ops *ops, stream_fn *fn) {
	stream->ops = ops;
	stream->loop = loop;
	stream->fn = fn;
	stream->state = NULL;
	stream->out = (struct bufq){0};
	stream->progress_ms = 0;
	stream->sent = 0;
	stream->taken = 0;
	stream->error = 0;
	stream->finishing = false;
	stream->finished = false;
	stream->ending = false;
	stream->datagram = false;
	stream->ended = false;
	stream->starved = false;
}

int stream_open(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops,
	stream_fn *fn) {
	stream_init(stream, loop, ops, fn);
	int result = loop_add(loop, &stream->io, fd, LOOP_OUT, LOOP_IN, stream_run);
	if(result) {
		close(fd);
		stream->io.fd = -1;
	}
	return result;
}

void stream_adopt(struct stream *stream, struct loop *loop, struct ev_io *io,
	const struct stream_ops *ops, stream_fn *fn) {
	stream_init(stream, loop, ops, fn);
	loop_move(loop, io, &stream->io, LOOP_IN, stream_run);
}

void stream_close(struct stream *stream) {
	if(!stream_is_open(stream)) {
		return;
	}
	if(stream->ops->destroy) {
		stream->ops->destroy(stream);
	}
	bufq_consume(&stream->out, &stream->loop->pool, stream->out.len);
	loop_close_io(stream->loop, &stream->io);
}

ssize_t stream_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = stream->ops->read(stream, data, cap);
	if(got > 0 || got == -EMSGSIZE || (got == 0 && stream->datagram)) {
		return got;
	}
	if(got != -EAGAIN || !stream->state) {
		/*
		 * A kind that takes more off the socket than it hands on knows itself when that is
		 * empty.
		 */
		loop_used_up(&stream->io, LOOP_IN);
	}
	if(got != -EAGAIN) {
		stream->ended = true;
		stream_want_read(stream, false);
	}
	return got;
}

void stream_put_end_back(struct stream *stream) {
	assert(stream->ended);
	stream->ended = false;
	loop_want(stream->loop, &stream->io, (stream->io.want & ~LOOP_IN) | LOOP_LOST);
	loop_set_ready(stream->loop, &stream->io, LOOP_IN);
}

ssize_t stream_peek(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, MSG_PEEK));
	if(got < 0 && errno == EAGAIN) {
		loop_used_up(&stream->io, LOOP_IN);
		return -EAGAIN;
	}
	return got < 0 ? -errno : got;
}

void stream_want_read(struct stream *stream, bool want) {
	unsigned bits = stream->io.want & ~(LOOP_IN | LOOP_LOST);
	if(want && !stream->ended) {
		bits |= LOOP_IN;
	}
	loop_want(stream->loop, &stream->io, bits);
}

size_t stream_message_max(const struct stream *stream) {
	if(!stream_is_open(stream) || !stream->ops->message_max) {
		return SIZE_MAX;
	}
	return stream->ops->message_max(stream->io.fd);
}

int stream_queue(struct stream *stream, const struct iovec *iov, int count, size_t skip) {
	if(stream->out.len == 0) {
		stream->progress_ms = stream->loop->now_ms;
		if(!(stream->io.ready & LOOP_OUT)) {
			stream_outstanding(
				stream); /* the kernel is full: progress counts from here */
		}
	}
	for(int i = 0; i < count; i++) {
		if(skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		const uint8_t *from = (const uint8_t *)iov[i].iov_base + skip;
		if(bufq_append(&stream->out, &stream->loop->pool, from, iov[i].iov_len - skip)) {
			return -ENOMEM;
		}
		skip = 0;
	}
	stream_update(stream);
	return 0;
}

int stream_writev(struct stream *stream, const struct iovec *iov, int count) {
	assert(!stream->finishing);
	if(stream->error) {
		return -stream->error;
	}
	size_t total = 0;
	for(int i = 0; i < count; i++) {
		total += iov[i].iov_len;
	}
	if(total == 0 && !stream->datagram) {
		return 0;
	}
	int result = stream->ops->write(stream, iov, count, total);
	if(result && result != -EMSGSIZE) {
		stream_break(stream, result);
		/* Callers need not look: the owner is told with the next turn. */
		loop_want(stream->loop, &stream->io, stream->io.want | LOOP_OUT);
		loop_set_ready(stream->loop, &stream->io, LOOP_OUT);
	}
	return result;
}

int stream_write(struct stream *stream, const void *data, size_t len) {
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	return stream_writev(stream, &iov, 1);
}

int stream_write_last(struct stream *stream, const void *data, size_t len) {
	stream->ending = true;
	int result = stream_write(stream, data, len);
	stream->ending = false;
	stream_finish(stream);
	return result;
}

/* For kinds that have to see the bytes, and file systems that cannot do without. */
static ssize_t send_file_copy(struct stream *stream, int file, uint64_t offset, size_t max) {
	uint8_t *scratch = stream->loop->scratch;
	size_t want = max < SEND_FILE_READ ? max : SEND_FILE_READ;
	ssize_t got = RETRY_INTERRUPTED(pread(file, scratch, want, (off_t)offset));
	if(got <= 0) {
		return got < 0 ? -errno : 0;
	}
	int result = stream_write(stream, scratch, (size_t)got);
	return result ? result : got;
}

/* The kernel is full: the owner is told when there is room. */
static void stream_starve(struct stream *stream) {
	stream_outstanding(stream);
	stream->progress_ms = stream->loop->now_ms;
	stream->starved = true;
	loop_used_up(&stream->io, LOOP_OUT);
	stream_update(stream);
}

ssize_t stream_send_file(struct stream *stream, int file, uint64_t offset, size_t max) {
	assert(!stream->finishing && !stream->datagram);
	if(stream->error) {
		return -stream->error;
	}
	if(stream->out.len > 0) {
		return -EAGAIN;
	}
	if(!stream->ops->send_file) {
		return send_file_copy(stream, file, offset, max);
	}
	ssize_t sent = stream->io.ready & LOOP_OUT
		? stream->ops->send_file(stream->io.fd, file, offset, max)
		: -EAGAIN;
	if(sent == -EINVAL || sent == -ENOSYS) {
		return send_file_copy(stream, file, offset, max);
	}
	if(sent > 0) {
		stream->sent += (uint32_t)sent;
	} else if(sent == -EAGAIN) {
		stream_starve(stream);
	}
	return sent;
}

const char *stream_reason(const struct stream *stream, int error) {
	const char *reason = stream->ops->reason ? stream->ops->reason(stream) : NULL;
	return reason ? reason : strerror(-error);
}

size_t stream_outstanding(struct stream *stream) {
	int waiting;
	if(ioctl(stream->io.fd, SIOCOUTQ, &waiting) < 0) {
		return stream->out.len; /* a fifo cannot tell */
	}
	uint32_t taken = stream->sent - (uint32_t)waiting;
	if(taken != stream->taken) {
		stream->taken = taken;
		stream->progress_ms = stream->loop->now_ms;
	}
	return stream->out.len + (size_t)waiting;
}

void stream_finish(struct stream *stream) {
	stream->finishing = true;
	stream_finish_now(stream);
}
