/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers of a backend that are used again for some time.
 *
 * It must not know queries.
 */
#include "plugin/answer_cache.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_CACHE_MS_MAX ((uint64_t)UINT32_MAX)

/* A copy of an answer; its texts are in `text`. */
struct cached {
	struct list link;
	uint64_t hash;
	uint64_t until_ms;
	struct websocksy_answer answer;
	const char **peer;
	char text[];
};

void answer_cache_init(struct answer_cache *cache) {
	list_init(&cache->entries);
	cache->count = 0;
}

static void drop(struct answer_cache *cache, struct cached *entry) {
	list_remove(&entry->link);
	cache->count--;
	free(entry->peer);
	free(entry);
}

void answer_cache_clear(struct answer_cache *cache) {
	struct list *next;
	for(struct list *at = cache->entries.next; at != &cache->entries; at = next) {
		next = at->next;
		drop(cache, container_of(at, struct cached, link));
	}
}

/* FNV-1a: it only saves comparisons. */
static uint64_t hash_text(const char *text) {
	uint64_t hash = 14695981039346656037u;
	for(; *text; text++) {
		hash = (hash ^ (uint8_t)*text) * 1099511628211u;
	}
	return hash;
}

static size_t text_size(const char *text) {
	return text ? strlen(text) + 1 : 0;
}

static size_t texts_size(const struct websocksy_answer *answer) {
	size_t size = text_size(answer->framing) + text_size(answer->framing_config) +
		text_size(answer->protocol) + text_size(answer->session) +
		text_size(answer->reply_end) + text_size(answer->reply_has) +
		text_size(answer->cache_key) + answer->prelude_len + text_size(answer->port);
	for(size_t i = 0; i < answer->peers; i++) {
		size += text_size(answer->peer[i]);
	}
	return size;
}

static const char *copy_text(char **at, const char *text) {
	char *start = *at;
	if(!text) {
		return NULL;
	}
	*at = stpcpy(start, text) + 1;
	return start;
}

static struct cached *copy_answer(const struct websocksy_answer *answer) {
	struct cached *entry = calloc(1, sizeof(*entry) + texts_size(answer));
	const char **peer = calloc(answer->peers, sizeof(*peer));
	if(!entry || !peer) {
		free(entry);
		free(peer);
		return NULL;
	}
	char *at = entry->text;
	entry->answer = *answer;
	entry->peer = peer;
	entry->answer.peer = peer;
	for(size_t i = 0; i < answer->peers; i++) {
		peer[i] = copy_text(&at, answer->peer[i]);
	}
	entry->answer.framing = copy_text(&at, answer->framing);
	entry->answer.framing_config = copy_text(&at, answer->framing_config);
	entry->answer.protocol = copy_text(&at, answer->protocol);
	entry->answer.session = copy_text(&at, answer->session);
	entry->answer.reply_end = copy_text(&at, answer->reply_end);
	entry->answer.reply_has = copy_text(&at, answer->reply_has);
	entry->answer.cache_key = copy_text(&at, answer->cache_key);
	entry->answer.port = copy_text(&at, answer->port);
	if(answer->prelude_len > 0) {
		memcpy(at, answer->prelude, answer->prelude_len);
		entry->answer.prelude = at;
	}
	return entry;
}

static struct cached *find(struct answer_cache *cache, const char *key) {
	uint64_t hash = hash_text(key);
	for(struct list *at = cache->entries.prev; at != &cache->entries; at = at->prev) {
		struct cached *entry = container_of(at, struct cached, link);
		if(entry->hash == hash && !strcmp(entry->answer.cache_key, key)) {
			return entry;
		}
	}
	return NULL;
}

void answer_cache_add(
	struct answer_cache *cache, const struct websocksy_answer *answer, uint64_t now_ms) {
	struct cached *old = find(cache, answer->cache_key);
	struct cached *entry = copy_answer(answer);
	uint64_t ms = answer->cache_ms;
	if(old) {
		drop(cache, old);
	}
	if(!entry) {
		return;
	}
	entry->hash = hash_text(answer->cache_key);
	entry->until_ms = now_ms + (ms < ANSWER_CACHE_MS_MAX ? ms : ANSWER_CACHE_MS_MAX);
	/* It is not kept anew each time it is used. */
	entry->answer.cache_ms = 0;
	list_append(&cache->entries, &entry->link);
	if(++cache->count > ANSWER_CACHE_MAX) {
		drop(cache, container_of(cache->entries.next, struct cached, link));
	}
}

const struct websocksy_answer *answer_cache_find(
	struct answer_cache *cache, const char *key, uint64_t now_ms) {
	struct cached *entry = find(cache, key);
	if(entry && entry->until_ms <= now_ms) {
		drop(cache, entry);
		entry = NULL;
	}
	if(!entry) {
		return NULL;
	}
	list_remove(&entry->link);
	list_append(&cache->entries, &entry->link);
	return &entry->answer;
}
