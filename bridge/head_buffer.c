/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory of request heads.
 *
 * Must not know: requests.
 * Invariants: credentials are not left behind in memory that is given back.
 */
#include "bridge/head_buffer.h"

#include "bridge/memory.h"

#include <errno.h>
#include <string.h>

void head_buffer_free(struct connection_env *env, struct dynbuf *input) {
	if(input->data) {
		explicit_bzero(input->data, input->len);
	}
	memory_free(env, input);
}

int head_buffer_reserve(struct connection_env *env, struct dynbuf *input, size_t more) {
	struct dynbuf grown = {0};
	if(more <= input->cap - input->len) {
		return 0;
	}
	if(memory_reserve(env, &grown, input->len + more) ||
		memory_append(env, &grown, input->data, input->len)) {
		memory_free(env, &grown);
		return -ENOMEM;
	}
	head_buffer_free(env, input);
	*input = grown;
	return 0;
}

int head_buffer_append(
	struct connection_env *env, struct dynbuf *input, const void *data, size_t len) {
	int result = head_buffer_reserve(env, input, len);
	return result ? result : memory_append(env, input, data, len);
}

void head_buffer_wipe(struct loop *loop, const uint8_t *data, size_t len) {
	if(data == loop->scratch) {
		explicit_bzero(loop->scratch, len);
	}
}
