/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An allocator that counts and that can be told to fail. A test includes this file and then, with
 * malloc, realloc and free defined as the functions below, the source that it tests: once more,
 * under other names.
 */
#ifndef WEBSOCKSY_TESTS_FAILING_MEMORY_H
#define WEBSOCKSY_TESTS_FAILING_MEMORY_H
#include "support.h"

static struct {
	size_t live; /* blocks allocated and not freed */
	size_t calls;
	size_t fail_after; /* so many allocations succeed, the next fails; SIZE_MAX: none fails */
	uint32_t random;
} test;

static bool may_allocate(void) {
	test.calls++;
	if(test.fail_after == SIZE_MAX) {
		return true;
	}
	if(test.fail_after == 0) {
		return false;
	}
	test.fail_after--;
	return true;
}

__attribute__((unused)) static void *counted_malloc(size_t size) {
	void *block = may_allocate() ? malloc(size) : NULL;
	test.live += block != NULL;
	return block;
}

__attribute__((unused)) static void *counted_realloc(void *old, size_t size) {
	void *block = may_allocate() ? realloc(old, size) : NULL;
	test.live += block && !old;
	return block;
}

static void counted_free(void *block) {
	test.live -= block != NULL;
	free(block);
}

static uint32_t draw(uint32_t below) {
	test.random ^= test.random << 13;
	test.random ^= test.random >> 17;
	test.random ^= test.random << 5;
	return test.random % below;
}

static int reset(void **unused) {
	(void)unused;
	memset(&test, 0, sizeof(test));
	test.fail_after = SIZE_MAX;
	test.random = 0x2545f491;
	return 0;
}

static int nothing_left(void **unused) {
	(void)unused;
	return test.live == 0 ? 0 : -1;
}
#endif
