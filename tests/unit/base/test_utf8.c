/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The UTF-8 validator against a plain decoder: exhaustively for short texts, at every position
 * and in every neighbourhood for the vector code, and cut at every offset.
 */
#include "base/utf8.h"

#include "support.h"

enum text_class {
	TEXT_VALID,
	TEXT_CUT, /* ends inside a character that is valid so far */
	TEXT_INVALID
};

/* Values at which one of the rules changes its mind. */
static const uint8_t edges[] = {0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
	0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8,
	0xFF};
enum {
	EDGES = sizeof(edges)
};

/* The bytes of a character by its first byte, as the bit pattern says it; 0: cannot be first. */
static size_t oracle_length(uint8_t first) {
	return first < 0x80              ? 1
		: (first & 0xE0) == 0xC0 ? 2
		: (first & 0xF0) == 0xE0 ? 3
		: (first & 0xF8) == 0xF0 ? 4
					 : 0;
}

/* The code point that `have` bytes of a character of `need` bytes give, when the rest is `fill`. */
static uint32_t oracle_decode(const uint8_t *data, size_t have, size_t need, uint8_t fill) {
	static const uint8_t bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t point = data[0] & bits[need];
	for(size_t i = 1; i < need; i++) {
		point = point << 6 | ((i < have ? data[i] : fill) & 0x3Fu);
	}
	return point;
}

/* Looks at one character; `*taken` is its length if it is complete. */
static enum text_class oracle_character(const uint8_t *data, size_t len, size_t *taken) {
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t need = oracle_length(data[0]);
	size_t have = need < len ? need : len;
	for(size_t i = 1; i < have; i++) {
		if((data[i] & 0xC0) != 0x80) {
			return TEXT_INVALID;
		}
	}
	if(need == 0) {
		return TEXT_INVALID;
	}
	uint32_t low = oracle_decode(data, have, need, 0x80);
	uint32_t high = oracle_decode(data, have, need, 0xBF);
	if(high < smallest[need] || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF)) {
		return TEXT_INVALID;
	}
	*taken = need;
	return have == need ? TEXT_VALID : TEXT_CUT;
}

static enum text_class oracle(const uint8_t *data, size_t len, size_t *prefix) {
	*prefix = 0;
	while(*prefix < len) {
		size_t taken = 0;
		enum text_class class = oracle_character(data + *prefix, len - *prefix, &taken);
		if(class != TEXT_VALID) {
			return class;
		}
		*prefix += taken;
	}
	return TEXT_VALID;
}

static enum text_class classify(uint32_t state) {
	return state == UTF8_ACCEPT ? TEXT_VALID : state == UTF8_REJECT ? TEXT_INVALID : TEXT_CUT;
}

/* A failed comparison has to name its text. */
static void check_class(
	const char *what, uint32_t state, enum text_class class, const uint8_t *data, size_t len) {
	if(classify(state) == class) {
		return;
	}
	for(size_t i = 0; i < len; i++) {
		print_error("%02x ", data[i]);
	}
	fail_msg("%s: state %x, expected class %d", what, state, (int)class);
}

static void check_whole(const uint8_t *data, size_t len) {
	size_t prefix = 0;
	bool rest = false;
	enum text_class class = oracle(data, len, &prefix);
	check_class("whole", utf8_feed(UTF8_ACCEPT, data, len), class, data, len);
	assert_int_equal(utf8_valid(data, len), class == TEXT_VALID);
	assert_int_equal(utf8_prefix(data, len, &rest), prefix);
	assert_int_equal(rest, class == TEXT_CUT);
	assert_int_equal(utf8_prefix(data, len, NULL), prefix);
}

struct feeding {
	const uint8_t *data;
	uint32_t state;
};

static void feed(void *ctx, size_t offset, size_t length) {
	struct feeding *feeding = ctx;
	size_t prefix;
	feeding->state = utf8_feed(feeding->state, feeding->data + offset, length);
	/*
	 * Not only the end: each state on the way has to be the right one, and as early as can
	 * be.
	 */
	check_class("piece", feeding->state, oracle(feeding->data, offset + length, &prefix),
		feeding->data, offset + length);
}

static void check_all_ways(const uint8_t *data, size_t len) {
	check_whole(data, len);
	for(size_t way = 0; way < cut_ways(len); way++) {
		struct feeding feeding = {data, UTF8_ACCEPT};
		cut_feed(len, way, feed, &feeding);
	}
}

static void test_empty(void **state) {
	(void)state;
	struct guard guard = guard_new(NULL, 0);
	bool rest = true;
	assert_int_equal(utf8_feed(UTF8_ACCEPT, guard.data, 0), UTF8_ACCEPT);
	assert_int_equal(utf8_feed(UTF8_REJECT, guard.data, 0), UTF8_REJECT);
	assert_true(utf8_valid(guard.data, 0));
	assert_int_equal(utf8_prefix(guard.data, 0, &rest), 0);
	assert_false(rest);
	guard_free(&guard);
}

static void test_reject_stays(void **state) {
	(void)state;
	uint8_t text[200];
	memset(text, 'a', sizeof(text));
	for(size_t len = 0; len <= sizeof(text); len++) {
		assert_int_equal(utf8_feed(UTF8_REJECT, text, len), UTF8_REJECT);
	}
	for(unsigned byte = 0; byte < 256; byte++) {
		assert_int_equal(utf8_feed(UTF8_REJECT, &(uint8_t){(uint8_t)byte}, 1), UTF8_REJECT);
	}
}

static void test_short_texts(void **state) {
	(void)state;
	struct guard guard = guard_new(NULL, 3);
	for(unsigned pair = 0; pair < 65536; pair++) {
		guard.data[1] = (uint8_t)(pair >> 8);
		guard.data[2] = (uint8_t)pair;
		check_whole(guard.data + 2, 1);
		check_whole(guard.data + 1, 2);
		guard.data[0] = (uint8_t)(pair >> 8);
		guard.data[1] = (uint8_t)pair;
		for(size_t edge = 0; edge < EDGES; edge++) {
			guard.data[2] = edges[edge];
			check_whole(guard.data, 3);
		}
	}
	guard_free(&guard);
}

static void test_all_edges_of_four_bytes(void **state) {
	(void)state;
	struct guard guard = guard_new(NULL, 4);
	for(size_t i = 0; i < (size_t)EDGES * EDGES * EDGES * EDGES; i++) {
		size_t left = i;
		for(size_t byte = 0; byte < 4; byte++) {
			guard.data[byte] = edges[left % EDGES];
			left /= EDGES;
		}
		check_whole(guard.data, 4);
	}
	guard_free(&guard);
}

static size_t encode(uint32_t point, uint8_t out[4]) {
	static const uint8_t first[] = {0, 0, 0xC0, 0xE0, 0xF0};
	size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for(size_t i = len; i > 1; i--) {
		out[i - 1] = (uint8_t)(0x80 | (point & 0x3F));
		point >>= 6;
	}
	out[0] = (uint8_t)(first[len] | point);
	return len;
}

static void test_all_code_points(void **state) {
	(void)state;
	for(uint32_t point = 0; point < 0x110000; point++) {
		uint8_t text[4];
		size_t len = encode(point, text);
		bool surrogate = point >= 0xD800 && point <= 0xDFFF;
		assert_int_equal(utf8_valid(text, len), !surrogate);
		uint32_t at = UTF8_ACCEPT;
		for(size_t i = 0; i < len; i++) {
			at = utf8_feed(at, text + i, 1);
			if(i + 1 < len && !surrogate) {
				assert_int_equal(classify(at), TEXT_CUT);
			}
		}
		assert_int_equal(classify(at), surrogate ? TEXT_INVALID : TEXT_VALID);
	}
}

/* Characters and what looks like them, complete and cut, good and bad. */
static const char *const samples[] = {"a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
	"\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
	"\x80", "\xBF", "\xBF\xBF\xBF\xBF", "\xC0\xAF", "\xC1\xBF", "\xC2", "\xC2\xC2", "\xC2\xC0",
	"\xE0\x9F\xBF", "\xE0\x80\x80", "\xE1\x80", "\xE1", "\xE1\x80\xC0", "\xED\xA0\x80",
	"\xED\xBF\xBF", "\xEF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x90\x80",
	"\xF0\x90", "\xF0", "\xF1\x80\x80\xC0", "\xF1\x80\x80\x80\x80", "\xF4\x90\x80\x80",
	"\xF4\x8F", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE",
	"\xFF"};

static const char *const fillers[] = {
	"x", "\xD0\xBF", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "ab\xC3\xA4"};

/*
 * `sample` behind `before` characters of filler and in front of `after` ones, at the end of a
 * page.
 */
static void check_sample(
	struct guard *guard, const char *sample, const char *filler, size_t before, size_t after) {
	size_t unit = strlen(filler);
	size_t len = (before + after) * unit + strlen(sample);
	uint8_t *at = guard->data + 4096 - len;
	uint8_t *text = at;
	for(size_t i = 0; i < before + after; i++) {
		if(i == before) {
			memcpy(at, sample, strlen(sample));
			at += strlen(sample);
		}
		memcpy(at, filler, unit);
		at += unit;
	}
	if(after == 0) {
		memcpy(at, sample, strlen(sample));
	}
	check_whole(text, len);
}

static void test_samples_at_every_position(void **state) {
	(void)state;
	static const size_t afters[] = {0, 1, 2, 3, 15, 16, 17, 40, 64, 65};
	struct guard guard = guard_new(NULL, 4096);
	for(size_t sample = 0; sample < COUNT(samples); sample++) {
		for(size_t filler = 0; filler < COUNT(fillers); filler++) {
			for(size_t i = 0; i < 85 * COUNT(afters); i++) {
				check_sample(&guard, samples[sample], fillers[filler], i % 85,
					afters[i / 85]);
			}
		}
	}
	guard_free(&guard);
}

/* xorshift; the seed is fixed, so every run sees the same. */
static uint32_t next_random(uint32_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Mostly valid text of every mixture, now and then broken by a byte. */
static size_t random_text(uint32_t *seed, uint8_t *text, size_t cap) {
	size_t len = 0;
	uint32_t kinds = next_random(seed) % 15 + 1;
	while(len + 4 <= cap) {
		uint32_t point = next_random(seed) >> (32 - 20);
		uint32_t kind = next_random(seed) % 4;
		point &= kind == 0 ? 0x7Fu : kind == 1 ? 0x7FFu : kind == 2 ? 0xFFFFu : 0xFFFFFu;
		if((kinds >> kind & 1) && (point < 0xD800 || point > 0xDFFF)) {
			len += encode(point, text + len);
		}
	}
	if(next_random(seed) % 2) {
		text[next_random(seed) % len] = edges[next_random(seed) % EDGES];
	}
	return len;
}

static void test_random_texts(void **state) {
	(void)state;
	uint32_t seed = 2166136261;
	for(unsigned round = 0; round < 600; round++) {
		uint8_t text[220];
		size_t len = random_text(&seed, text, 4 + next_random(&seed) % (sizeof(text) - 4));
		struct guard guard = guard_new(text, len);
		check_all_ways(guard.data, len);
		guard_free(&guard);
	}
}

static void test_random_cuts(void **state) {
	(void)state;
	uint32_t seed = 16777619;
	static uint8_t text[5000];
	for(unsigned round = 0; round < 200; round++) {
		size_t len = random_text(&seed, text, sizeof(text));
		size_t prefix;
		uint32_t at = UTF8_ACCEPT;
		for(size_t done = 0; done < len;) {
			size_t piece = next_random(&seed) % 300;
			piece = piece < len - done ? piece : len - done;
			at = utf8_feed(at, text + done, piece);
			done += piece;
		}
		check_class("cuts", at, oracle(text, len, &prefix), text, len);
		check_whole(text, len);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_reject_stays),
		cmocka_unit_test(test_short_texts),
		cmocka_unit_test(test_all_edges_of_four_bytes),
		cmocka_unit_test(test_all_code_points),
		cmocka_unit_test(test_samples_at_every_position),
		cmocka_unit_test(test_random_texts),
		cmocka_unit_test(test_random_cuts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
