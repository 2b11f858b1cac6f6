/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counters in shared memory.
 *
 * Each worker writes to a part of its own, and limits are compared with the sum of all parts. So
 * there is no lock that a dying worker could hold, and its counts are released by clearing its part.
 *
 * Must not know: what a connection is.
 * Invariants: only its worker writes to a part, and the supervisor when the worker has ended; an
 * address that has no place in the table of a worker is not counted, and so not limited.
 */
#include "service/shared.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define SHARED_WAYS 16 /* places for an address: a set of the table */
#define SHARED_SPARE 4 /* places in the table for each address: full sets are rare */

/*
 * An address and its connections. The key is a digest: a set that is shared by two addresses with
 * the same digest would need 2^32 of them.
 */
struct place {
	_Atomic uint64_t digest; /* 0: never used */
	_Atomic uint32_t count;
};

/* In a cache line of its own, as each is written by another processor. */
struct part {
	_Alignas(64) _Atomic size_t count;
	_Atomic size_t held;
	_Atomic size_t open; /* WebSocket connections */
	_Atomic uint64_t open_ms; /* when that has changed last */
	_Atomic uint64_t beat_ms;
	_Atomic bool has_addresses; /* there has been one */
	struct place *place; /* `sets` times SHARED_WAYS; the same address in all processes */
};

struct shared {
	size_t size; /* bytes of the mapping */
	size_t workers;
	size_t sets; /* a power of two */
	uint64_t digest_secret[2]; /* digests cannot be chosen by clients */
	uint8_t secret[SHARED_SECRET];
	struct tls_tickets tickets;
	_Atomic uint64_t last_id;
	struct part part[];
};

/* ---- the mapping ---- */

static size_t sets_for(size_t addresses) {
	size_t sets = 1;
	while(sets < addresses * SHARED_SPARE / SHARED_WAYS) {
		sets *= 2;
	}
	return sets;
}

/* Pages that no address has touched take no memory. */
int shared_open(struct shared **out, size_t workers, size_t addresses) {
	size_t sets = sets_for(addresses);
	size_t places = sets * SHARED_WAYS;
	size_t head = sizeof(struct shared) + workers * sizeof(struct part);
	head = (head + 63) / 64 * 64;
	size_t size = head + workers * places * sizeof(struct place);
	struct shared *shared = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if(shared == MAP_FAILED) {
		return -errno;
	}
	if(getentropy(shared->digest_secret, sizeof(shared->digest_secret)) < 0 ||
		getentropy(shared->secret, sizeof(shared->secret)) < 0) {
		int error = errno;
		munmap(shared, size);
		return -error;
	}
	shared->size = size;
	shared->workers = workers;
	shared->sets = sets;
	struct place *place = (struct place *)(void *)((char *)shared + head);
	for(size_t i = 0; i < workers; i++) {
		shared->part[i].place = place + i * places;
	}
	*out = shared;
	return 0;
}

void shared_close(struct shared *shared) {
	if(shared) {
		munmap(shared, shared->size);
	}
}

const uint8_t *shared_secret(const struct shared *shared) {
	return shared->secret;
}

struct tls_tickets *shared_tickets(struct shared *shared) {
	return &shared->tickets;
}

/* ---- connections ---- */

uint64_t shared_next_id(struct shared *shared) {
	return atomic_fetch_add(&shared->last_id, 1) + 1;
}

size_t shared_total(const struct shared *shared) {
	size_t total = 0;
	for(size_t i = 0; i < shared->workers; i++) {
		total += atomic_load(&shared->part[i].count);
	}
	return total;
}

bool shared_enter(struct shared *shared, size_t worker, size_t limit) {
	assert(worker < shared->workers);
	atomic_fetch_add(&shared->part[worker].count, 1);
	if(shared_total(shared) <= limit) {
		return true;
	}
	shared_leave(shared, worker);
	return false;
}

void shared_leave(struct shared *shared, size_t worker) {
	assert(atomic_load(&shared->part[worker].count) > 0);
	atomic_fetch_sub(&shared->part[worker].count, 1);
}

/* ---- addresses ---- */

/* The mixing function of SplitMix64, over both halves with a secret. */
static uint64_t mix(uint64_t value) {
	value ^= value >> 30;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	value ^= value >> 27;
	value *= UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* Never 0. */
static uint64_t digest_of(const struct shared *shared, struct shared_address address) {
	uint64_t first = mix(address.half[0] ^ shared->digest_secret[0]);
	return mix(first + (address.half[1] ^ shared->digest_secret[1])) | 1;
}

static struct place *set_of(const struct shared *shared, size_t worker, uint64_t digest) {
	size_t set = (size_t)(digest >> 32) & (shared->sets - 1);
	return shared->part[worker].place + set * SHARED_WAYS;
}

/* NULL: the worker has no connection of it, and mostly never had. */
static struct place *find_place(const struct shared *shared, size_t worker, uint64_t digest) {
	struct place *set = set_of(shared, worker, digest);
	for(size_t i = 0; i < SHARED_WAYS; i++) {
		if(atomic_load(&set[i].digest) == digest) {
			return &set[i];
		}
	}
	return NULL;
}

/* The place of the address, or one that is free. NULL: all are in use. */
static struct place *make_place(struct shared *shared, size_t worker, uint64_t digest) {
	struct place *place = find_place(shared, worker, digest);
	struct place *set = set_of(shared, worker, digest);
	for(size_t i = 0; i < SHARED_WAYS && !place; i++) {
		if(atomic_load(&set[i].count) == 0) {
			place = &set[i];
			atomic_store(&place->digest, digest);
		}
	}
	return place;
}

static size_t total_of(const struct shared *shared, uint64_t digest) {
	size_t total = 0;
	for(size_t i = 0; i < shared->workers; i++) {
		const struct place *place = find_place(shared, i, digest);
		total += place ? atomic_load(&place->count) : 0;
	}
	return total;
}

size_t shared_total_of_address(const struct shared *shared, struct shared_address address) {
	return total_of(shared, digest_of(shared, address));
}

bool shared_enter_address(
	struct shared *shared, size_t worker, struct shared_address address, size_t limit) {
	uint64_t digest = digest_of(shared, address);
	struct place *place = make_place(shared, worker, digest);
	if(!place) {
		return true;
	}
	atomic_store(&shared->part[worker].has_addresses, true);
	atomic_fetch_add(&place->count, 1);
	if(total_of(shared, digest) <= limit) {
		return true;
	}
	atomic_fetch_sub(&place->count, 1);
	return false;
}

void shared_leave_address(struct shared *shared, size_t worker, struct shared_address address) {
	struct place *place = find_place(shared, worker, digest_of(shared, address));
	if(place && atomic_load(&place->count) > 0) {
		atomic_fetch_sub(&place->count, 1);
	}
}

/* ---- memory, and the end of a worker ---- */

void shared_hold(struct shared *shared, size_t worker, size_t bytes) {
	atomic_store(&shared->part[worker].held, bytes);
}

size_t shared_held(const struct shared *shared) {
	size_t held = 0;
	for(size_t i = 0; i < shared->workers; i++) {
		held += atomic_load(&shared->part[i].held);
	}
	return held;
}

void shared_set_open(struct shared *shared, size_t worker, size_t count, uint64_t now_ms) {
	struct part *part = &shared->part[worker];
	atomic_store(&part->open_ms, now_ms);
	atomic_store(&part->open, count);
}

uint64_t shared_idle_since(const struct shared *shared, uint64_t now_ms) {
	uint64_t since_ms = 0;
	for(size_t i = 0; i < shared->workers; i++) {
		uint64_t open_ms = atomic_load(&shared->part[i].open_ms);
		if(atomic_load(&shared->part[i].open) > 0) {
			return now_ms;
		}
		since_ms = open_ms > since_ms ? open_ms : since_ms;
	}
	return since_ms;
}

void shared_beat(struct shared *shared, size_t worker, uint64_t now_ms) {
	atomic_store(&shared->part[worker].beat_ms, now_ms);
}

uint64_t shared_last_beat(const struct shared *shared, size_t worker) {
	return atomic_load(&shared->part[worker].beat_ms);
}

void shared_release(struct shared *shared, size_t worker, uint64_t now_ms) {
	struct part *part = &shared->part[worker];
	if(atomic_load(&part->open) > 0) {
		shared_set_open(shared, worker, 0, now_ms);
	}
	atomic_store(&part->count, 0);
	atomic_store(&part->held, 0);
	/* Otherwise its pages have never been touched. */
	if(atomic_load(&part->has_addresses)) {
		memset(part->place, 0, shared->sets * SHARED_WAYS * sizeof(struct place));
	}
}
