/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Queues of bytes that cannot be sent yet, made of chunks that all queues share.
 */
#ifndef WEBSOCKSY_BUFQ_H
#define WEBSOCKSY_BUFQ_H
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Payload bytes of a chunk; with its header a chunk fills 16 KiB. */
#define BUFQ_CHUNK_DATA (16384 - 16)

/* Free chunks beyond this many are freed. */
#define BUFQ_POOL_KEEP 64

struct bufq_chunk {
	struct bufq_chunk *next;
	uint32_t start; /* offset of the first byte that is still queued */
	uint32_t end; /* behind the last one */
	uint8_t data[BUFQ_CHUNK_DATA];
};

/* Free chunks. Initialised by zero. */
struct bufq_pool {
	struct bufq_chunk *free;
	size_t count;
	size_t used; /* chunks that queues own */
};

/* Frees the free chunks. */
void bufq_pool_clear(struct bufq_pool *pool);

/* A queue of bytes. Initialised by zero, which is the empty queue; an empty queue owns nothing. */
struct bufq {
	struct bufq_chunk *head;
	struct bufq_chunk *tail;
	size_t len;
};

/* Copies `len` bytes to the end. 0, or -ENOMEM with the queue as it was. */
int bufq_append(struct bufq *queue, struct bufq_pool *pool, const void *data, size_t len);

/*
 * Sets up to `max` entries of `iov` to the bytes from `offset` on, at most `len` of them, and
 * returns the number of entries used. Valid until the queue changes.
 */
int bufq_peek(const struct bufq *queue, size_t offset, size_t len, struct iovec *iov, int max);

/* Removes `len` bytes (at most queue->len) from the front; emptied chunks go to the pool. */
void bufq_consume(struct bufq *queue, struct bufq_pool *pool, size_t len);
#endif
