/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Queries to a backend of plugin API version 2: answered at once, later, or never.
 */
#include "builtins.h"
#include "host_bench.h"
#include "plugin/terms.h"

static const struct websocksy_backend backend = {.size = sizeof(backend),
	.name = "scripted",
	.query = bench_query,
	.cancel = bench_cancel,
	.close = bench_closed};

static struct backend_answer answer;
static struct websocksy_query *asked; /* the last one */
static unsigned told;
static char key[] = "key";

static void answered(void *ctx, struct backend_answer *theirs) {
	assert_ptr_equal(ctx, key);
	answer = *theirs;
	told++;
}

static int ask(struct pending **out) {
	static char tag[] = "Host";
	static char value[] = "a";
	static ws_http_header header[] = {{tag, value}};
	struct backend_request request = {.endpoint = malloc(8),
		.headers = COUNT(header),
		.header = header,
		.answered = answered,
		.ctx = key};
	assert_non_null(request.endpoint);
	strcpy(request.endpoint, "/a?x=1");
	request.memory = request.endpoint;
	answer = (struct backend_answer){0};
	told = 0;
	int result = pending_start(&bench.instance, &request, &answer, out);
	if(result == 0) {
		free(request.memory);
	}
	return result;
}

static void wait(struct websocksy_query *query) {
	asked = query;
}

static void answer_now(struct websocksy_query *query) {
	assert_ptr_equal(query->core, bench.core);
	const char *name;
	assert_string_equal(query->core->find(query, "query:x"), "1");
	assert_string_equal(query->core->field(query, 0, &name), "a");
	assert_string_equal(name, "Host");
	assert_null(query->core->field(query, 1, &name));
	assert_null(query->core->find(query, "protocols"));
	websocksy_answer_peer(query, "tcp://127.0.0.1:1");
}

static void refuse_now(struct websocksy_query *query) {
	query->core->refuse(query, 404, "no \"such\"\nthing");
}

static void test_answer_at_once(void **unused) {
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = answer_now;
	assert_int_equal(ask(&pending), 0);
	assert_string_equal(answer.peer.host, "tcp://127.0.0.1:1");
	assert_ptr_equal(answer.framing, framings_find("auto"));
	backend_answer_free(&answer);
	bench.ask = refuse_now;
	assert_int_equal(ask(&pending), 0);
	assert_null(answer.peer.host);
	assert_int_equal(answer.status, 404);
	assert_string_equal(answer.message, "no \"such\"?thing");
	bench_turns(2);
	assert_int_equal(told, 0);
	bench_close();
}

/* The core tells in a turn of its own, once. */
static void test_answer_later(void **unused) {
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = wait;
	assert_int_equal(ask(&pending), -EINPROGRESS);
	bench_turns(2);
	assert_int_equal(told, 0);
	answer_now(asked);
	assert_int_equal(told, 0);
	refuse_now(asked); /* a mistake, which has no effect */
	bench_turns(2);
	assert_int_equal(told, 1);
	assert_string_equal(answer.peer.host, "tcp://127.0.0.1:1");
	backend_answer_free(&answer);
	assert_int_equal(bench.cancelled, 0);
	bench_close();
}

static void test_cancel(void **unused) {
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = wait;
	assert_int_equal(ask(&pending), -EINPROGRESS);
	pending_cancel(pending);
	assert_int_equal(bench.cancelled, 1);
	/* Between the answer and its turn: the plugin is done with the query already. */
	assert_int_equal(ask(&pending), -EINPROGRESS);
	answer_now(asked);
	pending_cancel(pending);
	assert_int_equal(bench.cancelled, 1);
	bench_turns(2);
	assert_int_equal(told, 0);
	bench_close();
	assert_int_equal(bench.closed, 1);
}

/* Each of these is an answer that the core does not accept. */
static struct websocksy_answer invalid;

static void answer_invalid(struct websocksy_query *query) {
	query->core->answer(query, &invalid);
}

static void test_invalid_answers(void **unused) {
	static const char *const fine[] = {"tcp://127.0.0.1:1", NULL};
	static const char *const portless[] = {"tcp://127.0.0.1"};
	static const char *const garbage[] = {"tcp://127.0.0.1:1", "tcp://:x"};
	const struct {
		struct websocksy_answer answer;
		unsigned status;
	} cases[] = {
		{{.peers = 0, .peer = fine}, 502},
		{{.peers = 1, .peer = NULL}, 502},
		{{.peers = 2, .peer = fine}, 502},
		{{.peers = 2, .peer = garbage}, 502},
		{{.peers = 1, .peer = portless}, 502},
		{{.peers = 1, .peer = fine, .framing = "nosuch"}, 502},
		{{.peers = 1, .peer = fine, .protocol = "nosuch"}, 400},
		{{.peers = 1, .peer = portless, .port = "7"}, 0},
		{{.peers = 1, .peer = fine, .protocol = "", .framing = "binary"}, 0},
	};
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = answer_invalid;
	for(size_t i = 0; i < COUNT(cases); i++) {
		invalid = cases[i].answer;
		invalid.size = sizeof(invalid);
		assert_int_equal(ask(&pending), 0);
		assert_int_equal(answer.status, cases[i].status);
		assert_int_equal(answer.peer.host == NULL, cases[i].status != 0);
		backend_answer_free(&answer);
	}
	bench_close();
}

/* A plugin that was compiled when the structure ended earlier: what follows counts as zero. */
static void test_size_of_answers(void **unused) {
	static const char *const portless[] = {"tcp://127.0.0.1"};
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = answer_invalid;
	invalid = (struct websocksy_answer){.size = offsetof(struct websocksy_answer, port),
		.peers = 1,
		.peer = portless,
		.port = "7"};
	assert_int_equal(ask(&pending), 0);
	assert_int_equal(answer.status, 502);
	bench_close();
}

static const char *line;
static size_t line_len;

static void answer_line(struct websocksy_query *query) {
	websocksy_answer_line(query, line, line_len);
}

static void test_answers_that_are_lines(void **unused) {
	static const char peer[] = "tcp://127.0.0.1:1";
	static char large[WEBSOCKSY_ERROR_MAX + 1];
	const struct {
		const char *line;
		size_t len;
		bool fine;
	} cases[] = {
		{peer, sizeof(peer) - 1, true},
		{"tcp://127.0.0.1:1\nnext", sizeof(peer), true},
		{"tcp://127.0.0.1:1\r\n", sizeof(peer) + 1, true},
		{NULL, 0, false},
		{"\n", 1, false},
		{"\r\n", 2, false},
		{"\n\n", 2, false},
		{"tcp://127.0.0.1:1\n\n", sizeof(peer) + 1, false},
		{peer, sizeof(peer), false}, /* with a NUL */
		{large, sizeof(large), false},
	};
	struct pending *pending = NULL;
	(void)unused;
	memset(large, 'x', sizeof(large));
	bench_open(&backend);
	bench.ask = answer_line;
	for(size_t i = 0; i < COUNT(cases); i++) {
		line = cases[i].line;
		line_len = cases[i].len;
		assert_int_equal(ask(&pending), 0);
		assert_int_equal(answer.status, cases[i].fine ? 0 : 502);
		if(cases[i].fine) {
			assert_string_equal(answer.peer.host, peer);
		}
		backend_answer_free(&answer);
	}
	bench_close();
}

static unsigned lookups;

static void answer_cached(struct websocksy_query *query) {
	static const char *const peer[] = {"tcp://127.0.0.1:1"};
	const struct websocksy_answer kept = {.size = sizeof(kept),
		.peer = peer,
		.peers = 1,
		.session = "s",
		.cache_key = "token",
		.cache_ms = 600000};
	if(!query->core->cached(query, "token")) {
		query->core->answer(query, &kept);
		lookups++;
	}
}

static void test_cached_answers(void **unused) {
	struct pending *pending = NULL;
	(void)unused;
	bench_open(&backend);
	bench.ask = answer_cached;
	for(int i = 0; i < 3; i++) {
		assert_int_equal(ask(&pending), 0);
		assert_string_equal(answer.peer.host, "tcp://127.0.0.1:1");
		assert_string_equal(answer.terms->session, "s");
		backend_answer_free(&answer);
	}
	assert_int_equal(lookups, 1);
	bench_close();
}

static int setup(void **unused) {
	(void)unused;
	return builtins_register();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_at_once),
		cmocka_unit_test(test_answer_later),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_invalid_answers),
		cmocka_unit_test(test_size_of_answers),
		cmocka_unit_test(test_answers_that_are_lines),
		cmocka_unit_test(test_cached_answers),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
