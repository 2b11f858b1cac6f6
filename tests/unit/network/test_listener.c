/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Listening sockets whose system calls fail: accept4(), bind() and getsockname() are ours (the linker
 * puts them in front, see the Makefile).
 */
#include "network/listener.h"
#include "network/listeners.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define TURNS 5
#define ACCEPT_SECONDS 600 /* then a pause has no end, and SIGALRM ends the test */

struct test {
	struct loop loop;
	struct deferred_free stopper;
	struct listeners listeners;
	int client;
	unsigned accepted;
};

int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __real_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len);

int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);

static struct {
	const char *victim; /* a link to it takes the place of a socket file at once; NULL: none */
	int accept_error; /* 0: none */
	unsigned accepts;
	int getsockname_error;
	unsigned registrations; /* that fail */
} fault;

int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event) {
	if(operation == EPOLL_CTL_ADD && fault.registrations > 0) {
		fault.registrations--;
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epoll_fd, operation, fd, event);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
	fault.accepts++;
	if(fault.accept_error) {
		errno = fault.accept_error;
		return -1;
	}
	return __real_accept4(fd, address, len, flags);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len) {
	struct sockaddr_un local = {0};
	int result = __real_bind(fd, address, len);
	if(result == 0 && fault.victim) {
		memcpy(&local, address, len);
		assert_int_equal(unlink(local.sun_path), 0);
		assert_int_equal(symlink(fault.victim, local.sun_path), 0);
	}
	return result;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *len) {
	if(fault.getsockname_error) {
		errno = fault.getsockname_error;
		return -1;
	}
	return __real_getsockname(fd, address, len);
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

static void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static void accepted(struct listeners *listeners, const struct listener_client *client) {
	struct test *test = container_of(listeners, struct test, listeners);
	test->accepted++;
	close(client->fd);
}

static int connect_to(const char *name) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	memcpy(address.sun_path, name, strlen(name));
	address.sun_path[0] = '\0'; /* an abstract name */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
	return fd;
}

/* A listening socket, and a client that waits to be accepted. */
static int set_up(void **state) {
	struct test *test = calloc(1, sizeof(*test));
	char spec[64];
	assert_non_null(test);
	memset(&fault, 0, sizeof(fault));
	snprintf(spec, sizeof(spec), "unix:@websocksy-unit-%d", (int)getpid());
	char *specs[] = {spec};
	assert_int_equal(loop_open(&test->loop), 0);
	listeners_init(&test->listeners, &test->loop, accepted);
	assert_int_equal(listeners_open(&test->listeners, 1, specs, 0), 0);
	test->client = connect_to(spec + 5);
	*state = test;
	return 0;
}

static int tear_down(void **state) {
	struct test *test = *state;
	close(test->client);
	listeners_close(&test->listeners);
	loop_close(&test->loop);
	free(test);
	return 0;
}

/* Another user with write access to the directory got the mode of the socket for any file. */
static void test_link_in_place_of_the_socket(void **state) {
	struct test *test = *state;
	const char *base = getenv("TMPDIR");
	char folder[128];
	char victim[160];
	char spec[192];
	struct stat status;
	snprintf(folder, sizeof(folder), "%s/websocksy-unit-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(folder));
	snprintf(victim, sizeof(victim), "%s/victim", folder);
	snprintf(spec, sizeof(spec), "unix:%s/socket,mode=0666", folder);
	int fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	char *specs[] = {spec};
	fault.victim = victim;
	assert_int_equal(listeners_open(&test->listeners, 1, specs, 0), 0);
	fault.victim = NULL;
	assert_int_equal(stat(victim, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* The mode is that of the socket from the start, and the umask as before. */
	mode_t before = umask(027);
	snprintf(spec, sizeof(spec), "unix:%s/other,mode=0662", folder);
	assert_int_equal(listeners_open(&test->listeners, 1, specs, 0), 0);
	assert_int_equal(umask(before), 027);
	*strchr(spec, ',') = '\0';
	assert_int_equal(stat(spec + 5, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0662);
	listeners_close(&test->listeners);
	assert_int_equal(unlink(victim), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* Errors that stay: the kernel reports the socket in every turn, so it has to rest. */
static void test_accept_rests(void **state) {
	struct test *test = *state;
	static const int errors[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, EACCES, EIO};
	alarm(ACCEPT_SECONDS);
	for(size_t i = 0; i < COUNT(errors); i++) {
		fault.accept_error = errors[i];
		fault.accepts = 0;
		while(fault.accepts == 0) {
			run_turn(test);
		}
		for(int turn = 1; turn < TURNS; turn++) {
			run_turn(test);
		}
		assert_true(fault.accepts < TURNS);
	}
	fault.accept_error = 0;
	while(test->accepted == 0) {
		run_turn(test);
	}
	assert_int_equal(test->accepted, 1);
	alarm(0);
}

/* Errors of one connection: the next one is taken without a rest. */
static void test_accept_goes_on(void **state) {
	struct test *test = *state;
	static const int errors[] = {ECONNABORTED, EPROTO, EINTR};
	for(size_t i = 0; i < COUNT(errors); i++) {
		fault.accept_error = errors[i];
		fault.accepts = 0;
		run_turn(test);
		assert_true(fault.accepts > 0);
	}
	fault.accept_error = 0;
	run_turn(test);
	assert_int_equal(test->accepted, 1);
}

/* A socket that several processes share is registered again and again: once without memory. */
static void test_shared_socket_is_watched_again(void **state) {
	struct test *test = *state;
	struct sockaddr_un address;
	socklen_t len = sizeof(address);
	struct listener *listener = container_of(test->listeners.list.next, struct listener, link);
	assert_int_equal(getpeername(test->client, (struct sockaddr *)&address, &len), 0);
	listener->shared = true;
	loop_want(&test->loop, &listener->io, LOOP_IN | LOOP_EXCLUSIVE);
	fault.registrations = 3;
	alarm(ACCEPT_SECONDS);
	while(fault.registrations > 0) {
		run_turn(test);
	}
	assert_int_equal(test->accepted, 1);
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(other, (struct sockaddr *)&address, len), 0);
	while(test->accepted < 2) {
		run_turn(test);
	}
	alarm(0);
	close(other);
}

/* What is written to standard error while another socket is opened. */
static void open_another(struct test *test, char *out, size_t cap) {
	char spec[64];
	char *specs[] = {spec};
	int fds[2];
	int before = dup(STDERR_FILENO);
	snprintf(spec, sizeof(spec), "unix:@websocksy-unit-%d-other", (int)getpid());
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	int result = listeners_open(&test->listeners, 1, specs, 0);
	assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(result, 0);
	ssize_t got = read(fds[0], out, cap - 1);
	assert_true(got > 0);
	out[got] = '\0';
	close(before);
	close(fds[0]);
	close(fds[1]);
}

static void test_unknown_address_is_logged(void **state) {
	char line[512];
	fault.getsockname_error = ENOBUFS;
	open_another(*state, line, sizeof(line));
	fault.getsockname_error = 0;
	assert_non_null(strstr(line, "listening on unix:@websocksy-unit-"));
	assert_non_null(strstr(line, strerror(ENOBUFS)));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accept_rests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_accept_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_shared_socket_is_watched_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_address_is_logged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_link_in_place_of_the_socket, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
