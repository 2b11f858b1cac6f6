/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The byte pattern: 64-bit words, each a function of its index and the seed.
 *
 * Must not know: sockets, WebSocket.
 * Invariants: a byte depends on seed and place alone, however the stream is cut.
 * Implements the masking of RFC 6455, section 5.3.
 */
#include "pattern.h"

#include <string.h>

#define WORD sizeof(uint64_t)

static uint64_t word_at(uint64_t seed, uint64_t index) {
	return (index + seed) * UINT64_C(0x9E3779B97F4A7C15);
}

static uint8_t byte_at(uint64_t seed, uint64_t at) {
	uint64_t word = word_at(seed, at / WORD);
	uint8_t bytes[WORD];
	memcpy(bytes, &word, WORD);
	return bytes[at % WORD];
}

uint32_t pattern_turn_mask(uint32_t mask, uint64_t bytes) {
	uint8_t from[4];
	uint8_t to[4];
	memcpy(from, &mask, 4);
	for(size_t i = 0; i < 4; i++) {
		to[i] = from[(bytes + i) % 4];
	}
	memcpy(&mask, to, 4);
	return mask;
}

static void fill_bytes(uint8_t *out, size_t len, uint64_t seed, uint64_t at, uint32_t mask) {
	uint8_t key[4];
	memcpy(key, &mask, 4);
	for(size_t i = 0; i < len; i++) {
		out[i] = byte_at(seed, at + i) ^ key[i % 4];
	}
}

/* Bytes up to the next word of the pattern. */
static size_t bytes_to_word(uint64_t at, size_t len) {
	size_t head = (size_t)(-at % WORD);
	return head < len ? head : len;
}

void pattern_fill(uint8_t *out, size_t len, uint64_t seed, uint64_t at, uint32_t mask) {
	size_t head = bytes_to_word(at, len);
	fill_bytes(out, head, seed, at, mask);
	out += head;
	at += head;
	len -= head;
	mask = pattern_turn_mask(mask, head);
	uint64_t key = (uint64_t)mask << 32 | mask;
	uint64_t index = at / WORD;
	for(; len >= WORD; len -= WORD) {
		uint64_t word = word_at(seed, index++) ^ key;
		memcpy(out, &word, WORD);
		out += WORD;
	}
	fill_bytes(out, len, seed, index * WORD, mask);
}

static bool bytes_match(const uint8_t *data, size_t len, uint64_t seed, uint64_t at) {
	for(size_t i = 0; i < len; i++) {
		if(data[i] != byte_at(seed, at + i)) {
			return false;
		}
	}
	return true;
}

bool pattern_matches(const uint8_t *data, size_t len, uint64_t seed, uint64_t at) {
	size_t head = bytes_to_word(at, len);
	if(!bytes_match(data, head, seed, at)) {
		return false;
	}
	data += head;
	len -= head;
	uint64_t index = (at + head) / WORD;
	uint64_t differ = 0;
	for(; len >= WORD; len -= WORD) {
		uint64_t word;
		memcpy(&word, data, WORD);
		differ |= word ^ word_at(seed, index++);
		data += WORD;
	}
	return differ == 0 && bytes_match(data, len, seed, index * WORD);
}
