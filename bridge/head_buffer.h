/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory of request heads, which may hold passwords: wiped when it is given back.
 */
#ifndef WEBSOCKSY_HEAD_BUFFER_H
#define WEBSOCKSY_HEAD_BUFFER_H
#include "base/dynbuf.h"
#include "base/loop.h"

#include <stddef.h>
#include <stdint.h>

struct connection_env;

/* memory_free(), memory_reserve() and memory_append(). */
void head_buffer_free(struct connection_env *env, struct dynbuf *input);
int head_buffer_reserve(struct connection_env *env, struct dynbuf *input, size_t more);
int head_buffer_append(
	struct connection_env *env, struct dynbuf *input, const void *data, size_t len);

/* Wipes `len` bytes if they are in the scratch buffer, where a shorter read would leave them. */
void head_buffer_wipe(struct loop *loop, const uint8_t *data, size_t len);
#endif
