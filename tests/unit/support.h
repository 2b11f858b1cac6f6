/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What all unit tests share: cmocka, memory that ends at an unreadable page, and the enumeration of
 * every way to feed an input (whole, byte by byte, cut once at every offset).
 */
#ifndef WEBSOCKSY_TESTS_SUPPORT_H
#define WEBSOCKSY_TESTS_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Memory whose last byte is followed by an unreadable page: reading past the end is a crash. */
struct guard {
	uint8_t *map;
	size_t map_len;
	uint8_t *data; /* `len` bytes, writable */
};

static inline struct guard guard_new(const void *data, size_t len) {
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t pages = (len + page - 1) / page;
	struct guard guard = {.map_len = (pages + 1) * page};
	guard.map = mmap(
		NULL, guard.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(guard.map != MAP_FAILED);
	assert_int_equal(mprotect(guard.map + pages * page, page, PROT_NONE), 0);
	guard.data = guard.map + pages * page - len;
	if(len > 0 && data) {
		memcpy(guard.data, data, len);
	}
	return guard;
}

static inline void guard_free(struct guard *guard) {
	munmap(guard->map, guard->map_len);
}

/*
 * One way to cut `len` bytes: calls feed(ctx, offset, length) for each piece, in order. `way` 0 is
 * whole, 1 byte by byte, 2 + n cut once behind byte n. There are cut_ways(len) of them.
 */
static inline size_t cut_ways(size_t len) {
	return len < 2 ? 1 : 2 + len - 1;
}

static inline void cut_feed(
	size_t len, size_t way, void (*feed)(void *ctx, size_t offset, size_t length), void *ctx) {
	if(way == 0) {
		feed(ctx, 0, len);
	} else if(way == 1) {
		for(size_t at = 0; at < len; at++) {
			feed(ctx, at, 1);
		}
	} else {
		size_t cut = way - 1;
		feed(ctx, 0, cut);
		feed(ctx, cut, len - cut);
	}
}
#endif
