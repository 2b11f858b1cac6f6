/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tests of bridge/ share: connections over socket pairs, and a loop that runs as many
 * turns as a test says. Time passes only where a test moves it.
 */
#ifndef WEBSOCKSY_TESTS_BENCH_H
#define WEBSOCKSY_TESTS_BENCH_H
#include "bridge/connection.h"
#include "bridge/phases.h"
#include "builtins.h"
#include "plugin.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

struct bench {
	struct loop loop;
	struct loop_task stopper;
	struct settings settings;
	struct connection_env env;
	struct connection *connection;
	int client; /* the client's end */
	int peer; /* the peer's end; -1: none */
};

static inline void bench_stop(struct loop_task *task) {
	container_of(task, struct bench, stopper)->loop.stop = true;
}

/* Turns that do not wait for the kernel. */
static inline void bench_run(struct bench *bench, int turns) {
	for(int i = 0; i < turns; i++) {
		bench->loop.stop = false;
		loop_next_turn(&bench->loop, &bench->stopper);
		assert_int_equal(loop_run(&bench->loop), 0);
	}
}

static inline void bench_pair(int fds[2]) {
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

/* A connection in CONNECTION_HEAD whose client is bench->client. */
static inline void bench_open(struct bench *bench) {
	struct sockaddr address = {.sa_family = AF_UNIX};
	int fds[2];
	*bench = (struct bench){.stopper.fn = bench_stop, .peer = -1};
	assert_int_equal(loop_open(&bench->loop), 0);
	bench->settings = (struct settings){.max_message = 1 << 20,
		.buffer_high = 64 * 1024,
		.buffer_low = 16 * 1024,
		.close_timeout_ms = 1000,
		.grace_ms = 1000,
		.max_clients = 10};
	bench->env.loop = &bench->loop;
	bench->env.lifetime.loop = &bench->loop;
	bench->env.phases = phases;
	bench->env.settings = &bench->settings;
	bench->env.admission.settings = &bench->settings;
	list_init(&bench->env.connections);
	bench_pair(fds);
	bench->client = fds[0];
	bench->connection = connection_new(&bench->env, fds[1], &address, sizeof(address));
	assert_non_null(bench->connection);
	assert_true(admission_enter(bench->connection));
}

static inline enum connection_phase bench_phase(const struct bench *bench) {
	return (enum connection_phase)bench->connection->phase;
}

/* Moves the clock by `ms` and calls the phase's deadline. */
static inline void bench_deadline(struct bench *bench, uint64_t ms) {
	bench->loop.now_ms += ms;
	phases[bench->connection->phase].deadline(bench->connection);
}

static inline void bench_close_fd(int *fd) {
	if(*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

/* Everything has to be gone afterwards. */
static inline void bench_close(struct bench *bench) {
	if(!list_is_empty(&bench->env.connections)) {
		connection_close(bench->connection);
	}
	assert_int_equal(bench->env.admission.count, 0);
	assert_int_equal(bench->env.admission.over_limit, 0);
	assert_null(bench->env.admission.ip_counters);
	bench_close_fd(&bench->client);
	bench_close_fd(&bench->peer);
	loop_close(&bench->loop);
}

/* A client's frame with a mask of zeros. Returns its length. */
static inline size_t bench_frame(uint8_t *out, uint8_t opcode, const void *payload, size_t len) {
	size_t at = 0;
	out[at++] = (uint8_t)(0x80 | opcode);
	if(len < 126) {
		out[at++] = (uint8_t)(0x80 | len);
	} else {
		assert_true(len <= UINT16_MAX);
		out[at++] = 0x80 | 126;
		out[at++] = (uint8_t)(len >> 8);
		out[at++] = (uint8_t)len;
	}
	memset(out + at, 0, 4);
	at += 4;
	if(len > 0) {
		memcpy(out + at, payload, len);
	}
	return at + len;
}

static inline void bench_send(int fd, const void *data, size_t len) {
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what is there and compares. */
static inline void bench_expect(int fd, const void *data, size_t len) {
	uint8_t got[4096];
	assert_true(len <= sizeof(got));
	assert_int_equal(recv(fd, got, sizeof(got), 0), (ssize_t)len);
	assert_memory_equal(got, data, len);
}

/* Nothing more, and the end or not. */
static inline void bench_expect_end(int fd) {
	uint8_t byte;
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static inline void bench_expect_nothing(int fd) {
	uint8_t byte;
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* For whole groups of tests: the built-in framings. */
static inline int bench_register(void **state) {
	(void)state;
	return builtins_register();
}

static inline int bench_unregister(void **state) {
	(void)state;
	plugin_shutdown();
	return 0;
}
#endif
