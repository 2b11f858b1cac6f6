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

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, len) ((void)(data), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(data, len) ((void)(data), (void)(len))
#endif

/* Memory whose last byte is followed by an unreadable page: reading past the end is a crash. */
struct guard {
	uint8_t *map;
	size_t map_len;
	uint8_t *data; /* `len` bytes, writable */
};

/*
 * Mappings that were freed, for those that come next: making one costs more than most tests do with
 * it. With AddressSanitizer no access to them is valid meanwhile, nor to the bytes in front of the
 * data.
 */
static struct guard guard_spares[4];

static inline size_t guard_page(void) {
	return (size_t)sysconf(_SC_PAGESIZE);
}

static inline uint8_t *guard_end(const struct guard *guard) {
	return guard->map + guard->map_len - guard_page();
}

static inline struct guard guard_map(size_t pages) {
	struct guard guard = {.map_len = (pages + 1) * guard_page()};
	guard.map = mmap(
		NULL, guard.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(guard.map != MAP_FAILED);
	assert_int_equal(mprotect(guard_end(&guard), guard_page(), PROT_NONE), 0);
	ASAN_POISON_MEMORY_REGION(guard.map, guard.map_len);
	return guard;
}

static inline struct guard guard_new(const void *data, size_t len) {
	size_t pages = (len + guard_page() - 1) / guard_page();
	struct guard guard = {0};
	for(size_t i = 0; i < COUNT(guard_spares) && !guard.map; i++) {
		if(guard_spares[i].map_len > pages * guard_page()) {
			guard = guard_spares[i];
			guard_spares[i] = (struct guard){0};
		}
	}
	if(!guard.map) {
		guard = guard_map(pages);
	}
	guard.data = guard_end(&guard) - len;
	ASAN_UNPOISON_MEMORY_REGION(guard.data, len);
	if(len > 0 && data) {
		memcpy(guard.data, data, len);
	} else if(len > 0) {
		memset(guard.data, 0, len);
	}
	return guard;
}

/* Keeps it in place of the smallest of the spare ones, which goes. */
static inline void guard_free(struct guard *guard) {
	uint8_t *begin = (uint8_t *)((uintptr_t)guard->data & ~(uintptr_t)7);
	ASAN_POISON_MEMORY_REGION(begin, (size_t)(guard_end(guard) - begin));
	struct guard *smallest = guard;
	for(size_t i = 0; i < COUNT(guard_spares); i++) {
		if(guard_spares[i].map_len < smallest->map_len) {
			smallest = &guard_spares[i];
		}
	}
	struct guard old = *smallest;
	*smallest = *guard;
	if(old.map) {
		ASAN_UNPOISON_MEMORY_REGION(old.map, old.map_len);
		munmap(old.map, old.map_len);
	}
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
