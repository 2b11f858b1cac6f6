/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What load and peer say to each other through the bridge under test: requests, reports, and a byte
 * pattern in which every byte tells its place, so that loss, repetition and mixing up are seen.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_MAGIC UINT32_C(0x68636e62)

enum pattern_mode {
	PATTERN_ECHO = 1, /* `length` bytes follow and come back */
	PATTERN_SINK, /* `length` bytes of the pattern follow; a report answers them */
	PATTERN_SOURCE /* the peer sends `length` bytes of the pattern */
};

/* Load to peer. Both run on one machine: numbers travel as they lie in memory. */
struct pattern_request {
	uint32_t magic;
	uint32_t mode;
	uint64_t seed; /* which pattern: each connection has its own */
	uint64_t start; /* place of the first byte in it */
	uint64_t length;
};

/* Peer to load, after PATTERN_SINK. */
struct pattern_report {
	uint64_t start; /* of the request */
	uint64_t bytes; /* that arrived */
	uint64_t wrong; /* reads in which a byte was not the expected one */
};

/*
 * Writes `len` bytes of the pattern from place `at` on. They are masked as RFC 6455, 5.3 wants it
 * with `mask` (as it lies in memory, turned to the first byte); 0: not masked.
 */
void pattern_fill(uint8_t *out, size_t len, uint64_t seed, uint64_t at, uint32_t mask);

/* Are these the bytes from place `at` on? */
bool pattern_matches(const uint8_t *data, size_t len, uint64_t seed, uint64_t at);

/* `mask` for the byte that comes `bytes` later. */
uint32_t pattern_turn_mask(uint32_t mask, uint64_t bytes);
#endif
