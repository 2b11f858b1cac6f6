/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files through a stream: the same bytes whether the kernel passes them on or they are copied, to
 * readers of every pace, behind what was written before, and without waiting in vain.
 */
#include "support.h"

#include "network/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#define FILE_SIZE (3 * 1024 * 1024 + 123)
#define FIRST 1000 /* where the part that is sent begins */

/* A loop with a stream that sends a file, and the descriptor at the other end. */
struct test {
	struct loop loop;
	struct stream stream;
	struct ev_timer reader;
	int other;
	int file;
	uint64_t at;
	uint64_t end;
	size_t piece; /* the reader takes so many bytes at a time */
	int result; /* of the last call */
	unsigned progress;
	uint8_t *received;
	size_t len;
	bool hangs_up;
};

static uint8_t byte_at(uint64_t at) {
	return (uint8_t)((at * 2654435761u) >> 13);
}

static int make_file(void) {
	char path[] = P_tmpdir "/websocksy-file-XXXXXX";
	uint8_t *content = malloc(FILE_SIZE);
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_non_null(content);
	for(size_t at = 0; at < FILE_SIZE; at++) {
		content[at] = byte_at(at);
	}
	assert_int_equal(write(fd, content, FILE_SIZE), FILE_SIZE);
	free(content);
	unlink(path);
	return fd;
}

static void pump(struct test *test) {
	while(test->at < test->end) {
		ssize_t sent = stream_send_file(
			&test->stream, test->file, test->at, (size_t)(test->end - test->at));
		test->result = (int)sent;
		if(sent <= 0) {
			return;
		}
		test->at += (uint64_t)sent;
	}
}

static void on_stream(struct stream *stream, unsigned events) {
	struct test *test = container_of(stream, struct test, stream);
	if(events & STREAM_BROKEN) {
		test->result = -stream->error;
		test->loop.stop = true;
		return;
	}
	if(events & STREAM_PROGRESS) {
		test->progress++;
		pump(test);
	}
	if(test->result < 0 && test->result != -EAGAIN) {
		test->loop.stop = true;
	}
}

/* Takes a piece in each millisecond, so the sender has to wait for it again and again. */
static void on_reader(struct ev_timer *timer) {
	struct test *test = container_of(timer, struct test, reader);
	if(test->hangs_up) {
		close(test->other);
		test->other = -1;
		return;
	}
	ssize_t got = recv(test->other, test->received + test->len, test->piece, MSG_DONTWAIT);
	test->len += got > 0 ? (size_t)got : 0;
	if(got == 0 || test->len >= test->end - FIRST + 5) {
		test->loop.stop = true;
		return;
	}
	loop_timer_set(&test->loop, timer, test->loop.now_ms + 1);
}

static void connect_tcp(int fds[2]) {
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int small = 4096;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(connect(fds[0], (struct sockaddr *)&address, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	close(listener);
}

static void begin(struct test *test, const struct stream_ops *ops, bool is_unix) {
	int fds[2];
	*test = (struct test){.file = make_file(), .at = FIRST, .end = FILE_SIZE, .piece = 65536};
	assert_int_equal(loop_open(&test->loop), 0);
	if(is_unix) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	} else {
		connect_tcp(fds);
	}
	test->other = fds[1];
	test->received = malloc(FILE_SIZE + 65536);
	assert_non_null(test->received);
	assert_int_equal(stream_open(&test->stream, &test->loop, fds[0], ops, on_stream), 0);
	assert_int_equal(loop_timer_open(&test->loop, &test->reader, on_reader), 0);
	loop_timer_set(&test->loop, &test->reader, test->loop.now_ms + 1);
}

static void end(struct test *test) {
	loop_timer_close(&test->loop, &test->reader);
	stream_close(&test->stream);
	loop_close(&test->loop);
	if(test->other >= 0) {
		close(test->other);
	}
	close(test->file);
	free(test->received);
}

static ssize_t refuse_file(int fd, int file, uint64_t offset, size_t max) {
	(void)fd;
	(void)file;
	(void)offset;
	(void)max;
	return -EINVAL; /* what some file systems say to sendfile() */
}

/* Every kind: sendfile, a kind that has none, one whose file system cannot; TCP and Unix. */
static void test_whole(void **state) {
	(void)state;
	for(int way = 0; way < 6; way++) {
		struct stream_ops ops = way % 2 ? stream_unix_ops : stream_tcp_ops;
		struct test test;
		if(way / 2 == 1) {
			ops.send_file = NULL;
		} else if(way / 2 == 2) {
			ops.send_file = refuse_file;
		} else {
			assert_non_null(ops.send_file);
		}
		begin(&test, &ops, way % 2);
		assert_int_equal(stream_write(&test.stream, "head:", 5), 0);
		pump(&test);
		assert_int_equal(test.result, -EAGAIN);
		assert_true(stream_backlog(&test.stream) <= 64 * 1024);
		assert_int_equal(loop_run(&test.loop), 0);
		assert_int_equal(test.at, FILE_SIZE);
		assert_int_equal(test.len, FILE_SIZE - FIRST + 5);
		assert_memory_equal(test.received, "head:", 5);
		for(size_t at = 5; at < test.len; at++) {
			if(test.received[at] != byte_at(at - 5 + FIRST)) {
				fail_msg("way %d: byte %zu is wrong", way, at);
			}
		}
		assert_true(test.progress > 1);
		assert_int_equal(stream_backlog(&test.stream), 0);
		assert_false(test.stream.io.want & LOOP_OUT); /* room is not waited for any more */
		end(&test);
	}
}

/* What was written before comes first: while some of it is queued the file waits. */
static void test_behind_a_queue(void **state) {
	struct test test;
	(void)state;
	begin(&test, &stream_unix_ops, true);
	uint8_t *much = calloc(1, 1 << 20);
	assert_non_null(much);
	assert_int_equal(stream_write(&test.stream, much, 1 << 20), 0);
	assert_true(stream_backlog(&test.stream) > 0);
	assert_int_equal(stream_send_file(&test.stream, test.file, 0, 10), -EAGAIN);
	free(much);
	end(&test);
}

static void test_end_of_the_file(void **state) {
	struct test test;
	(void)state;
	for(int way = 0; way < 2; way++) {
		struct stream_ops ops = stream_unix_ops;
		ops.send_file = way ? ops.send_file : NULL;
		begin(&test, &ops, true);
		assert_int_equal(stream_send_file(&test.stream, test.file, FILE_SIZE - 3, 10), 3);
		assert_int_equal(stream_send_file(&test.stream, test.file, FILE_SIZE, 10), 0);
		assert_int_equal(stream_send_file(&test.stream, test.file, FILE_SIZE + 9, 10), 0);
		end(&test);
	}
}

/* A reader that goes away while the file waits for room: the owner hears of it. */
static void test_hang_up(void **state) {
	struct test test;
	(void)state;
	for(int way = 0; way < 4; way++) {
		struct stream_ops ops = way % 2 ? stream_unix_ops : stream_tcp_ops;
		ops.send_file = way / 2 ? ops.send_file : NULL;
		begin(&test, &ops, way % 2);
		test.hangs_up = true;
		stream_want_read(&test.stream, false);
		pump(&test);
		assert_int_equal(loop_run(&test.loop), 0);
		assert_true(test.result == -EPIPE || test.result == -ECONNRESET);
		end(&test);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_behind_a_queue),
		cmocka_unit_test(test_end_of_the_file),
		cmocka_unit_test(test_hang_up),
	};
	signal(SIGPIPE, SIG_IGN); /* as main does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
