/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The stream: one side of a connection, which hides from the files above it how bytes get in and
 * out (plain sockets here; datagrams, fifos and TLS in files of their own).
 */
#ifndef WEBSOCKSY_STREAM_H
#define WEBSOCKSY_STREAM_H
#include "base/bufq.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct stream;

#define STREAM_MESSAGE_MIN 65507 /* a datagram over UDP and IPv4; every kind can take as much */

/* Events for the owner; several at once. */
#define STREAM_READABLE 1u /* stream_read() is worth a try */
#define STREAM_PROGRESS 2u /* the backlog has shrunk, or there is room for stream_send_file() */
/*
 * queued bytes could not be written and are gone, stream->error says why; or see
 * stream_put_end_back()
 */
#define STREAM_BROKEN 4u

/* May close the stream: the caller touches nothing after it. */
typedef void stream_fn(struct stream *stream, unsigned events);

/* How one kind of stream works. Called through the functions below only. */
struct stream_ops {
	/* see stream_read() */
	ssize_t (*read)(struct stream *stream, void *data, size_t cap);
	/* sends as much as possible at once and queues the rest; 0 or negative errno */
	int (*write)(struct stream *stream, const struct iovec *iov, int count, size_t total);
	/*
	 * hands up to `max` bytes of a file from `offset` on to the kernel: see stream_send_file(),
	 * 0 is the end of the file; NULL: this kind has to see the bytes
	 */
	ssize_t (*send_file)(int fd, int file, uint64_t offset, size_t max);
	/* sends from the queue until it is empty or the kernel is full; 0 or negative errno */
	int (*flush)(struct stream *stream);
	/*
	 * The queue is empty and nothing more will be written: ends this direction. False: it has
	 * queued more, and is to be called again when that is out. NULL: nothing to be done
	 */
	bool (*finish)(struct stream *stream);
	/* the largest message that can be written, with a descriptor of this kind; NULL: any */
	size_t (*message_max)(int fd);
	/*
	 * the other side ends its direction visibly (a byte stream does, datagrams and fifos do
	 * not)
	 */
	bool has_end;
	/* a read that brings less than asked for proves that nothing is left */
	bool short_read_is_all;
	/* why the last call failed, if the kind knows more than an errno: its own text, or NULL */
	const char *(*reason)(const struct stream *stream);
	/* frees the resources of the kind beyond the descriptor; NULL: there are none */
	void (*destroy)(struct stream *stream);
};

/* One side of a connection, embedded in it. fd -1: none. */
struct stream {
	struct ev_io io;
	const struct stream_ops *ops;
	struct loop *loop;
	stream_fn *fn;
	void *state; /* state of the kind */
	struct bufq out; /* bytes that the kernel has not taken yet */
	/* when the backlog last shrank or began, or the other side took bytes */
	uint64_t progress_ms;
	uint32_t sent; /* bytes that the kernel has taken, modulo 2^32 */
	/* of those, how many the other side had taken when that was last looked at */
	uint32_t taken;
	uint16_t error; /* positive errno of the write that failed; 0: none */
	bool finishing; /* shut the write side down when the queue is empty */
	bool finished; /* done */
	bool ending; /* the current write is the last, see stream_write_last() */
	bool datagram; /* reads and writes are messages; a read of 0 bytes is an empty one */
	bool ended; /* a read has returned the end or an error */
	bool starved; /* stream_send_file() waits for room */
};

extern const struct stream_ops stream_tcp_ops; /* TCP */
extern const struct stream_ops stream_unix_ops; /* Unix stream sockets */

/*
 * Makes `fd` (connected, non-blocking; owned by the stream from here on, closed on failure too) a
 * stream of kind `ops` with reading wanted. `fn` is never called from within. 0 or negative errno.
 */
int stream_open(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops,
	stream_fn *fn);

/*
 * The same for a descriptor that is registered in the loop as `io` already; `io` is free
 * afterwards.
 */
void stream_adopt(struct stream *stream, struct loop *loop, struct ev_io *io,
	const struct stream_ops *ops, stream_fn *fn);

/* Closes the descriptor and drops the queue. Nothing on a stream without descriptor. */
void stream_close(struct stream *stream);

static inline bool stream_is_open(const struct stream *stream) {
	return stream->io.fd >= 0;
}

/*
 * Reads up to `cap` bytes: their number; 0 at the end of the stream (datagram: an empty message);
 * -EAGAIN: nothing now, the owner will be told; -EMSGSIZE: a datagram did not fit and is gone;
 * other negative errno: broken. A read that shows that nothing is left clears the readiness, so
 * loops look at stream_readable().
 */
ssize_t stream_read(struct stream *stream, void *data, size_t cap);

static inline bool stream_readable(const struct stream *stream) {
	return stream->io.ready & stream->io.want & LOOP_IN;
}

/*
 * The same for a plain socket, but what was read stays where it is: for what comes in front of the
 * protocol. -EAGAIN, 0 at the end, or the number of bytes that may be taken with stream_read().
 */
ssize_t stream_peek(struct stream *stream, void *data, size_t cap);

/*
 * Behind a stream_read() that returned 0: reading is stopped, and once it is resumed the end is
 * found again, by its new owner for example. Until then STREAM_BROKEN tells that the other side
 * takes nothing any more, either.
 */
void stream_put_end_back(struct stream *stream);

/* Stops or resumes telling STREAM_READABLE. No system call. */
void stream_want_read(struct stream *stream, bool want);

/*
 * Writes everything: bytes that the kernel does not take now are copied to the queue. Up to 128
 * entries. Datagram: one message. 0; -EMSGSIZE: a datagram larger than the transport takes (nothing
 * sent); other negative errno: the stream is broken, its queue dropped. After stream_finish()
 * nothing may be written.
 */
int stream_write(struct stream *stream, const void *data, size_t len);
int stream_writev(struct stream *stream, const struct iovec *iov, int count);

/*
 * stream_write() and stream_finish(): the last bytes and the end go out in one segment where that
 * is possible.
 */
int stream_write_last(struct stream *stream, const void *data, size_t len);

/*
 * Sends up to `max` bytes of the regular file `file` from `offset` on, without copying them where
 * the kind of stream allows. Never queues more than one read's worth. The number of bytes taken; 0:
 * the file is shorter; -EAGAIN: not now (older bytes wait, or the kernel is full), STREAM_PROGRESS
 * will tell; other negative errno: the file cannot be read or the stream is broken. Not for
 * datagrams.
 */
ssize_t stream_send_file(struct stream *stream, int file, uint64_t offset, size_t max);

/*
 * What `error` (negative errno) of a call of this stream means: text for a log, valid until the
 * next call.
 */
const char *stream_reason(const struct stream *stream, int error);

/* The largest message that can be written to a stream of messages, at least STREAM_MESSAGE_MIN. */
size_t stream_message_max(const struct stream *stream);

/* Bytes queued and not taken by the kernel. */
static inline size_t stream_backlog(const struct stream *stream) {
	return stream->out.len;
}

/*
 * How many bytes the other side has not taken yet, here and in the kernel? If it has taken some
 * since this was last asked, that is noted as progress: the kernel holds megabytes for a slow
 * reader, who is alive though the queue here does not move.
 */
size_t stream_outstanding(struct stream *stream);

/* Shuts the write side down as soon as the queue is empty. Repeated calls have no effect. */
void stream_finish(struct stream *stream);

/*
 * For stream kinds: the parts they share. Queue the bytes of `iov` behind the first `skip`; 0 or
 * -ENOMEM.
 */
int stream_queue(struct stream *stream, const struct iovec *iov, int count, size_t skip);

/* The same: `write` and `flush` of the kinds for byte-stream sockets. */
int stream_write_bytes(struct stream *stream, const struct iovec *iov, int count, size_t total);
int stream_flush_bytes(struct stream *stream);

/* The same: to be called after the queue has changed behind the stream's back. */
void stream_update(struct stream *stream);
#endif
