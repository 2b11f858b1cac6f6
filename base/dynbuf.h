/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A contiguous block of bytes that grows at its end, for an incomplete message.
 */
#ifndef WEBSOCKSY_DYNBUF_H
#define WEBSOCKSY_DYNBUF_H
#include <stddef.h>
#include <stdint.h>

/*
 * Initialised by zero, which is the empty block. Less than 4 GiB: the lengths have 32 bits, because
 * each connection has one.
 */
struct dynbuf {
	uint8_t *data;
	uint32_t len;
	uint32_t cap;
};

/*
 * Makes room for `more` bytes behind the present ones; the memory grows geometrically. 0 or
 * -ENOMEM, also for more than fits in one.
 */
int dynbuf_reserve(struct dynbuf *buf, size_t more);

/* Appends a copy of `len` bytes. 0 or -ENOMEM. */
int dynbuf_append(struct dynbuf *buf, const void *data, size_t len);

/* Empties it and frees its memory. */
void dynbuf_free(struct dynbuf *buf);
#endif
