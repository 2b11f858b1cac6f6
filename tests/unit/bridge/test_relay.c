/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The open connection over two socket pairs: both directions, pausing and resuming, deadlines, and
 * the ways in which it ends. The kernel's buffers of a socket pair are small, so a few hundred
 * kilobytes are a backlog.
 */
#include "bench.h"
#include "bridge/closing.h"
#include "bridge/relay.h"
#include "plugin.h"

#define BLOCK (32 * 1024)
#define TEXT 1
#define BINARY 2
#define CLOSE 8
#define PING 9

static void open_relay(struct bench *bench, const char *framing) {
	int fds[2];
	bench_open(bench);
	struct connection *c = bench->connection;
	bench_pair(fds);
	bench->peer = fds[0];
	assert_int_equal(stream_open(&c->peer, &bench->loop, fds[1], &stream_unix_ops,
				 connection_peer_event),
		0);
	assert_int_equal(framing_open(&c->to_client.framing, framings_find(framing), NULL, NULL), 0);
	assert_int_equal(connection_name_peer(c, "the peer"), 0);
	c->phase = CONNECTION_QUERY; /* as after a handshake */
	relay_open(c, NULL, 0);
	assert_int_equal(bench_phase(bench), CONNECTION_OPEN);
}

static void send_frame(struct bench *bench, uint8_t opcode, const void *payload, size_t len) {
	uint8_t frame[BLOCK + 14];
	bench_send(bench->client, frame, bench_frame(frame, opcode, payload, len));
}

/* The client sends blocks until the kernel takes no more. How many bytes of payload that were. */
static size_t fill_from_client(struct bench *bench) {
	static const uint8_t block[BLOCK];
	uint8_t frame[BLOCK + 14];
	size_t len = bench_frame(frame, BINARY, block, BLOCK);
	size_t sent = 0;
	for(int idle = 0; idle < 3;) {
		ssize_t got =
			send(bench->client, frame + sent % len, len - sent % len, MSG_NOSIGNAL);
		idle = got > 0 ? 0 : idle + 1;
		sent += got > 0 ? (size_t)got : 0;
		bench_run(bench, 1);
	}
	return sent / len * BLOCK + (sent % len > 8 ? sent % len - 8 : 0);
}

/* The peer sends until the kernel takes no more. */
static size_t fill_from_peer(struct bench *bench) {
	static const uint8_t block[BLOCK];
	size_t sent = 0;
	for(int idle = 0; idle < 3;) {
		ssize_t got = send(bench->peer, block, BLOCK, MSG_NOSIGNAL);
		idle = got > 0 ? 0 : idle + 1;
		sent += got > 0 ? (size_t)got : 0;
		bench_run(bench, 1);
	}
	return sent;
}

/*
 * Takes everything until there is nothing or the end. `*error`: errno of the end, 0 for an orderly
 * one.
 */
static size_t drain(struct bench *bench, int fd, int *error) {
	static uint8_t data[BLOCK];
	size_t total = 0;
	for(int idle = 0; idle < 3;) {
		ssize_t got = recv(fd, data, sizeof(data), 0);
		*error = got < 0 ? errno : 0;
		if(got == 0 || (got < 0 && errno != EAGAIN)) {
			break;
		}
		idle = got > 0 ? 0 : idle + 1;
		total += got > 0 ? (size_t)got : 0;
		bench_run(bench, 1);
	}
	return total;
}

static bool reads(const struct stream *stream) {
	return stream->io.want & LOOP_IN;
}

static void test_both_directions(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "auto");
	send_frame(&bench, TEXT, "hello", 5);
	bench_run(&bench, 2);
	bench_expect(bench.peer, "hello", 5);
	bench_send(bench.peer, "world", 5);
	bench_run(&bench, 2);
	bench_expect(bench.client, "\x81\x05world", 7);
	assert_int_equal(bench.connection->to_peer.bytes, 5);
	assert_int_equal(bench.connection->to_client.bytes, 5);
	assert_int_equal(bench.connection->to_peer.parser.messages, 1);
	assert_int_equal(bench.connection->to_client.messages, 1);
	bench_close(&bench);
}

static void test_ping(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "auto");
	send_frame(&bench, PING, "x", 1);
	bench_run(&bench, 2);
	bench_expect(bench.client, "\x8a\x01x", 3);
	bench_close(&bench);
}

static void test_message_in_parts(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "newline");
	bench_send(bench.peer, "one\r\ntw", 7);
	bench_run(&bench, 2);
	bench_expect(bench.client, "\x81\x05one\r\n", 7);
	assert_int_equal(bench.connection->partial.len, 2);
	bench_send(bench.peer, "o\r\nrest", 7);
	bench_run(&bench, 2);
	bench_expect(bench.client, "\x81\x05two\r\n", 7);
	bench_close_fd(&bench.peer);
	bench_run(&bench, 2);
	bench_expect(bench.client, "\x81\x04rest\x88\x15\x03\xe8the peer has closed", 6 + 4 + 19);
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	send_frame(&bench, CLOSE, "\x03\xe8", 2);
	bench_run(&bench, 3);
	bench_expect_end(bench.client);
	bench_close_fd(&bench.client);
	bench_run(&bench, 3);
	assert_true(list_is_empty(&bench.env.connections));
	bench_close(&bench);
}

/*
 * Each message of a client is a system call here: thousands in one read delayed all others. What is left for the next
 * turn keeps its order, and is not lost when the client ends.
 */
static void test_turns_of_tiny_messages(void **state) {
	(void)state;
	struct bench bench;
	uint8_t wire[1000 * 7 + 14];
	uint8_t got[1000 * 3 + 64];
	size_t len = 0;
	bench_open(&bench);
	struct connection *c = bench.connection;
	c->loopback = true;
	assert_int_equal(connection_name_peer(c, "echo"), 0);
	c->phase = CONNECTION_QUERY;
	relay_open(c, NULL, 0);
	for(size_t i = 0; i < 1000; i++) {
		len += bench_frame(wire + len, BINARY, &(uint8_t){(uint8_t)i}, 1);
	}
	len += bench_frame(wire + len, CLOSE, "\x03\xe8", 2);
	bench_send(bench.client, wire, len);
	uint64_t before = 0;
	for(int turns = 0; c->phase == CONNECTION_OPEN; turns++) {
		assert_true(turns < 20);
		bench_run(&bench, 1);
		assert_true(c->to_peer.bytes - before <= 128);
		before = c->to_peer.bytes;
		assert_true(c->phase != CONNECTION_OPEN || connection_has_input(c));
	}
	assert_int_equal(c->to_peer.bytes, 1000);
	/* The kernel holds some hundreds of such small pieces. */
	size_t got_len = 0;
	for(int reads = 0; got_len < 1000 * 3 + 4; reads++) {
		assert_true(reads < 1000);
		bench_run(&bench, 2);
		ssize_t more = recv(bench.client, got + got_len, sizeof(got) - got_len, 0);
		got_len += more > 0 ? (size_t)more : 0;
	}
	assert_int_equal(got_len, 1000 * 3 + 4);
	for(size_t i = 0; i < 1000; i++) {
		assert_int_equal(got[3 * i + 2], (uint8_t)i);
	}
	assert_memory_equal(got + 3000, "\x88\x02\x03\xe8", 4);
	bench_close(&bench);
}

static void test_slow_peer_pauses_the_client(void **state) {
	(void)state;
	struct bench bench;
	int error;
	open_relay(&bench, "binary");
	size_t sent = fill_from_client(&bench);
	assert_false(reads(&bench.connection->client));
	assert_true(stream_backlog(&bench.connection->peer) <=
		bench.settings.buffer_high + LOOP_SCRATCH_SIZE);
	assert_int_equal(drain(&bench, bench.peer, &error), sent);
	assert_int_equal(error, EAGAIN);
	assert_true(reads(&bench.connection->client));
	bench_close(&bench);
}

static void test_slow_client_pauses_the_peer(void **state) {
	(void)state;
	struct bench bench;
	int error;
	open_relay(&bench, "binary");
	size_t sent = fill_from_peer(&bench);
	assert_false(reads(&bench.connection->peer));
	assert_true(reads(&bench.connection->client));
	assert_true(drain(&bench, bench.client, &error) > sent);
	assert_true(reads(&bench.connection->peer));
	assert_int_equal(bench.connection->to_client.bytes, sent);
	bench_close(&bench);
}

/* A transfer that goes on slowly is not idle, one that stands still is. */
static void test_idle(void **state) {
	(void)state;
	struct bench bench;
	static uint8_t some[4 * BLOCK]; /* more than one buffer of the kernel */
	open_relay(&bench, "binary");
	bench.settings.idle_timeout_ms = 1000;
	fill_from_peer(&bench);
	for(int i = 0; i < 2; i++) {
		assert_int_equal(bench_phase(&bench), CONNECTION_OPEN);
		assert_true(recv(bench.client, some, sizeof(some), 0) > 0);
		bench.connection->activity.data_ms = 0;
		bench_deadline(&bench, 2000);
	}
	bench_deadline(&bench, 2000);
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	assert_int_equal(bench.connection->note->code, 1001);
	bench_close(&bench);
}

static void test_stalled_peer(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	bench.settings.stall_timeout_ms = 1000;
	fill_from_client(&bench);
	bench_deadline(&bench, 2000);
	bench_deadline(&bench, 2000);
	assert_int_equal(bench_phase(&bench), CONNECTION_LINGER);
	assert_int_equal(bench.connection->note->code, 1011);
	assert_false(stream_is_open(&bench.connection->peer));
	bench_close(&bench);
}

static void test_stalled_client(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	bench.settings.stall_timeout_ms = 1000;
	fill_from_peer(&bench);
	bench_deadline(&bench, 2000);
	bench_deadline(&bench, 2000);
	assert_false(stream_is_open(&bench.connection->client));
	bench_close(&bench);
}

static void test_pong(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	bench.settings.ping_ms = 1000;
	bench.settings.pong_timeout_ms = 1000;
	bench_deadline(&bench, 1000);
	bench_expect(bench.client, "\x89\x00", 2);
	bench_deadline(&bench, 1000);
	assert_false(stream_is_open(&bench.connection->client));
	bench_close(&bench);
}

/* While the client is paused its pong cannot be seen. */
static void test_pong_of_a_paused_client(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	bench.settings.ping_ms = 1000;
	bench.settings.pong_timeout_ms = 1000;
	fill_from_client(&bench);
	for(int i = 0; i < 5; i++) {
		bench_deadline(&bench, 2000);
		assert_int_equal(bench_phase(&bench), CONNECTION_OPEN);
	}
	bench_close(&bench);
}

/*
 * The peer's end comes while the client is paused: the closing deadline follows the peer, and all
 * data arrives.
 */
static void test_closing_while_paused(void **state) {
	(void)state;
	struct bench bench;
	uint8_t some[BLOCK];
	size_t got = 0;
	int error;
	open_relay(&bench, "binary");
	size_t sent = fill_from_client(&bench);
	shutdown(bench.peer, SHUT_WR);
	bench_run(&bench, 2);
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	bench_expect(bench.client, "\x88\x15\x03\xe8the peer has closed", 4 + 19);
	bench_deadline(&bench, 2000);
	for(int i = 0; i < 3; i++) {
		assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
		ssize_t taken = recv(bench.peer, some, sizeof(some), 0);
		assert_true(taken > 0);
		got += (size_t)taken;
		bench_deadline(&bench, 2000);
	}
	got += drain(&bench, bench.peer, &error);
	assert_int_equal(got, sent);
	bench_close(&bench);
}

/* It takes nothing any more: cut, not ended. */
static void test_closing_with_a_peer_that_stops(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	fill_from_client(&bench);
	shutdown(bench.peer, SHUT_WR);
	bench_run(&bench, 2);
	bench_deadline(&bench, 2000);
	assert_true(list_is_empty(&bench.env.connections));
	bench_close(&bench);
}

/*
 * The client has gone; what it had sent is read to the end although nothing can be written to it.
 */
static void test_broken_client(void **state) {
	(void)state;
	struct bench bench;
	int error;
	open_relay(&bench, "binary");
	size_t sent = fill_from_client(&bench);
	bench_close_fd(&bench.client);
	bench_send(bench.peer, "this is not read ", 17);
	bench_run(&bench, 3);
	assert_int_equal(bench_phase(&bench), CONNECTION_CLOSING);
	assert_int_equal(drain(&bench, bench.peer, &error), sent);
	assert_int_equal(error, 0);
	bench_close(&bench);
}

static void test_rule_broken(void **state) {
	(void)state;
	struct bench bench;
	open_relay(&bench, "binary");
	bench_send(bench.client, "\x83\x80\0\0\0\0", 6);
	bench_run(&bench, 2);
	assert_int_equal(bench_phase(&bench), CONNECTION_LINGER);
	assert_int_equal(bench.connection->note->code, 1002);
	bench_expect_end(bench.peer);
	bench_close(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_message_in_parts),
		cmocka_unit_test(test_turns_of_tiny_messages),
		cmocka_unit_test(test_slow_peer_pauses_the_client),
		cmocka_unit_test(test_slow_client_pauses_the_peer),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_stalled_peer),
		cmocka_unit_test(test_stalled_client),
		cmocka_unit_test(test_pong),
		cmocka_unit_test(test_pong_of_a_paused_client),
		cmocka_unit_test(test_closing_while_paused),
		cmocka_unit_test(test_closing_with_a_peer_that_stops),
		cmocka_unit_test(test_broken_client),
		cmocka_unit_test(test_rule_broken),
	};
	return cmocka_run_group_tests(tests, bench_register, bench_unregister);
}
