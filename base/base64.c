/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Base64: what lies between and behind the blocks.
 *
 * Must not know: where the bytes come from.
 * Invariants: between two calls at most three characters are held.
 * Implements RFC 4648, section 4.
 */
#include "base/base64.h"

#include "base/base64_block.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define GROUP 4 /* characters that stand for three bytes */

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* One group of up to three bytes. */
static void encode_group(uint8_t *out, const uint8_t *data, size_t len) {
	uint32_t bits = (uint32_t)data[0] << 16;
	bits |= len > 1 ? (uint32_t)data[1] << 8 : 0;
	bits |= len > 2 ? data[2] : 0;
	out[0] = (uint8_t)alphabet[bits >> 18];
	out[1] = (uint8_t)alphabet[bits >> 12 & 63];
	out[2] = len > 1 ? (uint8_t)alphabet[bits >> 6 & 63] : '=';
	out[3] = len > 2 ? (uint8_t)alphabet[bits & 63] : '=';
}

size_t base64_encode(uint8_t *out, const uint8_t *data, size_t len) {
	size_t at = base64_block_encode(out, data, len);
	uint8_t *end = out + at / 3 * GROUP;
	for(; at < len; at += 3, end += GROUP) {
		encode_group(end, data + at, len - at);
	}
	return (size_t)(end - out);
}

/* The value of a character, or -1. */
static int value_of(uint8_t c) {
	if(c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if(c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if(text_is_digit((char)c)) {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes the bytes of the group that is complete; their number. */
static size_t take_group(struct base64_decoder *decoder, uint8_t *out) {
	size_t len = 3u - decoder->padding;
	uint32_t bits = decoder->bits << 6 * decoder->padding;
	for(size_t i = 0; i < len; i++) {
		out[i] = (uint8_t)(bits >> (16 - 8 * i));
	}
	*decoder = (struct base64_decoder){.ended = decoder->padding > 0};
	return len;
}

/* Adds a character. False: it must not stand here. */
static bool add_character(struct base64_decoder *decoder, uint8_t c) {
	int value = value_of(c);
	if(decoder->ended || (value < 0 && (c != '=' || decoder->characters < 2)) ||
		(value >= 0 && decoder->padding > 0)) {
		return false;
	}
	decoder->characters++;
	if(value < 0) {
		decoder->padding++;
	} else {
		decoder->bits = decoder->bits << 6 | (uint32_t)value;
	}
	return true;
}

/*
 * Decodes up to `len` characters, but not behind the end of a group. Their number; 0: one is wrong.
 */
static size_t decode_group(
	struct base64_decoder *decoder, uint8_t **out, const uint8_t *text, size_t len) {
	size_t taken = 0;
	do {
		if(!add_character(decoder, text[taken])) {
			return 0;
		}
		taken++;
		if(decoder->characters == GROUP) {
			*out += take_group(decoder, *out);
		}
	} while(decoder->characters > 0 && taken < len);
	return taken;
}

ssize_t base64_decode(
	struct base64_decoder *decoder, uint8_t *out, const uint8_t *text, size_t len) {
	uint8_t *end = out;
	size_t at = 0;
	if(decoder->characters > 0 && len > 0) {
		at = decode_group(decoder, &end, text, len);
		if(at == 0) {
			return -EBADMSG;
		}
	}
	if(!decoder->ended) {
		size_t taken = base64_block_decode(end, text + at, len - at);
		end += taken / GROUP * 3;
		at += taken;
	}
	/* Less than a few blocks, or something is wrong, or padding, in the next one. */
	while(at < len) {
		size_t taken = decode_group(decoder, &end, text + at, len - at);
		if(taken == 0) {
			return -EBADMSG;
		}
		at += taken;
	}
	return end - out;
}

int base64_decode_end(struct base64_decoder *decoder) {
	int result = decoder->characters > 0 ? -EBADMSG : 0;
	*decoder = (struct base64_decoder){0};
	return result;
}
