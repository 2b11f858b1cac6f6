/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers of a backend that are used again for some time.
 */
#ifndef WEBSOCKSY_PLUGIN_ANSWER_CACHE_H
#define WEBSOCKSY_PLUGIN_ANSWER_CACHE_H
#include "base/list.h"
#include "websocksy_plugin.h"

#include <stddef.h>
#include <stdint.h>

#define ANSWER_CACHE_MAX                                                                           \
	1024 /* beyond, the one that was not used for the longest time is dropped */

struct answer_cache {
	struct list entries; /* the one used last is the last */
	size_t count;
};

void answer_cache_init(struct answer_cache *cache);
void answer_cache_clear(struct answer_cache *cache);

/* Keeps a copy of an answer with cache_key and cache_ms; without memory it does not. */
void answer_cache_add(
	struct answer_cache *cache, const struct websocksy_answer *answer, uint64_t now_ms);

/* The answer for the key, valid until the cache changes; NULL: there is none. */
const struct websocksy_answer *answer_cache_find(
	struct answer_cache *cache, const char *key, uint64_t now_ms);
#endif
