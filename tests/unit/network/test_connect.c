/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting: bounds on addresses and attempts, waiting for a full Unix socket, literals. connect()
 * is counted, and the clock goes on when the test says so (the linker puts the test's functions in
 * front, see the Makefile).
 */
#include "network/connect.h"

#include "name_server.h"
#include "network/peer.h"
#include "network/resolve.h"
#include "own_clock.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NAMES_ADDRESSES 24
#define ADDRESSES_MAX 16
#define ATTEMPTS_MAX 4
#define ATTEMPT_DELAY_MS 250

struct test {
	struct loop loop;
	struct name_server server;
	struct resolver *resolver;
	struct connect *connect;
	struct peer_address address;
	bool done;
	int error;
	const char *why;
};

static unsigned connects;

int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len) {
	connects++;
	return __real_connect(fd, address, len);
}

static void run_until_connects(struct test *test, unsigned count) {
	while(connects < count && !test->done) {
		run_turn(&test->loop);
	}
	assert_int_equal(connects, count);
}

static void run_until_done(struct test *test) {
	while(!test->done) {
		run_turn(&test->loop);
	}
}

static void connected(void *ctx, int error, const char *why) {
	struct test *test = ctx;
	test->done = true;
	test->error = error;
	test->why = why;
}

static int start(struct test *test, const char *host) {
	struct connect_owner owner = {
		.loop = &test->loop, .resolver = test->resolver, .fn = connected, .ctx = test};
	const char *why = NULL;
	assert_int_equal(peer_parse(peer_transport_detect, host, NULL, &test->address, &why), 0);
	connects = 0;
	int result = connect_start(&test->connect, &test->address, &owner, &why);
	test->why = why;
	return result;
}

static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	assert_non_null(test);
	assert_int_equal(loop_open(&test->loop), 0);
	name_server_open(&test->server, &test->loop, NAMES_ADDRESSES);
	assert_int_equal(resolver_open(&test->resolver, &test->loop, test->server.text), 0);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	connect_free(test->connect);
	peer_address_free(&test->address);
	resolver_close(test->resolver);
	name_server_close(&test->server);
	start_clock();
	loop_close(&test->loop);
	free(test);
	return 0;
}

/* A TCP socket on every IPv4 loopback address; its port. */
static uint16_t bind_port(int *fd) {
	struct sockaddr_in own = {.sin_family = AF_INET};
	socklen_t len = sizeof(own);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&own, &len), 0);
	return ntohs(own.sin_port);
}

static void start_name(struct test *test, uint16_t port) {
	char host[64];
	snprintf(host, sizeof(host), "tcp://many.test:%u", port);
	assert_int_equal(start(test, host), -EINPROGRESS);
}

/* All refuse: no more than some are tried. */
static void test_addresses_are_bounded(void **state) {
	struct test *test = *state;
	int fd;
	start_name(test, bind_port(&fd));
	run_until_done(test);
	assert_int_equal(test->error, -ECONNREFUSED);
	assert_int_equal(connects, ADDRESSES_MAX);
	close(fd);
}

/* None answers: no more than some are waited for at the same time. */
static void test_attempts_are_bounded(void **state) {
	struct test *test = *state;
	int fd;
	int waiting[4];
	uint16_t port = bind_port(&fd);
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(listen(fd, 0), 0);
	/* Its queue is full then, and the kernel drops what asks for a connection. */
	for(size_t i = 0; i < COUNT(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		__real_connect(waiting[i], (struct sockaddr *)&to, sizeof(to));
	}
	stop_clock(&test->loop);
	start_name(test, port);
	run_until_connects(test, 1);
	for(unsigned i = 2; i <= ATTEMPTS_MAX; i++) {
		pass(&test->loop, ATTEMPT_DELAY_MS - 1);
		assert_int_equal(connects, i - 1);
		pass(&test->loop, 1);
		assert_int_equal(connects, i);
	}
	for(unsigned i = 0; i < ATTEMPTS_MAX; i++) {
		pass(&test->loop, ATTEMPT_DELAY_MS);
	}
	assert_false(test->done);
	assert_int_equal(connects, ATTEMPTS_MAX);
	for(size_t i = 0; i < COUNT(waiting); i++) {
		close(waiting[i]);
	}
	close(fd);
}

/* Retries become rarer, and succeed when there is room. */
static void test_full_unix_socket(void **state) {
	static const long retries_ms[] = {20, 40, 80, 160, 320, 640, 640};
	struct test *test = *state;
	char host[128];
	struct sockaddr_un own = {.sun_family = AF_UNIX};
	int len = snprintf(
		own.sun_path + 1, sizeof(own.sun_path) - 1, "websocksy-unit-%d", (int)getpid());
	socklen_t own_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, own_len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(__real_connect(first, (struct sockaddr *)&own, own_len), 0);
	snprintf(host, sizeof(host), "unix://@%s", own.sun_path + 1);
	stop_clock(&test->loop);
	assert_int_equal(start(test, host), -EINPROGRESS);
	assert_int_equal(connects, 1);
	for(unsigned i = 0; i < COUNT(retries_ms); i++) {
		pass(&test->loop, retries_ms[i] - 1);
		assert_int_equal(connects, i + 1);
		pass(&test->loop, 1);
		assert_int_equal(connects, i + 2);
	}
	assert_false(test->done);
	close(accept(fd, NULL, NULL));
	pass(&test->loop, retries_ms[COUNT(retries_ms) - 1]);
	assert_true(test->done);
	assert_int_equal(test->error, 0);
	close(first);
	close(fd);
}

/* Without the resolver: the name server is not asked. */
static void test_literals(void **state) {
	struct test *test = *state;
	char host[64];
	int fd;
	uint16_t port = bind_port(&fd);
	assert_int_equal(listen(fd, 1), 0);
	snprintf(host, sizeof(host), "tcp://127.0.0.1:%u", port);
	assert_int_equal(start(test, host), -EINPROGRESS);
	run_until_done(test);
	assert_int_equal(test->error, 0);
	assert_int_equal(test->server.questions, 0);
	close(fd);
}

static void test_zone_without_interface(void **state) {
	struct test *test = *state;
	assert_int_equal(start(test, "tcp://[fe80::1%no-such-zone]:80"), -ENODEV);
	assert_non_null(strstr(test->why, "zone"));
	assert_int_equal(connects, 0);
}

static void test_fifo(void **state) {
	struct test *test = *state;
	char path[64];
	char host[128];
	snprintf(path, sizeof(path), "/tmp/websocksy-connect-%d", (int)getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(host, sizeof(host), "fifotx://%s", path);
	assert_int_equal(start(test, host), -ENXIO);
	assert_string_equal(test->why, "no process has the fifo open for reading");
	peer_address_free(&test->address);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(start(test, host), -EINVAL);
	assert_string_equal(test->why, "the path is not a fifo");
	unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attempts_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_unix_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_literals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zone_without_interface, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fifo, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
