/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Delays after failed logins.
 *
 * Must not know: passwords, hashes, the clock (callers pass the time).
 * Invariants: memory is fixed; only a computed hash adds an entry, so its cost bounds how fast
 * entries are displaced; a success does not excuse the failures of its address, or a valid account
 * would buy guesses for others; a table is written by one process, and the version of an entry is odd
 * while it is.
 */
#include "http/login_limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* An entry of a table, which other processes may read while it is written. */
struct place {
	_Atomic uint32_t version;
	struct entry entry;
};

struct table {
	struct place place[LIMITS_SETS][LIMITS_WAYS];
};

struct login_limits {
	uint8_t secret[SHA256_DIGEST_SIZE];
	size_t size; /* bytes of the mapping */
	size_t tables;
	size_t own;
	struct table *table;
};

int login_limits_share(struct login_limits **out, size_t workers) {
	struct login_limits *limits = calloc(1, sizeof(*limits));
	if(!limits) {
		return -ENOMEM;
	}
	limits->tables = workers;
	limits->size = workers * sizeof(*limits->table);
	limits->table = mmap(NULL, limits->size, PROT_READ | PROT_WRITE,
		(workers > 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	if(limits->table == MAP_FAILED) {
		free(limits);
		return -ENOMEM;
	}
	if(getentropy(limits->secret, sizeof(limits->secret)) < 0) {
		int error = errno;
		login_limits_close(limits);
		return -error;
	}
	*out = limits;
	return 0;
}

int login_limits_open(struct login_limits **out) {
	return login_limits_share(out, 1);
}

void login_limits_own(struct login_limits *limits, size_t worker) {
	limits->own = worker;
}

/* The tables may be in use by other processes. */
void login_limits_close(struct login_limits *limits) {
	if(limits) {
		munmap(limits->table, limits->size);
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

/* Copies an entry. False: it is being written. */
static bool read_place(const struct place *place, struct entry *out) {
	uint32_t before = atomic_load_explicit(&place->version, memory_order_acquire);
	memcpy(out, &place->entry, sizeof(*out));
	atomic_thread_fence(memory_order_acquire);
	uint32_t after = atomic_load_explicit(&place->version, memory_order_relaxed);
	return before == after && before % 2 == 0;
}

static void write_place(struct place *place, const struct entry *entry) {
	/* A process that was killed meanwhile has left it odd. */
	uint32_t version = atomic_load_explicit(&place->version, memory_order_relaxed) | 1;
	atomic_store_explicit(&place->version, version, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(&place->entry, entry, sizeof(*entry));
	atomic_store_explicit(&place->version, version + 1, memory_order_release);
}

static bool find_entry(
	const struct table *table, const uint8_t key[LOGIN_LIMITS_KEY], struct entry *out) {
	const struct place *set = table->place[set_of(key)];
	for(size_t i = 0; i < LIMITS_WAYS; i++) {
		if(read_place(&set[i], out) && memcmp(out->key, key, LOGIN_LIMITS_KEY) == 0) {
			return true;
		}
	}
	return false;
}

/* The own place of the key, or else the one that has not been used for longest, with a new entry. */
static struct place *make_entry(struct login_limits *limits, const uint8_t key[LOGIN_LIMITS_KEY],
	uint64_t now_ms, struct entry *out) {
	struct place *set = limits->table[limits->own].place[set_of(key)];
	struct place *oldest = &set[0];
	for(size_t i = 0; i < LIMITS_WAYS; i++) {
		if(memcmp(set[i].entry.key, key, LOGIN_LIMITS_KEY) == 0) {
			*out = set[i].entry;
			return &set[i];
		}
		if(set[i].entry.used_ms < oldest->entry.used_ms) {
			oldest = &set[i];
		}
	}
	*out = (struct entry){.used_ms = now_ms};
	memcpy(out->key, key, LOGIN_LIMITS_KEY);
	return oldest;
}

/* ---- delays ---- */

static unsigned failures_left(const struct entry *entry, uint64_t now_ms) {
	/* The turn of another worker may have begun later. */
	uint64_t age_ms = now_ms > entry->used_ms ? now_ms - entry->used_ms : 0;
	uint64_t forgotten = age_ms / LOGIN_LIMITS_DECAY_MS;
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

/* What the tables of all workers know about a key. */
struct history {
	unsigned failures;
	uint64_t next_ms;
	uint64_t known_ms;
};

/* The failures before the last success do not count, whichever worker has seen it. */
static struct history history_of(
	const struct login_limits *limits, const uint8_t key[LOGIN_LIMITS_KEY], uint64_t now_ms) {
	struct history history = {0};
	struct entry entry;
	for(size_t i = 0; i < limits->tables; i++) {
		if(find_entry(&limits->table[i], key, &entry) &&
			entry.known_ms > history.known_ms) {
			history.known_ms = entry.known_ms;
		}
	}
	for(size_t i = 0; i < limits->tables; i++) {
		if(!find_entry(&limits->table[i], key, &entry) ||
			(entry.known_ms < history.known_ms &&
				entry.used_ms + LOGIN_LIMITS_KNOWN_MS <= history.known_ms)) {
			continue;
		}
		history.failures += failures_left(&entry, now_ms);
		if(entry.next_ms > history.next_ms) {
			history.next_ms = entry.next_ms;
		}
	}
	return history;
}

static void add_failure(struct login_limits *limits, const uint8_t key[LOGIN_LIMITS_KEY],
	unsigned free_failures, uint64_t now_ms) {
	struct entry entry;
	unsigned most = free_failures + LIMITS_EXCESS_MAX;
	unsigned before = history_of(limits, key, now_ms).failures;
	unsigned failures = before + 1 < most ? before + 1 : most;
	struct place *place = make_entry(limits, key, now_ms, &entry);
	unsigned own = failures_left(&entry, now_ms) + 1;
	entry.failures = own < most ? own : most;
	entry.next_ms = now_ms;
	if(failures > free_failures) {
		entry.next_ms += delay_after(failures - free_failures);
	}
	entry.used_ms = now_ms;
	write_place(place, &entry);
}

static uint64_t remaining_ms(const struct history *history, uint64_t now_ms) {
	return history->next_ms > now_ms ? history->next_ms - now_ms : 0;
}

bool login_limits_known(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	return history_of(limits, source->pair, now_ms).known_ms > now_ms;
}

uint64_t login_limits_delay(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	const struct history pair = history_of(limits, source->pair, now_ms);
	const struct history address = history_of(limits, source->address, now_ms);
	uint64_t pair_ms = remaining_ms(&pair, now_ms);
	uint64_t address_ms = remaining_ms(&address, now_ms);
	return pair.known_ms > now_ms || pair_ms > address_ms ? pair_ms : address_ms;
}

void login_limits_failed(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	add_failure(limits, source->address, LOGIN_LIMITS_FREE_ADDRESS, now_ms);
	add_failure(limits, source->pair, LOGIN_LIMITS_FREE_USER, now_ms);
}

void login_limits_succeeded(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms) {
	struct entry pair;
	struct place *place = make_entry(limits, source->pair, now_ms, &pair);
	pair.failures = 0;
	pair.next_ms = now_ms;
	pair.used_ms = now_ms;
	pair.known_ms = now_ms + LOGIN_LIMITS_KNOWN_MS;
	write_place(place, &pair);
}
