/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The limit on the memory that all connections together make the daemon hold: queues of data that
 * the other side has not taken, incomplete messages, and the input of handshakes.
 */
#ifndef WEBSOCKSY_MEMORY_H
#define WEBSOCKSY_MEMORY_H
#include "base/dynbuf.h"
#include "base/loop_timer.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A buffer up to this is granted above the limit, too: small messages go on, and requests can be
 * refused.
 */
#define MEMORY_SPARED (64 * 1024)

/* Part of the machine's memory that is the limit if max-memory is 0. */
#define MEMORY_DEFAULT_DIVISOR 2

struct connection_env;

struct memory {
	size_t limit; /* 0: none */
	size_t held; /* capacity of the buffers below */
	struct ev_timer
		told; /* of several workers: the others are to be told that less is in use */
	size_t told_used; /* what they know */
};

/* For one of several workers, whose memory counts together. 0 or -ENOMEM; memory_leave() in either case. */
int memory_share(struct connection_env *env);
void memory_leave(struct connection_env *env);

/* The limit for a value of max-memory. */
size_t memory_limit(size_t max_memory);

/* Empties `env->room`, and gives its memory back if a message was unusually large. */
void memory_empty_room(struct connection_env *env);

/* Is the limit reached? */
bool memory_is_exhausted(const struct connection_env *env);

/*
 * Buffers of connections, as dynbuf.h has them. 0, -ENOMEM, or -EDQUOT if that would exceed the
 * limit. The buffers may be moved, and are freed with memory_free().
 */
int memory_reserve(struct connection_env *env, struct dynbuf *buf, size_t more);
int memory_append(struct connection_env *env, struct dynbuf *buf, const void *data, size_t len);
void memory_free(struct connection_env *env, struct dynbuf *buf);

struct plugin_host;

/* Counts memory of plugins: see struct plugin_host. */
int memory_account(struct plugin_host *host, ptrdiff_t bytes);
#endif
