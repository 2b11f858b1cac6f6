/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A contiguous block of bytes that grows at its end.
 *
 * Must not know: descriptors, connections, the meaning of the bytes.
 * Invariants: len <= cap; `data` is NULL if and only if `cap` is 0.
 */
#include "base/dynbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DYNBUF_MIN 4096

int dynbuf_reserve(struct dynbuf *buf, size_t more) {
	uint32_t need;
	if(__builtin_add_overflow(buf->len, more, &need)) {
		return -ENOMEM;
	}
	if(need <= buf->cap) {
		return 0;
	}
	uint32_t cap = buf->cap ? buf->cap : DYNBUF_MIN;
	while(cap < need) {
		if(__builtin_mul_overflow(cap, 2, &cap)) {
			return -ENOMEM;
		}
	}
	uint8_t *data = realloc(buf->data, cap);
	if(!data) {
		return -ENOMEM;
	}
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int dynbuf_append(struct dynbuf *buf, const void *data, size_t len) {
	if(len == 0) {
		return 0;
	}
	if(dynbuf_reserve(buf, len)) {
		return -ENOMEM;
	}
	memcpy(buf->data + buf->len, data, len);
	buf->len += (uint32_t)len;
	return 0;
}

void dynbuf_free(struct dynbuf *buf) {
	free(buf->data);
	*buf = (struct dynbuf){0};
}
