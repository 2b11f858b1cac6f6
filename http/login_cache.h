/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials that have been verified, so that their hash need not be computed for each request.
 */
#ifndef WEBSOCKSY_LOGIN_CACHE_H
#define WEBSOCKSY_LOGIN_CACHE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGIN_CACHE_KEY 32 /* bytes of a keyed digest of user and password */
#define LOGIN_CACHE_MAX 256 /* entries */
#define LOGIN_CACHE_MS 60000 /* their lifetime after the last use */
#define LOGIN_CACHE_LAST_MS (3600 * 1000) /* and after the verification */

/* Zero is the empty cache. */
struct login_cache {
	struct {
		uint64_t until_ms; /* 0: empty */
		uint64_t last_ms; /* use does not extend it further */
		uint8_t key[LOGIN_CACHE_KEY];
	} entries[LOGIN_CACHE_MAX];
};

/* Is there an entry? Use renews it. Takes the same time wherever it is. */
bool login_cache_has(
	struct login_cache *cache, const uint8_t key[LOGIN_CACHE_KEY], uint64_t now_ms);

/* Replaces the entry with the same key, or the one that expires first. */
void login_cache_put(
	struct login_cache *cache, const uint8_t key[LOGIN_CACHE_KEY], uint64_t now_ms);
#endif
