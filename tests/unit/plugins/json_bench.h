/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The framing function `json`, included as source, and streams that are fed to it whole, byte by
 * byte and cut at every offset, in memory that ends behind the NUL.
 */
#ifndef WEBSOCKSY_TESTS_JSON_BENCH_H
#define WEBSOCKSY_TESTS_JSON_BENCH_H
#include "support.h"

static bool fail_calloc;

static inline void *failing_calloc(size_t count, size_t size) {
	return fail_calloc ? NULL : calloc(count, size);
}

#define calloc failing_calloc
#include "plugins/json.c"
#include "plugins/common/json_steps.c"
#undef calloc

/* The oracle: RFC 8259 as a recursive parser that knows the whole text. */

struct oracle {
	const char *at, *end;
	unsigned depth;
};

static bool oracle_value(struct oracle *oracle);

static inline bool oracle_eat(struct oracle *oracle, const char *text) {
	size_t len = strlen(text);
	if((size_t)(oracle->end - oracle->at) < len || memcmp(oracle->at, text, len) != 0) {
		return false;
	}
	oracle->at += len;
	return true;
}

static inline void oracle_space(struct oracle *oracle) {
	while(oracle->at < oracle->end && *oracle->at && strchr(" \t\r\n", *oracle->at)) {
		oracle->at++;
	}
}

static inline bool oracle_one_of(struct oracle *oracle, const char *set) {
	if(oracle->at == oracle->end || !*oracle->at || !strchr(set, *oracle->at)) {
		return false;
	}
	oracle->at++;
	return true;
}

/* One character of UTF-8 by decoding it and asking whether that is its shortest form. */
static inline bool oracle_character(struct oracle *oracle) {
	static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
	uint8_t lead = (uint8_t)*oracle->at++;
	size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
	if((lead >= 0x80 && lead < 0xC0) || lead >= 0xF8) {
		return false;
	}
	uint32_t code = more ? lead & (0x3Fu >> more) : lead;
	for(size_t at = 0; at < more; at++) {
		if(oracle->at == oracle->end || ((uint8_t)*oracle->at & 0xC0) != 0x80) {
			return false;
		}
		code = code << 6 | ((uint8_t)*oracle->at++ & 0x3F);
	}
	return code >= smallest[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

static inline bool oracle_escape(struct oracle *oracle) {
	if(oracle_one_of(oracle, "\"\\/bfnrt")) {
		return true;
	}
	bool fine = oracle_eat(oracle, "u");
	for(int digit = 0; digit < 4; digit++) {
		fine = fine && oracle_one_of(oracle, "0123456789abcdefABCDEF");
	}
	return fine;
}

static inline bool oracle_string(struct oracle *oracle) {
	if(!oracle_eat(oracle, "\"")) {
		return false;
	}
	while(oracle->at < oracle->end && *oracle->at != '"') {
		if((uint8_t)*oracle->at < 0x20) {
			return false;
		}
		if(!(oracle_eat(oracle, "\\") ? oracle_escape(oracle) : oracle_character(oracle))) {
			return false;
		}
	}
	return oracle_eat(oracle, "\"");
}

static inline bool oracle_digits(struct oracle *oracle) {
	bool any = false;
	while(oracle_one_of(oracle, "0123456789")) {
		any = true;
	}
	return any;
}

static inline bool oracle_number(struct oracle *oracle) {
	oracle_eat(oracle, "-");
	if(!oracle_eat(oracle, "0") && !oracle_digits(oracle)) {
		return false;
	}
	if(oracle_eat(oracle, ".") && !oracle_digits(oracle)) {
		return false;
	}
	if(oracle_one_of(oracle, "eE")) {
		oracle_one_of(oracle, "+-");
		return oracle_digits(oracle);
	}
	return true;
}

static inline bool oracle_member(struct oracle *oracle, bool object) {
	if(object) {
		oracle_space(oracle);
		if(!oracle_string(oracle)) {
			return false;
		}
		oracle_space(oracle);
		if(!oracle_eat(oracle, ":")) {
			return false;
		}
	}
	return oracle_value(oracle);
}

static inline bool oracle_container(struct oracle *oracle, bool object) {
	const char *end = object ? "}" : "]";
	oracle_space(oracle);
	if(oracle_eat(oracle, end)) {
		return true;
	}
	do {
		if(!oracle_member(oracle, object)) {
			return false;
		}
	} while(oracle_eat(oracle, ","));
	return oracle_eat(oracle, end);
}

/* A value with the white space around it. */
static inline bool oracle_value(struct oracle *oracle) {
	bool fine;
	oracle_space(oracle);
	if(oracle_eat(oracle, "{") || oracle_eat(oracle, "[")) {
		fine = ++oracle->depth <= 512 && oracle_container(oracle, oracle->at[-1] == '{');
		oracle->depth--;
	} else if(oracle->at < oracle->end && *oracle->at == '"') {
		fine = oracle_string(oracle);
	} else {
		fine = oracle_eat(oracle, "true") || oracle_eat(oracle, "false") ||
			oracle_eat(oracle, "null") || oracle_number(oracle);
	}
	oracle_space(oracle);
	return fine;
}

static inline bool oracle_accepts(const void *text, size_t len) {
	struct oracle oracle = {.at = text, .end = (const char *)text + len};
	return oracle_value(&oracle) && oracle.at == oracle.end;
}

/*
 * The core's part: keeps what is left over and asks until the function wants more. Binary messages
 * next to each other are joined, since garbage goes out as it comes.
 */
struct outcome {
	char type; /* 'T' text, 'B' binary; 't' and 'b': what is left when the peer closes */
	size_t start, len;
};

struct session {
	const uint8_t *input;
	size_t fed, cut; /* bytes given to the function; bytes that it has cut off */
	bool scramble; /* destroy what was seen before: it must not be looked at again */
	void *framing_data;
	ws_operation opcode;
	size_t count;
	struct outcome *out;
};

static inline bool is_blank(const uint8_t *data, size_t len) {
	for(size_t at = 0; at < len; at++) {
		if(!json_is_space(data[at])) {
			return false;
		}
	}
	return true;
}

static inline void session_note(struct session *session, size_t len) {
	const uint8_t *data = session->input + session->cut;
	bool text = session->opcode == ws_frame_text;
	struct outcome *last = session->count ? &session->out[session->count - 1] : NULL;
	assert_true(text || session->opcode == ws_frame_binary);
	assert_false(is_blank(data, len));
	assert_true(!text || oracle_accepts(data, len));
	if(!text && last && last->type == 'B') {
		last->len += len;
	} else {
		char type = text ? 'T' : 'B';
		session->out[session->count++] = (struct outcome){type, session->cut, len};
	}
	session->cut += len;
}

/* One call: `fresh` bytes at the end are new. Returns whether a message was cut off. */
static inline bool session_call(struct session *session, size_t fresh) {
	size_t len = session->fed - session->cut;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, session->input + session->cut, len);
	guard.data[len] = 0;
	if(session->scramble) {
		memset(guard.data, '"', len - fresh);
	}
	session->opcode = ws_frame_binary;
	int64_t result =
		json_frame(guard.data, len, fresh, &session->opcode, &session->framing_data, "");
	guard_free(&guard);
	assert_true(result >= 0 && (size_t)result <= len);
	if(result > 0) {
		session_note(session, (size_t)result);
	}
	return result > 0;
}

static inline void session_feed(void *ctx, size_t offset, size_t length) {
	struct session *session = ctx;
	assert_int_equal(offset, session->fed);
	session->fed += length;
	size_t fresh = length;
	while(session->cut < session->fed && session_call(session, fresh)) {
		fresh = session->fed - session->cut;
	}
}

static inline struct session session_open(const void *input, size_t len) {
	struct session session = {.input = input, .out = calloc(len + 2, sizeof(struct outcome))};
	assert_non_null(session.out);
	return session;
}

/* The peer closes: what is left, unless it is white space, ends the list. */
static inline void session_end(struct session *session) {
	size_t len = session->fed - session->cut;
	const uint8_t *data = session->input + session->cut;
	if(!is_blank(data, len)) {
		bool text = session->opcode == ws_frame_text;
		assert_true(!text || oracle_accepts(data, len));
		session->out[session->count++] =
			(struct outcome){text ? 't' : 'b', session->cut, len};
	}
	if(session->framing_data) {
		assert_int_equal(
			json_frame(NULL, 0, 0, &session->opcode, &session->framing_data, ""), 0);
	}
	assert_null(session->framing_data);
}

static inline struct session session_run(const void *input, size_t len, size_t way, bool scramble) {
	struct session session = session_open(input, len);
	session.scramble = scramble;
	cut_feed(len, way, session_feed, &session);
	session_end(&session);
	return session;
}

/* The list as text: type, bytes without white space around them, '|', for each message. */
static inline char *session_text(const struct session *session) {
	char *text = calloc(1, session->fed + 3 * session->count + 1);
	char *to = text;
	assert_non_null(text);
	for(size_t at = 0; at < session->count; at++) {
		const uint8_t *data = session->input + session->out[at].start;
		size_t len = session->out[at].len;
		while(len > 0 && json_is_space(*data)) {
			data++;
			len--;
		}
		while(len > 0 && json_is_space(data[len - 1])) {
			len--;
		}
		*to++ = session->out[at].type;
		for(size_t byte = 0; byte < len; byte++) {
			*to++ = data[byte] ? (char)data[byte] : '@';
		}
		*to++ = '|';
	}
	return text;
}

static inline void check_way(const char *input, size_t len, size_t way, const char *expected) {
	for(int scramble = 0; scramble < 2; scramble++) {
		struct session session = session_run(input, len, way, scramble);
		char *text = session_text(&session);
		if(strcmp(text, expected) != 0) {
			print_error("input \"%s\", way %zu\n", input, way);
		}
		assert_string_equal(text, expected);
		free(text);
		free(session.out);
	}
}

static inline void check_stream(const char *input, size_t len, const char *expected) {
	for(size_t way = 0; way < cut_ways(len); way++) {
		check_way(input, len, way, expected);
	}
}
#endif
