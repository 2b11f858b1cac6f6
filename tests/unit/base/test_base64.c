/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Base64 against a plain codec: every length up to some blocks, every way to cut a text, every byte
 * at every position of a text.
 */
#include "base/base64.h"

#include "support.h"

#include <errno.h>

#define LENGTH_MAX 200 /* some blocks of every kind, and what is left */
#define TEXT_MAX (LENGTH_MAX * 2)

/* ---- the plain codec ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Bit by bit. */
static size_t plain_encode(uint8_t *out, const uint8_t *data, size_t len) {
	size_t used = 0;
	for(size_t bit = 0; bit < 8 * len; bit += 6) {
		unsigned value = 0;
		for(size_t i = bit; i < bit + 6; i++) {
			unsigned byte = i < 8 * len ? data[i / 8] : 0;
			value = value << 1 | (byte >> (7 - i % 8) & 1u);
		}
		out[used++] = (uint8_t)letters[value];
	}
	while(used % 4 != 0) {
		out[used++] = '=';
	}
	return used;
}

/* The number of bytes, or -1. */
static ssize_t plain_decode(uint8_t *out, const uint8_t *text, size_t len) {
	size_t body = len;
	if(len % 4 != 0) {
		return -1;
	}
	while(body > 0 && len - body < 2 && text[body - 1] == '=') {
		body--;
	}
	memset(out, 0, body);
	for(size_t i = 0; i < body; i++) {
		const char *at = text[i] ? strchr(letters, text[i]) : NULL;
		if(!at) {
			return -1;
		}
		for(size_t bit = 0; bit < 6; bit++) {
			size_t to = 6 * i + bit;
			unsigned set = (unsigned)(at - letters) >> (5 - bit) & 1u;
			out[to / 8] = (uint8_t)(out[to / 8] | set << (7 - to % 8));
		}
	}
	return (ssize_t)(body * 6 / 8);
}

/* ---- helpers ---- */

static uint64_t random_state = 88172645463325252u;

static uint8_t random_byte(void) {
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint8_t)(random_state >> 32);
}

/* All values of six bits, in an order of their own for each `seed`. */
static void fill(uint8_t *data, size_t len, unsigned seed) {
	for(size_t i = 0; i < len; i++) {
		data[i] = seed == 0 ? 0 : seed == 1 ? 0xff : random_byte();
	}
}

struct decoding {
	struct base64_decoder decoder;
	const uint8_t *text;
	uint8_t out[TEXT_MAX];
	size_t len;
	bool bad;
};

static void decode_part(void *ctx, size_t offset, size_t length) {
	struct decoding *decoding = ctx;
	ssize_t got = decoding->bad
		? -EBADMSG
		: base64_decode(&decoding->decoder, decoding->out + decoding->len,
			  decoding->text + offset, length);
	if(got < 0) {
		assert_int_equal(got, -EBADMSG);
		decoding->bad = true;
		return;
	}
	assert_true((size_t)got <= BASE64_DECODED_MAX(length));
	assert_true(decoding->decoder.characters < 4);
	decoding->len += (size_t)got;
}

/* The number of bytes in decoding->out, or -1. */
static ssize_t decode(struct decoding *decoding, const uint8_t *text, size_t len, size_t way) {
	memset(decoding, 0, sizeof(*decoding));
	decoding->text = text;
	cut_feed(len, way, decode_part, decoding);
	int result = base64_decode_end(&decoding->decoder);
	return decoding->bad || result ? -1 : (ssize_t)decoding->len;
}

/* ---- tests ---- */

static void encodes_like_the_plain_codec(void **state) {
	(void)state;
	for(size_t len = 0; len <= LENGTH_MAX; len++) {
		for(unsigned seed = 0; seed < 4; seed++) {
			uint8_t data[LENGTH_MAX] = {0};
			uint8_t expected[TEXT_MAX];
			fill(data, len, seed);
			struct guard in = guard_new(data, len);
			struct guard out = guard_new(NULL, BASE64_ENCODED_LEN(len));
			size_t text = plain_encode(expected, data, len);
			assert_int_equal(text, BASE64_ENCODED_LEN(len));
			assert_int_equal(base64_encode(out.data, in.data, len), text);
			assert_memory_equal(out.data, expected, text);
			guard_free(&in);
			guard_free(&out);
		}
	}
}

static void decodes_inside_its_buffers(void **state) {
	(void)state;
	for(size_t len = 0; len <= LENGTH_MAX; len++) {
		for(size_t held = 0; held < 4 && held <= len; held++) {
			uint8_t data[LENGTH_MAX] = {0};
			uint8_t text[TEXT_MAX];
			struct decoding decoding = {.text = text};
			fill(data, len, 2);
			size_t rest = base64_encode(text, data, len) - held;
			decode_part(&decoding, 0, held);
			struct guard in = guard_new(text + held, rest);
			struct guard out = guard_new(NULL, BASE64_DECODED_MAX(rest));
			assert_int_equal(
				base64_decode(&decoding.decoder, out.data, in.data, rest), len);
			assert_memory_equal(out.data, data, len);
			guard_free(&in);
			guard_free(&out);
		}
	}
}

static void decodes_what_it_encodes_however_it_is_cut(void **state) {
	struct decoding decoding;
	(void)state;
	for(size_t len = 0; len <= LENGTH_MAX; len += len < 64 ? 1 : 17) {
		uint8_t data[LENGTH_MAX] = {0};
		uint8_t text[TEXT_MAX];
		fill(data, len, 2);
		size_t text_len = base64_encode(text, data, len);
		for(size_t way = 0; way < cut_ways(text_len); way++) {
			assert_int_equal(decode(&decoding, text, text_len, way), len);
			assert_memory_equal(decoding.out, data, len);
		}
	}
}

static void decodes_three_parts(void **state) {
	uint8_t data[40];
	uint8_t text[TEXT_MAX];
	(void)state;
	fill(data, sizeof(data), 2);
	size_t len = base64_encode(text, data, sizeof(data));
	for(size_t first = 0; first <= len; first++) {
		for(size_t second = first; second <= len; second++) {
			struct decoding decoding = {.text = text};
			decode_part(&decoding, 0, first);
			decode_part(&decoding, first, second - first);
			decode_part(&decoding, second, len - second);
			assert_false(decoding.bad);
			assert_int_equal(base64_decode_end(&decoding.decoder), 0);
			assert_int_equal(decoding.len, sizeof(data));
			assert_memory_equal(decoding.out, data, sizeof(data));
		}
	}
}

/* Every byte at every position, for a text of which blocks are made and for a short one. */
static void tells_every_byte(void **state) {
	static const size_t lengths[] = {1, 2, 3, 5, 39, 40, 96};
	struct decoding decoding;
	uint8_t expected[TEXT_MAX];
	uint8_t text[TEXT_MAX];
	(void)state;
	for(size_t i = 0; i < COUNT(lengths); i++) {
		uint8_t data[LENGTH_MAX] = {0};
		fill(data, lengths[i], 2);
		size_t len = base64_encode(text, data, lengths[i]);
		for(size_t at = 0; at < len; at++) {
			uint8_t kept = text[at];
			for(unsigned byte = 0; byte < 256; byte++) {
				text[at] = (uint8_t)byte;
				ssize_t right = plain_decode(expected, text, len);
				assert_int_equal(decode(&decoding, text, len, 0), right);
				assert_memory_equal(
					decoding.out, expected, right > 0 ? (size_t)right : 0);
			}
			text[at] = kept;
		}
	}
}

static void refuses_what_is_not_base64(void **state) {
	static const char *const texts[] = {"A", "AA", "AAA", "=", "A=", "A===", "====", "AA=A",
		"AA==A", "AA==AA==", "AAA=AAAA", "AAAA=", "AAAA====", "AA AA", "AAAA\n", "AA-_",
		"AA\xc3\xa9"};
	struct decoding decoding;
	(void)state;
	for(size_t i = 0; i < COUNT(texts); i++) {
		size_t len = strlen(texts[i]);
		for(size_t way = 0; way < cut_ways(len); way++) {
			assert_int_equal(
				decode(&decoding, (const uint8_t *)texts[i], len, way), -1);
		}
	}
}

/* The last character of "QQ==" has four bits that stand for nothing. */
static void ignores_bits_that_belong_to_no_byte(void **state) {
	static const char *const texts[] = {"QQ==", "QR==", "Qf=="};
	struct decoding decoding;
	(void)state;
	for(size_t i = 0; i < COUNT(texts); i++) {
		assert_int_equal(decode(&decoding, (const uint8_t *)texts[i], 4, 0), 1);
		assert_int_equal(decoding.out[0], 'A');
	}
}

static void another_text_may_follow_the_end_of_one(void **state) {
	struct base64_decoder decoder = {0};
	uint8_t out[8];
	(void)state;
	assert_int_equal(base64_decode(&decoder, out, (const uint8_t *)"QQ==", 4), 1);
	assert_int_equal(base64_decode_end(&decoder), 0);
	assert_int_equal(base64_decode(&decoder, out, (const uint8_t *)"QkM", 3), 0);
	assert_int_equal(base64_decode_end(&decoder), -EBADMSG);
	assert_int_equal(base64_decode(&decoder, out, (const uint8_t *)"QkM=", 4), 2);
	assert_int_equal(base64_decode_end(&decoder), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_like_the_plain_codec),
		cmocka_unit_test(decodes_inside_its_buffers),
		cmocka_unit_test(decodes_what_it_encodes_however_it_is_cut),
		cmocka_unit_test(decodes_three_parts),
		cmocka_unit_test(tells_every_byte),
		cmocka_unit_test(refuses_what_is_not_base64),
		cmocka_unit_test(ignores_bits_that_belong_to_no_byte),
		cmocka_unit_test(another_text_may_follow_the_end_of_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
