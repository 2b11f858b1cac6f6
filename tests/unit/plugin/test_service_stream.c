/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of plugins of API version 2 to a server, which is the test.
 */
#include "host_bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const struct websocksy_backend backend = {
	.size = sizeof(backend), .name = "scripted", .query = bench_query, .close = bench_closed};

static struct {
	int listener;
	char address[64];
	struct websocksy_stream *stream;
	enum websocksy_event_kind close_at; /* the stream is closed in its function then */
	bool closes;
	char events[64]; /* a letter for each event; data as it is */
	char error[256]; /* of the end */
} test;

static void add_event(const char *text, size_t len) {
	size_t at = strlen(test.events);
	assert_true(at + len < sizeof(test.events));
	memcpy(test.events + at, text, len);
	test.events[at + len] = '\0';
}

static void happens(void *ctx, const struct websocksy_event *event) {
	assert_ptr_equal(ctx, &test);
	if(event->kind == WEBSOCKSY_CONNECTED) {
		add_event("C", 1);
	} else if(event->kind == WEBSOCKSY_DATA) {
		add_event((const char *)event->data, event->len);
	} else {
		add_event("E", 1);
		snprintf(test.error, sizeof(test.error), "%s", event->error ? event->error : "");
	}
	if(test.closes && event->kind == test.close_at) {
		bench.core->close(test.stream);
		test.stream = NULL;
	}
	bench.loop.stop = true;
}

static int setup(void **unused) {
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	(void)unused;
	memset(&test, 0, sizeof(test));
	test.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(test.listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(test.listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(test.listener, 8), 0);
	snprintf(test.address, sizeof(test.address), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
	bench_open(&backend);
	return 0;
}

static int teardown(void **unused) {
	(void)unused;
	if(test.stream) {
		bench.core->close(test.stream);
	}
	close(test.listener);
	bench_close();
	return 0;
}

static void open_stream(const char *address) {
	test.stream = bench.core->connect(bench.core, address, happens, &test);
	assert_non_null(test.stream);
	assert_string_equal(test.events, ""); /* never from within */
}

/* Waits for events until there are those. */
static void expect(const char *events) {
	while(strlen(test.events) < strlen(events)) {
		bench_wait();
	}
	bench_turns(2);
	assert_string_equal(test.events, events);
}

static void test_exchange(void **unused) {
	char got[3];
	(void)unused;
	open_stream(test.address);
	assert_int_equal(bench.core->write(test.stream, "x", 1), -ENOTCONN);
	expect("C");
	int server = accept(test.listener, NULL, NULL);
	assert_int_equal(bench.core->write(test.stream, "abc", 3), 0);
	bench_turns(2);
	assert_int_equal(recv(server, got, sizeof(got), MSG_WAITALL), 3);
	assert_memory_equal(got, "abc", 3);
	assert_int_equal(send(server, "def", 3, 0), 3);
	expect("Cdef");
	close(server);
	expect("CdefE");
	assert_string_equal(test.error, "");
	assert_int_equal(bench.core->write(test.stream, "x", 1), 0); /* of no effect */
}

/* Closed by its function at any event: nothing follows. */
static void test_closed_by_its_function(void **unused) {
	static const struct {
		enum websocksy_event_kind at;
		const char *events;
	} cases[] = {{WEBSOCKSY_CONNECTED, "C"}, {WEBSOCKSY_DATA, "Cd"}, {WEBSOCKSY_END, "CdE"}};
	(void)unused;
	test.closes = true;
	for(size_t i = 0; i < COUNT(cases); i++) {
		test.close_at = cases[i].at;
		test.events[0] = '\0';
		open_stream(test.address);
		int server = accept(test.listener, NULL, NULL);
		assert_int_equal(send(server, "d", 1, 0), 1);
		close(server);
		expect(cases[i].events);
		bench_turns(3);
		assert_string_equal(test.events, cases[i].events);
		assert_null(test.stream);
	}
}

static void test_closed_before_it_is_connected(void **unused) {
	(void)unused;
	open_stream(test.address);
	bench.core->close(test.stream);
	test.stream = NULL;
	bench_turns(3);
	assert_string_equal(test.events, "");
}

static void test_refused(void **unused) {
	(void)unused;
	shutdown(test.listener, SHUT_RDWR);
	open_stream(test.address);
	expect("E");
	assert_string_not_equal(test.error, "");
}

/* Errors in the address come as an event. */
static void test_unusable_addresses(void **unused) {
	static const char *const cases[][2] = {
		{"tcp://127.0.0.1", "the port is missing"},
		{"udp://127.0.0.1:1", "must be the address of a server: tcp://, tls:// or unix://"},
		{"echo://", "must be the address of a server: tcp://, tls:// or unix://"},
		{"exec:///bin/true", "must be the address of a server: tcp://, tls:// or unix://"},
	};
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		test.events[0] = '\0';
		open_stream(cases[i][0]);
		expect("E");
		assert_string_equal(test.error, cases[i][1]);
		bench.core->close(test.stream);
		test.stream = NULL;
	}
}

/* The backlog of this address is full, so that it never connects. */
static void test_connect_timeout(void **unused) {
	(void)unused;
	bench.host.connect_timeout_ms = 1;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	assert_int_equal(getsockname(test.listener, (struct sockaddr *)&address, &len), 0);
	address.sin_port = 0;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	int first = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(first, (struct sockaddr *)&address, len), 0);
	snprintf(test.address, sizeof(test.address), "tcp://127.0.0.1:%u", ntohs(address.sin_port));
	open_stream(test.address);
	expect("E");
	assert_string_equal(test.error, "no connection in time (connect-timeout)");
	close(first);
	close(listener);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_by_its_function, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_closed_before_it_is_connected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unusable_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connect_timeout, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
