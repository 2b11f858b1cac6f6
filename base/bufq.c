/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Byte queues made of chunks, and the pool that the chunks come from.
 *
 * Must not know: descriptors, connections, the meaning of the bytes.
 * Invariants: the `len` of a queue is the sum of the bytes in its chunks; no queued chunk is empty,
 * so an empty queue owns no chunk.
 */
#include "base/bufq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct bufq_chunk) == 16384, "a chunk fills four pages");

static struct bufq_chunk *pool_take(struct bufq_pool *pool) {
	struct bufq_chunk *chunk = pool->free;
	if(chunk) {
		pool->free = chunk->next;
		pool->count--;
	} else {
		chunk = malloc(sizeof(*chunk));
		if(!chunk) {
			return NULL;
		}
	}
	pool->used++;
	chunk->next = NULL;
	chunk->start = 0;
	chunk->end = 0;
	return chunk;
}

static void pool_give(struct bufq_pool *pool, struct bufq_chunk *chunk) {
	assert(pool->used > 0);
	pool->used--;
	if(pool->count >= BUFQ_POOL_KEEP) {
		free(chunk);
		return;
	}
	chunk->next = pool->free;
	pool->free = chunk;
	pool->count++;
}

static void pool_give_chain(struct bufq_pool *pool, struct bufq_chunk *chunk) {
	while(chunk) {
		struct bufq_chunk *next = chunk->next;
		pool_give(pool, chunk);
		chunk = next;
	}
}

/* Takes the chunks for `len` bytes before anything is copied, so that a failure changes nothing. */
static int pool_take_chain(struct bufq_pool *pool, size_t len, struct bufq_chunk **out) {
	struct bufq_chunk *chain = NULL;
	for(size_t have = 0; have < len; have += BUFQ_CHUNK_DATA) {
		struct bufq_chunk *chunk = pool_take(pool);
		if(!chunk) {
			pool_give_chain(pool, chain);
			return -ENOMEM;
		}
		chunk->next = chain;
		chain = chunk;
	}
	*out = chain;
	return 0;
}

static size_t chunk_fill(struct bufq_chunk *chunk, const uint8_t *data, size_t len) {
	size_t room = BUFQ_CHUNK_DATA - chunk->end;
	size_t take = len < room ? len : room;
	memcpy(chunk->data + chunk->end, data, take);
	chunk->end += (uint32_t)take;
	return take;
}

void bufq_pool_clear(struct bufq_pool *pool) {
	while(pool->free) {
		struct bufq_chunk *next = pool->free->next;
		free(pool->free);
		pool->free = next;
	}
	pool->count = 0;
}

int bufq_append(struct bufq *queue, struct bufq_pool *pool, const void *data, size_t len) {
	const uint8_t *from = data;
	size_t room = queue->tail ? BUFQ_CHUNK_DATA - queue->tail->end : 0;
	struct bufq_chunk *fresh = NULL;
	if(len > room && pool_take_chain(pool, len - room, &fresh)) {
		return -ENOMEM;
	}
	queue->len += len;
	if(room > 0 && len > 0) {
		size_t done = chunk_fill(queue->tail, from, len);
		from += done;
		len -= done;
	}
	while(fresh) {
		struct bufq_chunk *chunk = fresh;
		fresh = chunk->next;
		chunk->next = NULL;
		size_t done = chunk_fill(chunk, from, len);
		from += done;
		len -= done;
		if(queue->tail) {
			queue->tail->next = chunk;
		} else {
			queue->head = chunk;
		}
		queue->tail = chunk;
	}
	assert(len == 0);
	return 0;
}

int bufq_peek(const struct bufq *queue, size_t offset, size_t len, struct iovec *iov, int max) {
	int used = 0;
	for(struct bufq_chunk *chunk = queue->head; chunk && used < max && len > 0;
		chunk = chunk->next) {
		size_t have = chunk->end - chunk->start;
		if(offset >= have) {
			offset -= have;
			continue;
		}
		size_t take = have - offset < len ? have - offset : len;
		iov[used].iov_base = chunk->data + chunk->start + offset;
		iov[used].iov_len = take;
		used++;
		len -= take;
		offset = 0;
	}
	return used;
}

void bufq_consume(struct bufq *queue, struct bufq_pool *pool, size_t len) {
	assert(len <= queue->len);
	queue->len -= len;
	while(len > 0) {
		struct bufq_chunk *chunk = queue->head;
		size_t have = chunk->end - chunk->start;
		if(len < have) {
			chunk->start += (uint32_t)len;
			return;
		}
		len -= have;
		queue->head = chunk->next;
		pool_give(pool, chunk);
	}
	if(!queue->head) {
		queue->tail = NULL;
	}
}
