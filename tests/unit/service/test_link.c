/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages between two processes: order, descriptors, the end.
 */
#include "support.h"

#include "service/link.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MESSAGES 200

struct end {
	struct loop loop;
	struct link link;
	unsigned received;
	int fd;
	bool closed;
};

static void received(struct link *link, const struct link_message *message, int fd) {
	struct end *end = container_of(link, struct end, link);
	if(!message) {
		end->closed = true;
		end->loop.stop = true;
		return;
	}
	assert_int_equal(message->kind, LINK_LISTENER);
	assert_int_equal(message->number, end->received);
	end->received++;
	if(fd >= 0) {
		end->fd = fd;
	}
}

static void test_messages(void **state) {
	struct end end = {.fd = -1};
	struct link other = {.io.fd = -1};
	int fds[2], pipes[2];
	char byte = 0;
	(void)state;
	assert_int_equal(link_pair(fds), 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(loop_open(&end.loop), 0);
	assert_int_equal(link_open(&end.link, &end.loop, fds[0], received), 0);
	other.io.fd = fds[1];
	for(uint32_t i = 0; i < MESSAGES; i++) {
		const struct link_message message = {.kind = LINK_LISTENER, .number = i};
		assert_int_equal(link_send(&other, &message, i == 7 ? pipes[1] : -1), 0);
	}
	close(fds[1]);
	close(pipes[1]);
	assert_int_equal(loop_run(&end.loop), 0);
	assert_int_equal(end.received, MESSAGES);
	assert_true(end.closed);
	assert_true(fcntl(end.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(end.fd, "x", 1), 1);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	const struct link_message message = {.kind = LINK_STOP};
	assert_int_equal(link_send(&end.link, &message, -1), -EPIPE);
	close(end.fd);
	close(pipes[0]);
	loop_close(&end.loop);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
