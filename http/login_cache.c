/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cache of verified credentials.
 *
 * Must not know: passwords (only keyed digests), the clock (callers pass the time).
 * Invariants: an entry that is used does not expire before LOGIN_CACHE_LAST_MS, none lives longer.
 */
#include "http/login_cache.h"

#include <string.h>

#include <nettle/memops.h>

bool login_cache_has(
	struct login_cache *cache, const uint8_t key[LOGIN_CACHE_KEY], uint64_t now_ms) {
	bool found = false;
	for(size_t i = 0; i < LOGIN_CACHE_MAX; i++) {
		uint64_t until_ms = now_ms + LOGIN_CACHE_MS;
		uint64_t last_ms = cache->entries[i].last_ms;
		if(cache->entries[i].until_ms > now_ms &&
			memeql_sec(cache->entries[i].key, key, LOGIN_CACHE_KEY)) {
			cache->entries[i].until_ms = until_ms < last_ms ? until_ms : last_ms;
			found = true;
		}
	}
	return found;
}

void login_cache_put(
	struct login_cache *cache, const uint8_t key[LOGIN_CACHE_KEY], uint64_t now_ms) {
	size_t place = 0;
	for(size_t i = 0; i < LOGIN_CACHE_MAX; i++) {
		if(memeql_sec(cache->entries[i].key, key, LOGIN_CACHE_KEY)) {
			place = i;
			break;
		}
		if(cache->entries[i].until_ms < cache->entries[place].until_ms) {
			place = i;
		}
	}
	memcpy(cache->entries[place].key, key, LOGIN_CACHE_KEY);
	cache->entries[place].until_ms = now_ms + LOGIN_CACHE_MS;
	cache->entries[place].last_ms = now_ms + LOGIN_CACHE_LAST_MS;
}
