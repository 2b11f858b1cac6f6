/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A framing of API version 2 between two lists of messages, as the core uses it: bytes of the peer
 * in any cut, in memory that ends at an unreadable page, and messages of the client in parts.
 */
#ifndef WEBSOCKSY_TESTS_FRAMING_BENCH_H
#define WEBSOCKSY_TESTS_FRAMING_BENCH_H
#include "support.h"
#include "websocksy_plugin.h"

#include "base/utf8.h"

#include <errno.h>

#define BENCH_MESSAGES 512

/* Bytes that grow. */
struct bytes {
	uint8_t *data;
	size_t len, cap;
};

struct item {
	enum websocksy_type type;
	uint8_t *data;
	size_t len;
};

struct items {
	struct item item[BENCH_MESSAGES];
	size_t count;
};

struct bench {
	struct websocksy_framing_stream stream;
	const uint8_t *input; /* of the peer */
	size_t fed, taken, unseen;
	const struct item *item; /* of the client */
	bool begun;
	struct items got;
	struct bytes sent;
	int64_t error; /* of decode(); with this, nothing more is fed */
	int encode_error;
};

static inline void bytes_add(struct bytes *bytes, const void *data, size_t len) {
	if(bytes->cap - bytes->len < len) {
		bytes->cap = 2 * (bytes->len + len);
		bytes->data = realloc(bytes->data, bytes->cap);
		assert_non_null(bytes->data);
	}
	if(len > 0) {
		memcpy(bytes->data + bytes->len, data, len);
	}
	bytes->len += len;
}

static inline void items_add(
	struct items *items, enum websocksy_type type, const void *data, size_t len) {
	assert_true(items->count < BENCH_MESSAGES);
	struct item *item = &items->item[items->count++];
	*item = (struct item){.type = type, .data = malloc(len + 1), .len = len};
	assert_non_null(item->data);
	if(len > 0) {
		memcpy(item->data, data, len);
	}
}

static inline void items_free(struct items *items) {
	while(items->count > 0) {
		free(items->item[--items->count].data);
	}
}

static inline void items_equal(const struct items *one, const struct items *other) {
	assert_int_equal(one->count, other->count);
	for(size_t i = 0; i < one->count; i++) {
		assert_int_equal(one->item[i].type, other->item[i].type);
		assert_int_equal(one->item[i].len, other->item[i].len);
		assert_memory_equal(one->item[i].data, other->item[i].data, one->item[i].len);
	}
}

static inline int bench_reserve(struct websocksy_output *output, size_t more) {
	output->cap = output->len + more;
	output->data = realloc(output->data, output->cap);
	return output->data ? 0 : -ENOMEM;
}

static inline struct bench *bench_open(
	const struct websocksy_framing *framing, const char *config) {
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	bench->stream = (struct websocksy_framing_stream){.framing = framing, .config = config};
	assert_null(framing->check(framing, config));
	if(framing->open) {
		assert_int_equal(framing->open(&bench->stream, NULL), 0);
	}
	return bench;
}

static inline void bench_close(struct bench *bench) {
	if(bench->stream.state) {
		bench->stream.framing->close(&bench->stream);
	}
	items_free(&bench->got);
	free(bench->sent.data);
	free(bench);
}

/* Text that is not UTF-8 is binary, as in the core. */
static inline void bench_keep(struct bench *bench, const struct websocksy_message *message,
	const uint8_t *data, size_t len) {
	const uint8_t *payload = message->data ? message->data : data;
	size_t payload_len = message->data ? message->len : len;
	bool text = message->type == WEBSOCKSY_TEXT && utf8_valid(payload, payload_len);
	if(message->type != WEBSOCKSY_DISCARD) {
		items_add(&bench->got, text ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY, payload,
			payload_len);
	}
}

/* One call of decode(). False: nothing was taken. */
static inline bool bench_decode(struct bench *bench, bool end, bool datagram) {
	struct websocksy_output room = {.reserve = bench_reserve};
	size_t len = bench->fed - bench->taken;
	struct guard guard = guard_new(NULL, len + 1);
	memcpy(guard.data, bench->input + bench->taken, len);
	struct websocksy_input input = {.data = guard.data,
		.len = len,
		.fresh = bench->unseen,
		.end = end,
		.datagram = datagram,
		.room = &room};
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	int64_t result = bench->stream.framing->decode(&bench->stream, &input, &message);
	assert_true(result <= (int64_t)len);
	size_t taken = result > 0 ? (size_t)result : 0;
	if(result < 0) {
		bench->error = result;
	} else if(taken > 0 || end) {
		bench_keep(bench, &message, guard.data, taken > 0 ? taken : len);
	}
	bench->taken += taken;
	bench->unseen = taken > 0 ? bench->fed - bench->taken : 0;
	free(room.data);
	guard_free(&guard);
	return taken > 0;
}

/* For cut_feed(). */
static inline void bench_feed(void *ctx, size_t offset, size_t length) {
	struct bench *bench = ctx;
	assert_int_equal(offset, bench->fed);
	bench->fed += length;
	bench->unseen += length;
	bool more = bench->error == 0;
	while(more && bench->taken < bench->fed) {
		more = bench_decode(bench, false, false);
	}
}

/* Feeds all bytes in one of the ways of cut_feed(), and then the end. */
static inline void bench_receive(struct bench *bench, const void *data, size_t len, size_t way) {
	bench->input = data;
	cut_feed(len, way, bench_feed, bench);
	if(bench->error == 0 && bench->taken < bench->fed) {
		bench_decode(bench, true, false);
	}
}

static inline void bench_datagram(struct bench *bench, const void *data, size_t len) {
	bench->input = data;
	bench->fed = bench->unseen = len;
	bench_decode(bench, true, true);
}

/* For cut_feed(). */
static inline void bench_part(void *ctx, size_t offset, size_t length) {
	struct bench *bench = ctx;
	const struct item *item = bench->item;
	struct websocksy_output output = {.reserve = bench_reserve};
	struct guard guard = guard_new(NULL, length);
	if(bench->encode_error) {
		guard_free(&guard);
		return;
	}
	if(length > 0) {
		memcpy(guard.data, item->data + offset, length);
	}
	struct websocksy_part part = {.data = guard.data,
		.len = length,
		.first = !bench->begun,
		.last = offset + length == item->len,
		.type = item->type,
		.total = bench->begun ? WEBSOCKSY_UNKNOWN : item->len};
	bench->begun = true;
	bench->encode_error = bench->stream.framing->encode(&bench->stream, &part, &output);
	if(bench->encode_error == 0) {
		bytes_add(&bench->sent, output.data, output.len);
	}
	free(output.data);
	guard_free(&guard);
}

static inline void bench_send(struct bench *bench, const struct item *item, size_t way) {
	bench->item = item;
	bench->begun = false;
	cut_feed(item->len, way, bench_part, bench);
}

/* ---- checks ---- */

/* `items` become exactly `bytes` and the other way round, however both are cut. */
static inline void check_both_ways(const struct websocksy_framing *framing, const char *config,
	const struct items *items, const struct bytes *bytes) {
	for(size_t way = 0; way < cut_ways(bytes->len); way++) {
		struct bench *bench = bench_open(framing, config);
		bench_receive(bench, bytes->data, bytes->len, way);
		assert_int_equal(bench->error, 0);
		items_equal(&bench->got, items);
		bench_close(bench);
	}
	size_t most = 1;
	for(size_t i = 0; i < items->count; i++) {
		size_t ways = cut_ways(items->item[i].len);
		most = most < ways ? ways : most;
	}
	for(size_t way = 0; way < most; way++) {
		struct bench *bench = bench_open(framing, config);
		for(size_t i = 0; i < items->count; i++) {
			const struct item *item = &items->item[i];
			bench_send(bench, item, way < cut_ways(item->len) ? way : 0);
			assert_int_equal(bench->encode_error, 0);
		}
		assert_int_equal(bench->sent.len, bytes->len);
		assert_memory_equal(bench->sent.data, bytes->data, bytes->len);
		bench_close(bench);
	}
}

/* The result of decode() for bytes that are followed by the end, in every cut. */
static inline void check_fails(const struct websocksy_framing *framing, const char *config,
	const void *data, size_t len, int64_t error) {
	for(size_t way = 0; way < cut_ways(len); way++) {
		struct bench *bench = bench_open(framing, config);
		bench_receive(bench, data, len, way);
		assert_int_equal(bench->error, error);
		bench_close(bench);
	}
}

/* The result of encode() for a message, in every cut. */
static inline void check_refuses(const struct websocksy_framing *framing, const char *config,
	const char *text, size_t len, int error) {
	struct items items = {0};
	items_add(&items, WEBSOCKSY_TEXT, text, len);
	for(size_t way = 0; way < cut_ways(len); way++) {
		struct bench *bench = bench_open(framing, config);
		bench_send(bench, &items.item[0], way);
		assert_int_equal(bench->encode_error, error);
		bench_close(bench);
	}
	items_free(&items);
}

/* A number below `limit` from a fixed sequence. */
static inline uint32_t random_below(uint32_t limit) {
	static uint64_t seed = 20261130;
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % limit);
}

/* decode(encode(x)) = x for messages that are sent and received in random cuts. */
static inline void check_round_trip(
	const struct websocksy_framing *framing, const char *config, const struct items *items) {
	struct bench *bench = bench_open(framing, config);
	for(size_t i = 0; i < items->count; i++) {
		const struct item *item = &items->item[i];
		bench_send(bench, item, random_below((uint32_t)cut_ways(item->len)));
		assert_int_equal(bench->encode_error, 0);
	}
	bench->input = bench->sent.data;
	for(size_t at = 0; at < bench->sent.len;) {
		size_t left = bench->sent.len - at;
		size_t piece = 1 + random_below(random_below(8) ? 70000 : 10);
		piece = piece < left ? piece : left;
		bench_feed(bench, at, piece);
		at += piece;
	}
	assert_int_equal(bench->error, 0);
	assert_int_equal(bench->taken, bench->fed);
	items_equal(&bench->got, items);
	bench_close(bench);
}

/* Random bytes (ASCII if it is text) of lengths around the borders of prefixes. */
static inline void random_items(struct items *items, size_t count, uint32_t longest) {
	static const uint32_t sizes[] = {0, 1, 2, 20, 127, 128, 129, 255, 256, 300, 16383, 16384,
		16385, 65535, 65536, 66000};
	static uint8_t data[66000];
	for(size_t i = 0; i < count; i++) {
		bool text = random_below(2);
		uint32_t size = sizes[random_below(COUNT(sizes))];
		size = size < longest ? size : random_below(longest + 1);
		for(uint32_t at = 0; at < size; at++) {
			data[at] = (uint8_t)random_below(text ? 128 : 256);
		}
		items_add(items, text ? WEBSOCKSY_TEXT : WEBSOCKSY_BINARY, data, size);
	}
}

/* What the configuration may be, and that each error has a text with `word`. */
static inline void check_configs(const struct websocksy_framing *framing, const char *const *good,
	const char *const (*bad)[2]) {
	for(; *good; good++) {
		assert_null(framing->check(framing, *good));
	}
	for(; (*bad)[0]; bad++) {
		const char *error = framing->check(framing, (*bad)[0]);
		assert_non_null(error);
		assert_non_null(strstr(error, (*bad)[1]));
	}
}
#endif
