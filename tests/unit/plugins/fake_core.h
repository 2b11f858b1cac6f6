/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The functions of the core for tests of plugins of API version 2, without a daemon: the test sets
 * the fields of a request, decides about streams, timers and lookups, and finds the answers.
 */
#ifndef WEBSOCKSY_TESTS_FAKE_CORE_H
#define WEBSOCKSY_TESTS_FAKE_CORE_H
#include "support.h"
#include "websocksy_plugin.h"

#include <errno.h>

#define FAKE_MAX 32 /* objects of each kind */
#define FAKE_TEXT 1024

enum fake_state {
	FAKE_WAITS,
	FAKE_ANSWERED,
	FAKE_REFUSED
};

/* A query, and what has become of it. */
struct fake_query {
	struct websocksy_query query; /* passed to the backend */
	const char *source[FAKE_MAX]; /* what find() knows */
	const char *value[FAKE_MAX];
	enum fake_state state;
	unsigned status; /* of a refusal */
	char text[FAKE_TEXT]; /* of a refusal; the peers of an answer, separated by blanks */
	struct websocksy_answer answer; /* without its texts */
	char cache_key[FAKE_TEXT];
	char session[FAKE_TEXT];
	char framing[FAKE_TEXT]; /* with its configuration behind a blank */
	char protocol[FAKE_TEXT];
	const char *const *field; /* header fields: names and values in turn, NULL behind them */
};

struct websocksy_stream {
	char address[FAKE_TEXT];
	websocksy_stream_fn *fn;
	void *ctx;
	char written[8 * FAKE_TEXT];
	size_t len;
	bool closed;
};

struct websocksy_timer {
	uint64_t ms;
	websocksy_timer_fn *fn; /* NULL: fired or stopped */
	void *ctx;
};

struct websocksy_lookup {
	char host[FAKE_TEXT];
	websocksy_lookup_fn *fn; /* NULL: answered or stopped */
	void *ctx;
};

static struct {
	struct websocksy_stream stream[FAKE_MAX];
	struct websocksy_timer timer[FAKE_MAX];
	struct websocksy_lookup lookup[FAKE_MAX];
	size_t streams;
	size_t timers;
	size_t lookups;
	ptrdiff_t memory; /* account() */
	const struct websocksy_option *option; /* of the backend, for their defaults; may be NULL */
	char given[FAKE_MAX][2][FAKE_TEXT]; /* names and values, see fake_option() */
	size_t options;
	char log[8 * FAKE_TEXT]; /* all lines */
	bool no_memory; /* functions that begin something return NULL */
} fake_core_state;

#define FAKE (fake_core_state)

static void __attribute__((format(printf, 3, 4))) fake_core_log(
	const struct websocksy_core *core, enum websocksy_level level, const char *format, ...) {
	size_t len = strlen(FAKE.log);
	va_list arguments;
	(void)core;
	(void)level;
	va_start(arguments, format);
	vsnprintf(FAKE.log + len, sizeof(FAKE.log) - len, format, arguments);
	va_end(arguments);
	len = strlen(FAKE.log);
	snprintf(FAKE.log + len, sizeof(FAKE.log) - len, "\n");
}

static int fake_core_account(const struct websocksy_core *core, ptrdiff_t bytes) {
	(void)core;
	FAKE.memory += bytes;
	return 0;
}

static const char *fake_core_find(struct websocksy_query *query, const char *source) {
	struct fake_query *fake = (struct fake_query *)query;
	for(size_t i = 0; i < FAKE_MAX && fake->source[i]; i++) {
		if(!strcmp(fake->source[i], source)) {
			return fake->value[i];
		}
	}
	return NULL;
}

static const char *fake_core_check_source(const char *source) {
	bool valid = strchr(source, ':') || !strcmp(source, "host") || !strcmp(source, "bearer");
	return valid ? NULL : "must be a source";
}

static const char *fake_core_check_address(const char *address) {
	return address[0] && !strchr(address, ' ') && strcmp(address, "tcp://bad") != 0
		? NULL
		: "must be an address";
}

static void fake_core_copy(char out[FAKE_TEXT], const char *text) {
	snprintf(out, FAKE_TEXT, "%s", text ? text : "");
}

static void fake_core_answer(struct websocksy_query *query, const struct websocksy_answer *answer) {
	struct fake_query *fake = (struct fake_query *)query;
	size_t len = 0;
	assert_int_equal(fake->state, FAKE_WAITS);
	assert_true(answer->peers > 0);
	fake->state = FAKE_ANSWERED;
	fake->answer = *answer;
	fake_core_copy(fake->cache_key, answer->cache_key);
	fake_core_copy(fake->session, answer->session);
	fake_core_copy(fake->protocol, answer->protocol);
	if(answer->framing) {
		snprintf(fake->framing, sizeof(fake->framing), "%s %s", answer->framing,
			answer->framing_config);
	}
	for(size_t i = 0; i < answer->peers; i++) {
		len += (size_t)snprintf(fake->text + len, sizeof(fake->text) - len, "%s%s",
			i > 0 ? " " : "", answer->peer[i]);
		assert_true(len < sizeof(fake->text));
	}
}

static void fake_core_refuse(struct websocksy_query *query, unsigned status, const char *text) {
	struct fake_query *fake = (struct fake_query *)query;
	assert_int_equal(fake->state, FAKE_WAITS);
	assert_true(status >= 400 && status <= 599);
	fake->state = FAKE_REFUSED;
	fake->status = status;
	fake_core_copy(fake->text, text);
}

static bool fake_core_cached(struct websocksy_query *query, const char *key) {
	(void)query;
	(void)key;
	return false;
}

static struct websocksy_timer *fake_core_timer(
	const struct websocksy_core *core, uint64_t ms, websocksy_timer_fn *fn, void *ctx) {
	(void)core;
	if(FAKE.no_memory) {
		return NULL;
	}
	assert_true(FAKE.timers < FAKE_MAX);
	FAKE.timer[FAKE.timers] = (struct websocksy_timer){ms, fn, ctx};
	return &FAKE.timer[FAKE.timers++];
}

static void fake_core_timer_stop(struct websocksy_timer *timer) {
	assert_non_null(timer->fn);
	timer->fn = NULL;
}

static struct websocksy_lookup *fake_core_lookup(
	const struct websocksy_core *core, const char *host, websocksy_lookup_fn *fn, void *ctx) {
	(void)core;
	if(FAKE.no_memory) {
		return NULL;
	}
	assert_true(FAKE.lookups < FAKE_MAX);
	struct websocksy_lookup *lookup = &FAKE.lookup[FAKE.lookups++];
	fake_core_copy(lookup->host, host);
	lookup->fn = fn;
	lookup->ctx = ctx;
	return lookup;
}

static void fake_core_lookup_stop(struct websocksy_lookup *lookup) {
	assert_non_null(lookup->fn);
	lookup->fn = NULL;
}

static struct websocksy_stream *fake_core_connect(const struct websocksy_core *core,
	const char *address, websocksy_stream_fn *fn, void *ctx) {
	(void)core;
	if(FAKE.no_memory) {
		return NULL;
	}
	assert_true(FAKE.streams < FAKE_MAX);
	struct websocksy_stream *stream = &FAKE.stream[FAKE.streams++];
	fake_core_copy(stream->address, address);
	stream->fn = fn;
	stream->ctx = ctx;
	return stream;
}

static int fake_core_write(struct websocksy_stream *stream, const void *data, size_t len) {
	assert_false(stream->closed);
	assert_true(len < sizeof(stream->written) - stream->len);
	memcpy(stream->written + stream->len, data, len);
	stream->len += len;
	return 0;
}

static void fake_core_close(struct websocksy_stream *stream) {
	assert_false(stream->closed);
	stream->closed = true;
}

/* watch and watch_stop are missing: a test that needs them sets them in a copy. */
static const char *fake_core_option(const struct websocksy_core *core, const char *name) {
	(void)core;
	for(size_t i = 0; i < FAKE.options; i++) {
		if(!strcmp(FAKE.given[i][0], name)) {
			return FAKE.given[i][1];
		}
	}
	for(const struct websocksy_option *row = FAKE.option; row && row->name; row++) {
		if(!strcmp(row->name, name)) {
			return row->value;
		}
	}
	return NULL;
}

static const char *fake_core_field(struct websocksy_query *query, size_t index, const char **name) {
	const char *const *field = ((struct fake_query *)query)->field;
	for(; field && field[0]; field += 2) {
		if(index-- == 0) {
			*name = field[0];
			return field[1];
		}
	}
	return NULL;
}

static const struct websocksy_core fake_core = {
	.size = sizeof(fake_core),
	.log = fake_core_log,
	.account = fake_core_account,
	.find = fake_core_find,
	.check_source = fake_core_check_source,
	.check_address = fake_core_check_address,
	.answer = fake_core_answer,
	.refuse = fake_core_refuse,
	.cached = fake_core_cached,
	.timer = fake_core_timer,
	.timer_stop = fake_core_timer_stop,
	.lookup = fake_core_lookup,
	.lookup_stop = fake_core_lookup_stop,
	.connect = fake_core_connect,
	.write = fake_core_write,
	.close = fake_core_close,
	.option = fake_core_option,
	.field = fake_core_field,
};

/* For the start of a test. */
static inline void fake_core_reset(void) {
	memset(&fake_core_state, 0, sizeof(fake_core_state));
}

/* A value that option() returns. */
static inline void fake_option(const char *name, const char *value) {
	size_t i = 0;
	while(i < FAKE.options && strcmp(FAKE.given[i][0], name) != 0) {
		i++;
	}
	assert_true(i < FAKE_MAX);
	fake_core_copy(FAKE.given[i][0], name);
	fake_core_copy(FAKE.given[i][1], value);
	FAKE.options += i == FAKE.options;
}

/* A field that find() knows. */
static inline void fake_set(struct fake_query *query, const char *source, const char *value) {
	size_t i = 0;
	while(query->source[i]) {
		i++;
	}
	assert_true(i < FAKE_MAX - 1);
	query->source[i] = source;
	query->value[i] = value;
}

/* ---- what happens ---- */

static inline void fake_connected(size_t stream) {
	struct websocksy_event event = {.kind = WEBSOCKSY_CONNECTED};
	assert_false(FAKE.stream[stream].closed);
	FAKE.stream[stream].fn(FAKE.stream[stream].ctx, &event);
}

/* The data ends at an unreadable page. */
static inline void fake_data(size_t stream, const void *data, size_t len) {
	struct guard guard = guard_new(data, len);
	struct websocksy_event event = {.kind = WEBSOCKSY_DATA, .data = guard.data, .len = len};
	assert_false(FAKE.stream[stream].closed);
	FAKE.stream[stream].fn(FAKE.stream[stream].ctx, &event);
	guard_free(&guard);
}

/* `error` NULL: the other side has closed. */
static inline void fake_end(size_t stream, const char *error) {
	struct websocksy_event event = {.kind = WEBSOCKSY_END, .error = error};
	assert_false(FAKE.stream[stream].closed);
	FAKE.stream[stream].fn(FAKE.stream[stream].ctx, &event);
}

static inline void fake_fire(size_t timer) {
	websocksy_timer_fn *fn = FAKE.timer[timer].fn;
	assert_non_null(fn);
	FAKE.timer[timer].fn = NULL;
	fn(FAKE.timer[timer].ctx);
}

/* `error` NULL: `count` addresses. */
static inline void fake_found(
	size_t lookup, const char *error, size_t count, const char *const *address) {
	struct websocksy_addresses addresses = {error, count, address};
	websocksy_lookup_fn *fn = FAKE.lookup[lookup].fn;
	assert_non_null(fn);
	FAKE.lookup[lookup].fn = NULL;
	fn(FAKE.lookup[lookup].ctx, &addresses);
}

/* For the end of a test: nothing has been left. */
static inline void fake_core_check(void) {
	for(size_t i = 0; i < FAKE.streams; i++) {
		assert_true(FAKE.stream[i].closed);
	}
	for(size_t i = 0; i < FAKE.timers; i++) {
		assert_null(FAKE.timer[i].fn);
	}
	for(size_t i = 0; i < FAKE.lookups; i++) {
		assert_null(FAKE.lookup[i].fn);
	}
	assert_int_equal(FAKE.memory, 0);
}
#endif
