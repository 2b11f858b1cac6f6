/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parser against a simple one, with random streams of frames.
 */
#include "websocket/frames.h"

/* xorshift; the seed is fixed, so every run sees the same. */
static uint32_t next_random(uint32_t *seed) {
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* The plain parser that the codec is compared with. It has the whole stream and no hurry. */
struct oracle {
	const struct stream *in;
	size_t at;
	bool in_message;
	uint8_t type;
	uint32_t utf8;
	struct run out; /* for its writing functions only */
};

/* Do the bytes of a header that are there break a rule? */
static bool oracle_header_bad(const struct oracle *oracle, const uint8_t *header, size_t have) {
	if(have >= 1 && !first_allowed(header[0], oracle->in_message)) {
		return true;
	}
	if(have >= 2 && (header[1] < 0x80 || ((header[0] & 8) && header[1] > 0x80 + 125))) {
		return true;
	}
	if(have >= 4 && header[1] == 0xFE) {
		return header[2] == 0 && header[3] < 126;
	}
	if(have >= 3 && header[1] == 0xFF && header[2] >= 0x80) {
		return true;
	}
	if(have >= 8 && header[1] == 0xFF) {
		static const uint8_t zero[6];
		return memcmp(header + 2, zero, 6) == 0;
	}
	return false;
}

static void oracle_end(struct oracle *oracle, bool control, uint8_t first) {
	if(control) {
		put_event(&oracle->out, "]", 0);
	} else if(first & FIN) {
		put_event(&oracle->out, "|%d;", oracle->type);
		oracle->in_message = false;
	}
}

/* Payload byte by byte. False: bad, or the stream ended. */
static bool oracle_payload(
	struct oracle *oracle, uint8_t first, uint64_t len, const uint8_t *mask) {
	bool control = first & 8;
	for(uint64_t i = 0; i < len; i++) {
		if(oracle->at == oracle->in->len) {
			return false;
		}
		uint8_t byte = oracle->in->data[oracle->at++] ^ mask[i % 4];
		stream_add(&oracle->out.out, &byte, 1);
		if(!control && oracle->type == TEXT) {
			oracle->utf8 = utf8_feed(oracle->utf8, &byte, 1);
		}
	}
	return true;
}

static bool oracle_data(struct oracle *oracle, uint8_t first, uint64_t len, const uint8_t *mask) {
	struct run *out = &oracle->out;
	size_t kept = out->out.len;
	if(first & 15) {
		oracle->utf8 = UTF8_ACCEPT;
		oracle->type = first & 15;
	}
	oracle->in_message = true;
	bool complete = oracle_payload(oracle, first, len, mask);
	bool ends = complete && (first & FIN);
	if(oracle->type == TEXT &&
		(oracle->utf8 == UTF8_REJECT || (ends && oracle->utf8 != UTF8_ACCEPT))) {
		out->out.len = kept;
		put_event(out, "!%d", 1007);
		return false;
	}
	return complete;
}

/* One frame. False: the end, one way or the other. */
static bool oracle_frame(struct oracle *oracle) {
	const uint8_t *header = oracle->in->data + oracle->at;
	size_t have = oracle->in->len - oracle->at;
	struct run *out = &oracle->out;
	if(oracle_header_bad(oracle, header, have)) {
		put_event(out, "!%d", 1002);
		return false;
	}
	size_t form = have < 2 ? 0 : header[1] == 0xFE ? 2 : header[1] == 0xFF ? 8 : 0;
	if(have < 6 + form) {
		return false;
	}
	uint64_t len = form ? 0 : header[1] & 0x7F;
	for(size_t i = 0; i < form; i++) {
		len = len << 8 | header[2 + i];
	}
	oracle->at += 6 + form;
	bool control = header[0] & 8;
	if(control) {
		size_t kept = out->out.len;
		put_event(out, "[%d:", header[0] & 15);
		if(!oracle_payload(oracle, header[0], len, header + 2 + form)) {
			out->out.len = kept;
			return false;
		}
	} else if(!oracle_data(oracle, header[0], len, header + 2 + form)) {
		return false;
	}
	oracle_end(oracle, control, header[0]);
	return true;
}

static void add_random_frame(struct stream *in, uint32_t *seed, bool *in_message) {
	uint8_t payload[600];
	static const unsigned controls[] = {CLOSE, PING, PONG};
	uint32_t kind = next_random(seed) % 8;
	size_t len = next_random(seed) % (kind == 7 ? sizeof(payload) : 70);
	fill(payload, len, true);
	for(size_t i = 0; i + 2 < len && kind < 3; i += 2 + next_random(seed) % 20) {
		memcpy(payload + i, "\xC3\xA4", 2);
	}
	if(kind == 0) {
		add_frame(in, FIN | controls[next_random(seed) % 3], payload, len);
		return;
	}
	bool fin = next_random(seed) % 4 > 0;
	unsigned opcode = *in_message ? CONT : next_random(seed) % 2 ? TEXT : BINARY;
	add_frame(in, (fin ? FIN : 0) | opcode, payload, len);
	*in_message = !fin;
}

static void check_random_stream(uint32_t *seed) {
	struct stream in = {0};
	bool in_message = false;
	for(uint32_t frames = next_random(seed) % 12 + 1; frames > 0; frames--) {
		add_random_frame(&in, seed, &in_message);
	}
	if(next_random(seed) % 2) {
		in.data[next_random(seed) % in.len] ^= (uint8_t)(1 << next_random(seed) % 8);
	}
	struct oracle oracle = {.in = &in};
	while(oracle.at < in.len && oracle_frame(&oracle)) {
	}
	check_way(&in, true, oracle.out.out.data, oracle.out.out.len, 0);
	for(int i = 0; i < 20; i++) {
		struct run run = run_new(&in, true, i % 2);
		for(size_t at = 0; at < in.len;) {
			size_t piece = next_random(seed) % (i < 10 ? 12 : 200);
			piece = piece < in.len - at ? piece : in.len - at;
			feed(&run, at, piece);
			at += piece;
		}
		if(run.result != WEBSOCKET_BAD || run.parser.code != WEBSOCKET_CODE_INVALID_DATA) {
			check_out(&run, oracle.out.out.data, oracle.out.out.len, 1000);
		} else {
			assert_memory_equal(
				oracle.out.out.data + oracle.out.out.len - 5, "!1007", 5);
		}
		run_free(&run);
	}
	stream_free(&oracle.out.out);
	stream_free(&in);
}

static void test_random_streams(void **state) {
	(void)state;
	uint32_t seed = 2463534242;
	for(unsigned round = 0; round < 3000; round++) {
		check_random_stream(&seed);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_streams),
	};
	return cmocka_run_group_tests_name("websocket_random", tests, NULL, NULL);
}
