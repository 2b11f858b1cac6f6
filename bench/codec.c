/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How fast the daemon unmasks, parses, validates and converts, without any system call: the figures of the
 * routines in docs/notes/measurements.md. Base64 is compared with a simple loop and with that of nettle.
 *
 *   codec
 *
 * Must not know: how the routines work. They are linked from the daemon's sources.
 * Each figure is the best of several rounds, in CPU time, so other work on the machine does little to it.
 * All of the data is in the caches, as it is when the kernel has just copied it.
 */
#include "../base/base64.h"
#include "../base/utf8.h"
#include "../websocket.h"

#include <nettle/base64.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CODEC_MEMORY (512 * 1024)
#define CODEC_ROUNDS 9
#define CODEC_BASE64_MIN                                                                           \
	2e9 /* bytes per second, for large messages; otherwise the exit status is 1 */
#define CODEC_BYTES (16 * 1024 * 1024) /* in one round */
#define CODEC_HEADER 6 /* of a masked frame, short form */
#define CODEC_READ (64 * 1024) /* frames of one read */

typedef void codec_fn(uint8_t *data, size_t len);

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Seconds that one call takes. */
static double measure(codec_fn *fn, uint8_t *data, size_t len) {
	size_t calls = CODEC_BYTES / (len + 64);
	double best = 1e9;
	for(int round = 0; round < CODEC_ROUNDS; round++) {
		double begin = seconds();
		for(size_t i = 0; i < calls; i++) {
			fn(data, len);
			/* Neither the call nor what it wrote may be left out. */
			__asm__ volatile("" ::: "memory");
		}
		double took = (seconds() - begin) / (double)calls;
		best = took < best ? took : best;
	}
	return best;
}

static void print_speed(const char *what, size_t len, double took) {
	printf("%-32s %7zu B  %8.1f ns  %7.2f GB/s\n", what, len, took * 1e9,
		(double)len / took * 1e-9);
}

/* Over a header of the size that such a payload has. */
static void move(uint8_t *data, size_t len) {
	memmove(data, data + CODEC_HEADER, len);
}

static void unmask(uint8_t *data, size_t len) {
	uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
	websocket_unmask(data, data + CODEC_HEADER, len, mask);
}

static void run_moves(uint8_t *data) {
	static const size_t sizes[] = {16, 64, 256, 1024, 4096, 65536, 262144};
	for(size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		print_speed("memmove", sizes[i], measure(move, data, sizes[i]));
		print_speed("unmask and move", sizes[i], measure(unmask, data, sizes[i]));
	}
}

/* Writes masked binary frames of `len` bytes as long as they fit into `cap`; returns their length. */
static size_t put_frames(uint8_t *data, size_t cap, size_t len, size_t *count) {
	size_t used = 0;
	*count = 0;
	while(cap - used >= len + WEBSOCKET_CLIENT_HEADER_MAX) {
		uint8_t *header = data + used;
		size_t size = websocket_put_header(header, true, WEBSOCKET_BINARY, len);
		header[1] |= 0x80; /* section 5.2: MASK */
		memset(header + size, 0x5A, 4);
		used += size + 4 + len;
		++*count;
	}
	return used;
}

static void run_frames(uint8_t *data, size_t len) {
	double best = 1e9;
	size_t count = 0;
	for(int round = 0; round < 200 * CODEC_ROUNDS; round++) {
		struct websocket_parser parser = {0};
		struct websocket_io io = {.in = data, .out = data};
		io.in_len = put_frames(data, CODEC_READ, len, &count);
		double begin = seconds();
		if(websocket_parse(&parser, &io) != WEBSOCKET_MORE) {
			abort();
		}
		double took = (seconds() - begin) / (double)count;
		best = took < best ? took : best;
	}
	print_speed("a frame, parsed and unmasked", len, best);
}

static void validate(uint8_t *data, size_t len) {
	if(!utf8_valid(data, len)) {
		abort();
	}
}

/* As many characters as fit. */
static void run_text(const char *what, const char *text, uint8_t *data, size_t cap) {
	size_t unit = strlen(text);
	size_t len = 0;
	for(; cap - len >= unit; len += unit) {
		memcpy(data + len, text, unit);
	}
	print_speed(what, len, measure(validate, data, len));
}

/* ---- base64: the data is the first half of the memory, the text the second ---- */

static uint8_t *codec_other(uint8_t *data) {
	return data + CODEC_MEMORY / 2;
}

static void simple_encode(uint8_t *data, size_t len) {
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *out = codec_other(data);
	for(size_t at = 0; at + 3 <= len; at += 3, out += 4) {
		uint32_t bits =
			(uint32_t)data[at] << 16 | (uint32_t)data[at + 1] << 8 | data[at + 2];
		out[0] = (uint8_t)letters[bits >> 18];
		out[1] = (uint8_t)letters[bits >> 12 & 63];
		out[2] = (uint8_t)letters[bits >> 6 & 63];
		out[3] = (uint8_t)letters[bits & 63];
	}
}

static int simple_value(uint8_t c) {
	if(c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if(c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if(c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void simple_decode(uint8_t *data, size_t len) {
	const uint8_t *text = codec_other(data);
	for(size_t at = 0; at + 3 <= len; at += 3, text += 4) {
		uint32_t bits = 0;
		for(size_t i = 0; i < 4; i++) {
			int value = simple_value(text[i]);
			if(value < 0) {
				abort();
			}
			bits = bits << 6 | (uint32_t)value;
		}
		data[at] = (uint8_t)(bits >> 16);
		data[at + 1] = (uint8_t)(bits >> 8);
		data[at + 2] = (uint8_t)bits;
	}
}

static void nettle_encode(uint8_t *data, size_t len) {
	base64_encode_raw((char *)codec_other(data), len, data);
}

static void nettle_decode(uint8_t *data, size_t len) {
	struct base64_decode_ctx ctx;
	size_t got;
	base64_decode_init(&ctx);
	if(!base64_decode_update(
		   &ctx, &got, data, BASE64_ENCODED_LEN(len), (const char *)codec_other(data))) {
		abort();
	}
}

static void own_encode(uint8_t *data, size_t len) {
	base64_encode(codec_other(data), data, len);
}

static void own_decode(uint8_t *data, size_t len) {
	struct base64_decoder decoder = {0};
	if(base64_decode(&decoder, data, codec_other(data), BASE64_ENCODED_LEN(len)) !=
		(ssize_t)len) {
		abort();
	}
}

/* Lengths are multiples of three, so that the simple loops have no rest. Is the own codec fast enough? */
static bool run_base64(uint8_t *data) {
	static const size_t sizes[] = {12, 63, 255, 1023, 4095, 49152};
	static const struct {
		const char *name;
		codec_fn *fn;
	} codecs[] = {
		{"base64 encode, a simple loop", simple_encode},
		{"base64 encode, nettle", nettle_encode},
		{"base64 encode", own_encode},
		{"base64 decode, a simple loop", simple_decode},
		{"base64 decode, nettle", nettle_decode},
		{"base64 decode", own_decode},
	};
	bool fast = true;
	for(size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
		for(size_t i = 0; i < sizes[size]; i++) {
			data[i] = (uint8_t)(i * i >> 3);
		}
		for(size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
			double took = measure(codecs[i].fn, data, sizes[size]);
			bool own = codecs[i].fn == own_encode || codecs[i].fn == own_decode;
			bool large = sizes[size] == sizes[sizeof(sizes) / sizeof(sizes[0]) - 1];
			print_speed(codecs[i].name, sizes[size], took);
			fast &= !own || !large || (double)sizes[size] / took >= CODEC_BASE64_MIN;
		}
	}
	return fast;
}

int main(void) {
	static const size_t frames[] = {16, 64, 125, 256, 1024, 4096};
	static const size_t texts[] = {20, 100, 1000, 65536};
	uint8_t *data = calloc(1, CODEC_MEMORY);
	if(!data) {
		return 1;
	}
	run_moves(data);
	for(size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		run_frames(data, frames[i]);
	}
	for(size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		run_text("UTF-8, ASCII alone", "x", data, texts[i]);
		run_text("UTF-8, two bytes each", "\xD0\x9F", data, texts[i]);
		run_text("UTF-8, of every length", "a\xC3\xA4\xE4\xB8\xAD\xF0\x9F\x98\x80", data,
			texts[i]);
	}
	bool fast = run_base64(data);
	if(!fast) {
		fprintf(stderr, "codec: base64 is slower than %.0f GB/s\n",
			CODEC_BASE64_MIN * 1e-9);
	}
	free(data);
	return fast ? 0 : 1;
}
