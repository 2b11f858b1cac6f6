/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Delays after failed logins.
 *
 * Must not know: passwords, hashes, the clock (callers pass the time).
 * Invariants: memory is fixed; only a computed hash adds an entry, so its cost bounds how fast
 * entries are displaced; a success does not excuse the failures of its address, or a valid account
 * would buy guesses for others.
 */
#include "http/login_limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <nettle/hmac.h>

#define LIMITS_SETS 1024
#define LIMITS_WAYS 4 /* places of a key */
#define LIMITS_EXCESS_MAX 7 /* failures above the free ones that are counted: 2^6 s are enough */

/* An address, or a user name from an address. */
struct entry {
	uint8_t key[LOGIN_LIMITS_KEY];
	uint64_t used_ms; /* last failure or success; 0 with an empty place */
	uint64_t next_ms; /* no verification before */
	uint64_t known_ms; /* until then: the user is known at the address */
	unsigned failures; /* at `used_ms` */
};

struct login_limits {
	uint8_t secret[SHA256_DIGEST_SIZE];
	struct entry entries[LIMITS_SETS][LIMITS_WAYS];
};

int login_limits_open(struct login_limits **out) {
	struct login_limits *limits = calloc(1, sizeof(*limits));
	if(!limits) {
		return -ENOMEM;
	}
	if(getentropy(limits->secret, sizeof(limits->secret)) < 0) {
		int error = errno;
		free(limits);
		return -error;
	}
	*out = limits;
	return 0;
}

void login_limits_close(struct login_limits *limits) {
	if(limits) {
		explicit_bzero(limits, sizeof(*limits));
		free(limits);
	}
}

/* ---- keys ---- */

/* `first` keeps the kinds of keys apart. */
static void make_key(const struct login_limits *limits, char first, const uint8_t *address,
	const char *user, uint8_t out[LOGIN_LIMITS_KEY]) {
	struct hmac_sha256_ctx hmac;
	hmac_sha256_set_key(&hmac, sizeof(limits->secret), limits->secret);
	hmac_sha256_update(&hmac, 1, (const uint8_t *)&first);
	hmac_sha256_update(&hmac, 8, address);
	hmac_sha256_update(&hmac, strlen(user), (const uint8_t *)user);
	hmac_sha256_digest(&hmac, LOGIN_LIMITS_KEY, out);
}

/* One customer has an IPv6 /64. IPv4 addresses are in a range that no /64 is in. */
static void address_prefix(const union address *from, uint8_t out[8]) {
	union address address = *from;
	size_t len;
	memset(out, 0, 8);
	address_unmap(&address);
	const uint8_t *bytes = address_bytes(&address, &len);
	memset(out, len == 4 ? 0xff : 0, 4);
	if(len == 4) {
		memcpy(out + 4, bytes, 4);
	} else if(len == 16) {
		memcpy(out, bytes, 8);
	}
}

void login_limits_identify(const struct login_limits *limits, const union address *address,
	const char *user, struct login_source *out) {
	static const uint8_t anywhere[8];
	uint8_t prefix[8];
	address_prefix(address, prefix);
	make_key(limits, 'a', prefix, "", out->address);
	make_key(limits, 'u', anywhere, user, out->user);
	make_key(limits, 'p', prefix, user, out->pair);
}

/* ---- the table ---- */

static size_t set_of(const uint8_t key[LOGIN_LIMITS_KEY]) {
	return (key[0] | (size_t)key[1] << 8) % LIMITS_SETS;
}

static const struct entry *find_entry(
	const struct login_limits *limits, const uint8_t key[LOGIN_LIMITS_KEY]) {
	const struct entry *set = limits->entries[set_of(key)];
	for(size_t i = 0; i < LIMITS_WAYS; i++) {
		if(memcmp(set[i].key, key, LOGIN_LIMITS_KEY) == 0) {
			return &set[i];
		}
	}
	return NULL;
}

/* The entry of the key, or a new one in the place that has not been used for longest. */
static struct entry *make_entry(
	struct login_limits *limits, const uint8_t key[LOGIN_LIMITS_KEY], uint64_t now_ms) {
	struct entry *set = limits->entries[set_of(key)];
	struct entry *place = &set[0];
	for(size_t i = 0; i < LIMITS_WAYS; i++) {
		if(memcmp(set[i].key, key, LOGIN_LIMITS_KEY) == 0) {
			return &set[i];
		}
		if(set[i].used_ms < place->used_ms) {
			place = &set[i];
		}
	}
	*place = (struct entry){.used_ms = now_ms};
	memcpy(place->key, key, LOGIN_LIMITS_KEY);
	return place;
}

/* ---- delays ---- */

static unsigned failures_left(const struct entry *entry, uint64_t now_ms) {
	uint64_t forgotten = (now_ms - entry->used_ms) / LOGIN_LIMITS_DECAY_MS;
	return forgotten < entry->failures ? entry->failures - (unsigned)forgotten : 0;
}

/* The delay after so many failures above the free ones. */
static uint64_t delay_after(unsigned excess) {
	uint64_t delay_ms = excess > 0 ? LOGIN_LIMITS_FIRST_MS : 0;
	for(unsigned i = 1; i < excess; i++) {
		delay_ms *= 2;
	}
	return delay_ms < LOGIN_LIMITS_LAST_MS ? delay_ms : LOGIN_LIMITS_LAST_MS;
}

static void add_failure(struct entry *entry, unsigned free_failures, uint64_t now_ms) {
	unsigned failures = failures_left(entry, now_ms) + 1;
	unsigned most = free_failures + LIMITS_EXCESS_MAX;
	entry->failures = failures < most ? failures : most;
	entry->next_ms = now_ms;
	if(failures > free_failures) {
		entry->next_ms += delay_after(entry->failures - free_failures);
	}
	entry->used_ms = now_ms;
}

static uint64_t remaining_ms(const struct entry *entry, uint64_t now_ms) {
	return entry && entry->next_ms > now_ms ? entry->next_ms - now_ms : 0;
}

bool login_limits_known(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	const struct entry *pair = find_entry(limits, source->pair);
	return pair && pair->known_ms > now_ms;
}

uint64_t login_limits_delay(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	uint64_t pair_ms = remaining_ms(find_entry(limits, source->pair), now_ms);
	if(login_limits_known(limits, source, now_ms)) {
		return pair_ms;
	}
	uint64_t address_ms = remaining_ms(find_entry(limits, source->address), now_ms);
	return pair_ms > address_ms ? pair_ms : address_ms;
}

void login_limits_failed(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	add_failure(make_entry(limits, source->address, now_ms), LOGIN_LIMITS_FREE_ADDRESS, now_ms);
	add_failure(make_entry(limits, source->pair, now_ms), LOGIN_LIMITS_FREE_USER, now_ms);
}

void login_limits_succeeded(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	struct entry *pair = make_entry(limits, source->pair, now_ms);
	pair->failures = 0;
	pair->next_ms = now_ms;
	pair->used_ms = now_ms;
	pair->known_ms = now_ms + LOGIN_LIMITS_KNOWN_MS;
}
