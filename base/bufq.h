/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory for bytes that cannot go on at once: a pool of chunks, byte queues made of them, and one
 * contiguous growable block for an incomplete message.
 */
#ifndef WEBSOCKSY_BUFQ_H
#define WEBSOCKSY_BUFQ_H
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Payload bytes of a chunk; with its header a chunk fills 16 KiB. */
#define BUFQ_CHUNK_DATA (16384 - 16)

/* Free chunks beyond this many are given back to the C library. */
#define BUFQ_POOL_KEEP 64

struct bufq_chunk {
	struct bufq_chunk *next;
	uint32_t start; /* first byte that is still queued */
	uint32_t end; /* behind the last */
	uint8_t data[BUFQ_CHUNK_DATA];
};

/* Free chunks. Zero is ready; bufq_pool_clear() at the end. */
struct bufq_pool {
	struct bufq_chunk *free;
	size_t count;
};

void bufq_pool_clear(struct bufq_pool *pool);

/* A queue of bytes. Zero is empty; an empty queue owns nothing. */
struct bufq {
	struct bufq_chunk *head;
	struct bufq_chunk *tail;
	size_t len;
};

/* Copies `len` bytes to the end. 0, or -ENOMEM with the queue as it was. */
int bufq_append(struct bufq *queue, struct bufq_pool *pool, const void *data, size_t len);

/*
 * Points up to `max` entries of `iov` at the bytes from `offset` on, at most `len` of them, and returns how
 * many entries were used. Valid until the queue changes.
 */
int bufq_peek(const struct bufq *queue, size_t offset, size_t len, struct iovec *iov, int max);

/* Drops `len` bytes (at most queue->len) from the front; emptied chunks go to the pool. */
void bufq_consume(struct bufq *queue, struct bufq_pool *pool, size_t len);

/* Contiguous bytes that may grow at the end. Zero is empty; dynbuf_free() gives the memory back. */
struct dynbuf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

/* Makes room for `more` bytes behind the present ones, growing geometrically. 0 or -ENOMEM. */
int dynbuf_reserve(struct dynbuf *buf, size_t more);

/* Appends a copy of `len` bytes. 0 or -ENOMEM. */
int dynbuf_append(struct dynbuf *buf, const void *data, size_t len);

/* Empties it and gives its memory back. */
void dynbuf_free(struct dynbuf *buf);
#endif
