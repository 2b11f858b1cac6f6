/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS to peers.
 *
 * Must not know: connections, the data over TLS.
 * Invariants: no two entries have the same files; credentials that are in use live on when their
 * entry goes. The system's authorities alone take milliseconds and megabytes, so nothing is read
 * for a single connection.
 */
#include "network/tls_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_cache_entry {
	struct list link;
	struct tls_credentials *credentials;
	char *ca; /* NULL as in struct peer_tls */
	char *cert;
	char *key;
	bool insecure;
};

static bool is_same(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool entry_serves(const struct tls_cache_entry *entry, const struct peer_tls *tls) {
	return entry->insecure == tls->insecure && is_same(entry->ca, tls->ca) &&
		is_same(entry->cert, tls->cert) && is_same(entry->key, tls->key);
}

static void entry_free(struct tls_cache_entry *entry) {
	tls_credentials_unref(entry->credentials);
	free(entry->ca);
	free(entry->cert);
	free(entry->key);
	free(entry);
}

/* A copy, or NULL of NULL. False: out of memory. */
static bool copy_text(char **out, const char *text) {
	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

static int entry_new(
	struct tls_cache_entry **out, const struct peer_tls *tls, char error[TLS_ERROR_MAX]) {
	struct tls_client_options options = {
		.ca = tls->ca, .cert = tls->cert, .key = tls->key, .insecure = tls->insecure};
	struct tls_cache_entry *entry = calloc(1, sizeof(*entry));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if(!entry) {
		return -ENOMEM;
	}
	entry->insecure = tls->insecure;
	bool copied = copy_text(&entry->ca, tls->ca) && copy_text(&entry->cert, tls->cert) &&
		copy_text(&entry->key, tls->key);
	int result = copied ? tls_credentials_open_client(&entry->credentials, &options, error)
			    : -ENOMEM;
	if(result) {
		entry_free(entry);
		return result;
	}
	*out = entry;
	return 0;
}

static struct tls_cache_entry *find_entry(
	const struct tls_cache *cache, const struct peer_tls *tls) {
	for(struct list *at = cache->entries.next; at != &cache->entries; at = at->next) {
		struct tls_cache_entry *entry = container_of(at, struct tls_cache_entry, link);
		if(entry_serves(entry, tls)) {
			return entry;
		}
	}
	return NULL;
}

static void forget(struct tls_cache *cache, struct tls_cache_entry *entry) {
	list_remove(&entry->link);
	cache->count--;
	entry_free(entry);
}

void tls_cache_init(struct tls_cache *cache) {
	list_init(&cache->entries);
	cache->count = 0;
}

int tls_cache_find(struct tls_cache *cache, const struct peer_tls *tls,
	struct tls_credentials **out, char error[TLS_ERROR_MAX]) {
	struct tls_cache_entry *entry = find_entry(cache, tls);
	if(entry) {
		list_remove(&entry->link);
	} else {
		int result = entry_new(&entry, tls, error);
		if(result) {
			return result;
		}
		if(cache->count == TLS_CACHE_ENTRIES) {
			forget(cache,
				container_of(cache->entries.next, struct tls_cache_entry, link));
		}
		cache->count++;
	}
	list_append(&cache->entries, &entry->link);
	*out = tls_credentials_ref(entry->credentials);
	return 0;
}

int tls_cache_check(const struct peer_tls *tls, char error[TLS_ERROR_MAX]) {
	struct tls_cache_entry *entry;
	int result = entry_new(&entry, tls, error);
	if(result == 0) {
		entry_free(entry);
	}
	return result;
}

void tls_cache_clear(struct tls_cache *cache) {
	for(struct list *at = cache->entries.next; at != &cache->entries;) {
		struct tls_cache_entry *entry = container_of(at, struct tls_cache_entry, link);
		at = at->next;
		forget(cache, entry);
	}
}
