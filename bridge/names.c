/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Shared texts.
 *
 * Must not know: what they mean.
 * Invariants: a text is in its bucket exactly while it has references; the time for finding one
 * does not grow with their number: after NAMES_SEARCH others it is stored a second time.
 */
#include "bridge/names.h"

#include "base/list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SEARCH 16 /* texts of a bucket that are compared */
#define NAMES_MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)

struct name {
	struct name *next;
	struct name **at; /* the pointer to this one */
	uint32_t hash;
	uint32_t references;
	uint32_t len;
	char text[];
};

static struct name *name_of(const char *text) {
	return container_of((uintptr_t)text, struct name, text);
}

/* Clients choose parts of the texts: they can make one bucket long, but not the search in it. */
static uint32_t hash_of(const char *text, size_t len) {
	uint64_t hash = len;
	for(; len >= sizeof(uint64_t); len -= sizeof(uint64_t)) {
		uint64_t word;
		memcpy(&word, text, sizeof(word));
		hash = (hash ^ word) * NAMES_MULTIPLIER;
		hash ^= hash >> 32;
		text += sizeof(word);
	}
	for(; len > 0; len--) {
		hash = (hash ^ (uint8_t)*text++) * NAMES_MULTIPLIER;
	}
	return (uint32_t)(hash >> 32);
}

static struct name *find(struct name *name, uint32_t hash, const char *text, size_t len) {
	for(int i = 0; i < NAMES_SEARCH && name; i++, name = name->next) {
		if(name->hash == hash && name->len == len && memcmp(name->text, text, len) == 0) {
			return name;
		}
	}
	return NULL;
}

const char *names_take(struct names *names, const char *text, size_t len) {
	uint32_t hash = hash_of(text, len);
	struct name **bucket = &names->bucket[hash % NAMES_BUCKETS];
	struct name *name = find(*bucket, hash, text, len);
	if(name) {
		name->references++;
		return name->text;
	}
	name = malloc(sizeof(*name) + len + 1);
	if(!name) {
		return NULL;
	}
	*name = (struct name){
		.next = *bucket, .at = bucket, .hash = hash, .references = 1, .len = (uint32_t)len};
	memcpy(name->text, text, len);
	name->text[len] = '\0';
	if(name->next) {
		name->next->at = &name->next;
	}
	*bucket = name;
	return name->text;
}

void names_drop(const char *text) {
	if(!text) {
		return;
	}
	struct name *name = name_of(text);
	if(--name->references > 0) {
		return;
	}
	*name->at = name->next;
	if(name->next) {
		name->next->at = name->at;
	}
	free(name);
}

size_t names_len(const char *text) {
	return name_of(text)->len;
}
