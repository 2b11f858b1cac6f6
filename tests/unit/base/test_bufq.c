/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Byte queues against the simplest thing that does the same: one flat array. The source is compiled
 * in a second time under other names, with an allocator that can be told to fail.
 */
#include "failing_memory.h"

#include <assert.h>
#include <errno.h>

#define malloc counted_malloc
#define free counted_free
#define bufq_pool_clear counted_pool_clear
#define bufq_append counted_bufq_append
#define bufq_peek counted_bufq_peek
#define bufq_consume counted_bufq_consume
#include "base/bufq.c"
#undef malloc
#undef free

#define ORACLE_MAX (512 * 1024)
#define STEPS 4000

/* The queue under test and what it should hold. */
struct pair {
	struct bufq queue;
	struct bufq_pool pool;
	uint8_t *bytes;
	size_t len;
	uint8_t next; /* the stream counts, so that any mix-up shows */
};

/* Sizes around everything that is special: nothing, one, a chunk, several. */
static size_t draw_size(void) {
	static const size_t special[] = {0, 1, 2, 4096, BUFQ_CHUNK_DATA - 1, BUFQ_CHUNK_DATA,
		BUFQ_CHUNK_DATA + 1, 2 * BUFQ_CHUNK_DATA, 3 * BUFQ_CHUNK_DATA + 7};
	switch(draw(3)) {
	case 0:
		return special[draw(COUNT(special))];
	case 1:
		return draw(300);
	default:
		return draw(4 * BUFQ_CHUNK_DATA);
	}
}

static size_t count_chunks(const struct bufq *queue) {
	size_t count = 0;
	const struct bufq_chunk *last = NULL;
	for(const struct bufq_chunk *chunk = queue->head; chunk; chunk = chunk->next) {
		assert_true(chunk->start < chunk->end);
		assert_true(chunk->end <= BUFQ_CHUNK_DATA);
		last = chunk;
		count++;
	}
	assert_ptr_equal(last, queue->tail);
	return count;
}

/* Everything, through one peek. */
static void check_whole(const struct pair *pair) {
	struct iovec iov[ORACLE_MAX / BUFQ_CHUNK_DATA + 8];
	assert_int_equal(pair->queue.len, pair->len);
	size_t chunks = count_chunks(&pair->queue);
	assert_true((chunks == 0) == (pair->len == 0));
	assert_int_equal(test.live, chunks + pair->pool.count);
	assert_true(pair->pool.count <= BUFQ_POOL_KEEP);
	int used = bufq_peek(&pair->queue, 0, pair->len, iov, COUNT(iov));
	assert_int_equal(used, chunks);
	size_t at = 0;
	for(int i = 0; i < used; i++) {
		assert_memory_equal(iov[i].iov_base, pair->bytes + at, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	assert_int_equal(at, pair->len);
}

/* A part, with a limited number of entries. */
static void check_part(const struct pair *pair) {
	struct iovec iov[4];
	size_t offset = draw((uint32_t)pair->len + 2);
	size_t len = draw((uint32_t)pair->len + 2);
	int max = (int)draw(COUNT(iov) + 1);
	int used = bufq_peek(&pair->queue, offset, len, iov, max);
	size_t left = offset < pair->len ? pair->len - offset : 0;
	size_t want = len < left ? len : left;
	size_t got = 0;
	assert_true(used >= 0 && used <= max);
	for(int i = 0; i < used; i++) {
		assert_true(iov[i].iov_len > 0 && iov[i].iov_len <= want - got);
		assert_memory_equal(iov[i].iov_base, pair->bytes + offset + got, iov[i].iov_len);
		got += iov[i].iov_len;
	}
	assert_true(got == want || used == max);
}

static void append(struct pair *pair, size_t len) {
	uint8_t *to = pair->bytes + pair->len;
	if(len > ORACLE_MAX - pair->len) {
		return;
	}
	for(size_t i = 0; i < len; i++) {
		to[i] = (uint8_t)(pair->next + i);
	}
	int result = bufq_append(&pair->queue, &pair->pool, to, len);
	if(result == 0) {
		pair->next = (uint8_t)(pair->next + len);
		pair->len += len;
	} else {
		/* All or nothing: the queue is as it was, which the next check sees. */
		assert_int_equal(result, -ENOMEM);
		assert_int_equal(test.fail_after, 0);
	}
}

static void consume(struct pair *pair, size_t len) {
	len = len < pair->len ? len : pair->len;
	bufq_consume(&pair->queue, &pair->pool, len);
	pair->len -= len;
	memmove(pair->bytes, pair->bytes + len, pair->len);
}

static void walk(bool failures) {
	struct pair pair = {.bytes = malloc(ORACLE_MAX)};
	assert_non_null(pair.bytes);
	size_t failed = 0;
	for(int step = 0; step < STEPS; step++) {
		test.fail_after = failures && draw(2) ? draw(3) : SIZE_MAX;
		if(draw(5) < 3) {
			append(&pair, draw_size());
		} else {
			consume(&pair, draw_size() * (1 + draw(3)));
		}
		failed += test.fail_after == 0;
		check_whole(&pair);
		check_part(&pair);
	}
	assert_true(!failures || failed > STEPS / 100);
	consume(&pair, pair.len);
	check_whole(&pair);
	bufq_pool_clear(&pair.pool);
	assert_int_equal(pair.pool.count, 0);
	free(pair.bytes);
}

static void test_queue_walk(void **unused) {
	(void)unused;
	walk(false);
}

static void test_queue_walk_without_memory(void **unused) {
	(void)unused;
	walk(true);
}

/*
 * Five chunks are needed and the memory ends after three: the three go back, the queue is
 * untouched.
 */
static void test_append_is_all_or_nothing(void **unused) {
	(void)unused;
	struct bufq queue = {0};
	struct bufq_pool pool = {0};
	uint8_t *data = calloc(1, 5 * BUFQ_CHUNK_DATA);
	assert_non_null(data);
	assert_int_equal(bufq_append(&queue, &pool, "abc", 3), 0);
	test.fail_after = 3;
	assert_int_equal(bufq_append(&queue, &pool, data, 5 * BUFQ_CHUNK_DATA), -ENOMEM);
	assert_int_equal(queue.len, 3);
	assert_int_equal(queue.head->end - queue.head->start, 3);
	assert_int_equal(pool.count, 3);
	test.fail_after = SIZE_MAX;
	assert_int_equal(bufq_append(&queue, &pool, data, 5 * BUFQ_CHUNK_DATA), 0);
	bufq_consume(&queue, &pool, queue.len);
	bufq_pool_clear(&pool);
	free(data);
}

/* What a burst needed is not kept for ever; what many queues need in turn is shared. */
static void test_pool(void **unused) {
	(void)unused;
	struct bufq queue = {0};
	struct bufq_pool pool = {0};
	size_t len = (BUFQ_POOL_KEEP + 20) * (size_t)BUFQ_CHUNK_DATA;
	uint8_t *data = calloc(1, len);
	assert_non_null(data);
	assert_int_equal(bufq_append(&queue, &pool, data, len), 0);
	assert_int_equal(test.live, BUFQ_POOL_KEEP + 20);
	bufq_consume(&queue, &pool, len);
	assert_null(queue.head);
	assert_null(queue.tail);
	assert_int_equal(pool.count, BUFQ_POOL_KEEP);
	assert_int_equal(test.live, BUFQ_POOL_KEEP);
	size_t calls = test.calls;
	for(int i = 0; i < 100; i++) {
		assert_int_equal(bufq_append(&queue, &pool, data, BUFQ_CHUNK_DATA + 1), 0);
		bufq_consume(&queue, &pool, BUFQ_CHUNK_DATA + 1);
	}
	assert_int_equal(test.calls, calls);
	bufq_pool_clear(&pool);
	free(data);
}

static void test_empty_appends(void **unused) {
	(void)unused;
	struct bufq queue = {0};
	struct bufq_pool pool = {0};
	struct iovec iov[1];
	assert_int_equal(bufq_append(&queue, &pool, NULL, 0), 0);
	assert_null(queue.head);
	assert_int_equal(bufq_peek(&queue, 0, 10, iov, 1), 0);
	bufq_consume(&queue, &pool, 0);
	assert_int_equal(test.calls, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_queue_walk, reset, nothing_left),
		cmocka_unit_test_setup_teardown(
			test_queue_walk_without_memory, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_append_is_all_or_nothing, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_pool, reset, nothing_left),
		cmocka_unit_test_setup_teardown(test_empty_appends, reset, nothing_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
