/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams to programs.
 *
 * Must not know: what goes through them, why a program is started.
 * Invariants: the exit of the program is the end of its stream, also if a process that it has left
 * behind holds the other end; what it wrote before is read first, EXEC_REST bytes at most.
 */
#include "network/exec.h"

#include "base/passes.h"
#include "network/exec_address.h"
#include "network/fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXEC_REST ((size_t)1024 * 1024) /* more than a socket or a terminal holds */
#define EXEC_TERMINAL_NAME 64
#define EXEC_ROWS 24
#define EXEC_COLUMNS 80

struct exec {
	struct process *process;
	struct stream *stream; /* NULL: not attached */
	size_t rest; /* that may be read after the exit */
	bool terminal;
	bool exited;
};

/* ---- reading and writing ---- */

/*
 * The ends of programs: without having read all that was sent (ECONNRESET), and that of all
 * processes that have a terminal open (EIO).
 */
static bool is_end(int error) {
	return error == -EPIPE || error == -ECONNRESET || error == -EIO;
}

static ssize_t exec_read(struct stream *stream, void *data, size_t cap) {
	struct exec *exec = stream->state;
	if(exec->exited && exec->rest == 0) {
		return 0;
	}
	ssize_t got = RETRY_INTERRUPTED(read(stream->io.fd, data, cap));
	if(got < 0) {
		got = -errno;
	}
	if(got > 0 && exec->exited) {
		exec->rest -= (size_t)got < exec->rest ? (size_t)got : exec->rest;
	}
	if(got != -EAGAIN) {
		return is_end((int)got) ? 0 : got;
	}
	loop_used_up(&stream->io, LOOP_IN);
	return exec->exited ? 0 : -EAGAIN;
}

/* A program that takes no input may still have output: the reader finds the end. */
static int exec_sent(struct stream *stream, int result) {
	if(!is_end(result)) {
		return result;
	}
	bufq_consume(&stream->out, &stream->loop->pool, stream->out.len);
	return 0;
}

static int exec_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	return exec_sent(stream, stream_write_bytes(stream, iov, count, total));
}

static int exec_flush(struct stream *stream) {
	return exec_sent(stream, stream_flush_bytes(stream));
}

static int terminal_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	return exec_sent(stream, fifo_write(stream, iov, count, total));
}

static int terminal_flush(struct stream *stream) {
	return exec_sent(stream, fifo_flush(stream));
}

/* End of file on its standard input; its output goes on. */
static bool exec_finish(struct stream *stream) {
	shutdown(stream->io.fd, SHUT_WR);
	return true;
}

static void exec_destroy(struct stream *stream) {
	exec_drop(stream->state);
}

static const struct stream_ops socket_ops = {
	.read = exec_read,
	.write = exec_write,
	.flush = exec_flush,
	.finish = exec_finish,
	.has_end = true,
	.destroy = exec_destroy,
};

/* A terminal has no end of its input: it is hung up. */
static const struct stream_ops terminal_ops = {
	.read = exec_read,
	.write = terminal_write,
	.flush = terminal_flush,
	.destroy = exec_destroy,
};

/* ---- the program ---- */

static void exec_exited(void *ctx, int status) {
	struct exec *exec = ctx;
	(void)status;
	exec->exited = true;
	exec->rest = EXEC_REST;
	if(exec->stream) {
		loop_set_ready(exec->stream->loop, &exec->stream->io, LOOP_IN);
	}
}

/* The two ends: that of the daemon does not block, that of the program does. */
static int open_sockets(int fd[2]) {
	if(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
		return -errno;
	}
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int open_terminal(char name[EXEC_TERMINAL_NAME]) {
	struct winsize size = {.ws_row = EXEC_ROWS, .ws_col = EXEC_COLUMNS};
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if(fd < 0) {
		return -errno;
	}
	if(grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, EXEC_TERMINAL_NAME) != 0 ||
		ioctl(fd, TIOCSWINSZ, &size) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int start_in_terminal(struct exec *exec, struct spawn *spawn, struct process_set *set) {
	char name[EXEC_TERMINAL_NAME];
	int fd = open_terminal(name);
	if(fd < 0) {
		return fd;
	}
	spawn->terminal = name;
	int result = process_start(set, spawn, &exec->process);
	if(result) {
		close(fd);
	}
	return result ? result : fd;
}

static int start_with_socket(struct exec *exec, struct spawn *spawn, struct process_set *set) {
	int fd[2];
	int result = open_sockets(fd);
	if(result) {
		return result;
	}
	spawn->fd = fd[1];
	spawn->standard = 1u << STDIN_FILENO | 1u << STDOUT_FILENO;
	result = process_start(set, spawn, &exec->process);
	close(fd[1]);
	if(result) {
		close(fd[0]);
	}
	return result ? result : fd[0];
}

static int start(struct exec *exec, char **argv, const struct exec_options *options) {
	struct spawn spawn = {.argv = argv, .environment = options->environment, .fd = -1};
	char *path;
	int result = spawn_find(argv[0], &path);
	if(result) {
		return result;
	}
	spawn.path = path;
	exec->terminal = options->terminal;
	result = exec->terminal ? start_in_terminal(exec, &spawn, options->processes)
				: start_with_socket(exec, &spawn, options->processes);
	free(path);
	if(result >= 0) {
		process_watch(exec->process, exec_exited, exec);
	}
	/* clone(2): the limit of the user, of the control group or of the system. */
	return result == -EAGAIN ? -ENOBUFS : result;
}

int exec_open(struct exec **out, const struct peer_address *address,
	const struct exec_options *options, const char **why) {
	struct exec *exec = calloc(1, sizeof(*exec));
	char **argv = exec_address_split(address->host);
	int result = -ENOMEM;
	*why = NULL;
	if(exec && argv) {
		result = start(exec, argv, options);
	}
	free(argv);
	if(result >= 0) {
		*out = exec;
		return result;
	}
	if(result == -ENOBUFS) {
		*why = "no further process can be started (see RLIMIT_NPROC and pids.max)";
	}
	free(exec);
	return result;
}

const struct stream_ops *exec_ops(const struct exec *exec) {
	return exec->terminal ? &terminal_ops : &socket_ops;
}

void exec_attach(struct exec *exec, struct stream *stream) {
	exec->stream = stream;
	stream->state = exec;
}

void exec_drop(struct exec *exec) {
	if(exec) {
		process_end(exec->process, SIGHUP, !exec->stream || !exec->stream->ended);
		free(exec);
	}
}

int exec_check(const struct peer_address *address, const char **why) {
	char **argv = exec_address_split(address->host);
	char *path = NULL;
	int result = argv ? spawn_find(argv[0], &path) : -ENOMEM;
	*why = result == -ENOENT ? "there is no such program"
		: result         ? "this is not a program that can be executed"
				 : NULL;
	free(path);
	free(argv);
	return result;
}
