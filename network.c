/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets and streams.
 *
 * Must not know: WebSocket, HTTP, connections.
 * Invariants: while bytes are queued or a file waits for room a stream wants LOOP_OUT, and only then; a
 * stream whose write failed has an empty queue and refuses further writes; the descriptor is closed in
 * stream_close() and nowhere else.
 */
#include "network.h"

#include "base/passes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FLUSH_IOV 32 /* chunks handed to the kernel at once */
#define SEND_FILE_READ (64 * 1024) /* of a file at once, where the bytes have to be copied */

/* ---- streams ---- */

ssize_t network_send(int fd, const struct iovec *iov, int count, int flags) {
	/* sendmsg() takes the array as it is; it is not written to. */
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
	/* One piece is the common case, and cheaper without a message header to be checked and copied. */
	ssize_t sent = RETRY_INTERRUPTED(count == 1
			? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | flags)
			: sendmsg(fd, &message, MSG_NOSIGNAL | flags));
	return sent < 0 ? -errno : sent;
}

static ssize_t plain_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, 0));
	if(got < 0) {
		return -errno;
	}
	/* After a hang-up there is the end to be read, too. */
	if((size_t)got < cap && stream->ops->short_read_is_all && !(stream->io.ready & LOOP_HUP)) {
		loop_used_up(&stream->io, LOOP_IN);
	}
	return got;
}

int stream_write_bytes(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	size_t sent = 0;
	if(stream->out.len == 0 && (stream->io.ready & LOOP_OUT)) {
		/* Held back until the end joins it; should that not come at once, the kernel waits for 200 ms. */
		int flags = stream->ending ? MSG_MORE : 0;
		ssize_t result = stream->ops->send(stream->io.fd, iov, count, flags);
		if(result < 0 && result != -EAGAIN) {
			return (int)result;
		}
		sent = result < 0 ? 0 : (size_t)result;
		stream->sent += (uint32_t)sent;
		if(sent == total) {
			return 0;
		}
		loop_used_up(&stream->io, LOOP_OUT);
	}
	return stream_queue(stream, iov, count, sent);
}

int stream_flush_bytes(struct stream *stream) {
	PASSES(sends, stream->out.len);
	while(stream->out.len > 0) {
		PASS(sends);
		struct iovec iov[FLUSH_IOV];
		int count = bufq_peek(&stream->out, 0, stream->out.len, iov, FLUSH_IOV);
		size_t offered = 0;
		for(int i = 0; i < count; i++) {
			offered += iov[i].iov_len;
		}
		ssize_t sent = stream->ops->send(stream->io.fd, iov, count, 0);
		if(sent < 0 && sent != -EAGAIN) {
			return (int)sent;
		}
		if(sent > 0) {
			stream->sent += (uint32_t)sent;
			bufq_consume(&stream->out, &stream->loop->pool, (size_t)sent);
		}
		if(sent <= 0 || sent < (ssize_t)offered) {
			loop_used_up(&stream->io, LOOP_OUT);
			return 0;
		}
	}
	return 0;
}

/* The signal of a broken pipe cannot be suppressed for one call here; main ignores it. */
static ssize_t plain_send_file(int fd, int file, uint64_t offset, size_t max) {
	off_t at = (off_t)offset;
	ssize_t sent = RETRY_INTERRUPTED(sendfile(fd, file, &at, max));
	return sent < 0 ? -errno : sent;
}

static bool plain_finish(struct stream *stream) {
	/* ENOTCONN: the other side was quicker. There is nothing left to do then. */
	shutdown(stream->io.fd, SHUT_WR);
	return true;
}

const struct stream_ops network_stream_ops = {
	.read = plain_read,
	.send = network_send,
	.write = stream_write_bytes,
	.send_file = plain_send_file,
	.flush = stream_flush_bytes,
	.finish = plain_finish,
	.has_end = true,
	.short_read_is_all = true,
};

/* A read stops in front of a message that carries descriptors, so only EAGAIN proves anything (unix(7)). */
const struct stream_ops network_unix_ops = {
	.read = plain_read,
	.send = network_send,
	.write = stream_write_bytes,
	.send_file = plain_send_file,
	.flush = stream_flush_bytes,
	.finish = plain_finish,
	.has_end = true,
};

/* Keeps the invariant: LOOP_OUT is wanted while there is a backlog. */
void stream_update(struct stream *stream) {
	unsigned want = stream->io.want & LOOP_IN;
	if(stream->out.len > 0 || stream->starved) {
		want |= LOOP_OUT;
	}
	loop_want(stream->loop, &stream->io, want);
}

static void stream_break(struct stream *stream, int error) {
	stream->error = (uint16_t)(error < 0 ? -error : error);
	stream->starved = false;
	bufq_consume(&stream->out, &stream->loop->pool, stream->out.len);
	stream_update(stream);
}

static void stream_finish_now(struct stream *stream) {
	if(stream->finishing && !stream->finished && stream->out.len == 0 && !stream->error) {
		stream->finished = stream->ops->finish(stream);
	}
}

static unsigned stream_flush(struct stream *stream) {
	size_t before = stream->out.len;
	bool starved = stream->starved;
	stream->starved = false;
	if(stream->error) {
		stream_update(stream);
		return STREAM_BROKEN;
	}
	int result = stream->ops->flush(stream);
	if(result) {
		stream_break(stream, result);
		return STREAM_BROKEN;
	}
	stream_update(stream);
	stream_finish_now(stream);
	if(stream->out.len == before && !starved) {
		return 0;
	}
	stream->progress_ms = stream->loop->now_ms;
	return STREAM_PROGRESS;
}

static void stream_run(struct ev_io *io) {
	struct stream *stream = container_of(io, struct stream, io);
	unsigned events = 0;
	if(io->ready & io->want & LOOP_OUT) {
		events |= stream_flush(stream);
	}
	if(io->ready & io->want & LOOP_IN) {
		events |= STREAM_READABLE;
	}
	if(events) {
		stream->fn(stream, events);
	}
}

static void stream_init(
	struct stream *stream, struct loop *loop, const struct stream_ops *ops, stream_fn *fn) {
	stream->ops = ops;
	stream->loop = loop;
	stream->fn = fn;
	stream->state = NULL;
	stream->out = (struct bufq){0};
	stream->progress_ms = 0;
	stream->sent = 0;
	stream->taken = 0;
	stream->error = 0;
	stream->finishing = false;
	stream->finished = false;
	stream->ending = false;
	stream->datagram = false;
	stream->ended = false;
	stream->starved = false;
}

int stream_open(struct stream *stream, struct loop *loop, int fd, const struct stream_ops *ops,
	stream_fn *fn) {
	stream_init(stream, loop, ops, fn);
	int result = loop_add(loop, &stream->io, fd, LOOP_OUT, LOOP_IN, stream_run);
	if(result) {
		close(fd);
		stream->io.fd = -1;
	}
	return result;
}

void stream_adopt(struct stream *stream, struct loop *loop, struct ev_io *io,
	const struct stream_ops *ops, stream_fn *fn) {
	stream_init(stream, loop, ops, fn);
	loop_move(loop, io, &stream->io, LOOP_IN, stream_run);
}

void stream_close(struct stream *stream) {
	if(!stream_is_open(stream)) {
		return;
	}
	if(stream->ops->destroy) {
		stream->ops->destroy(stream);
	}
	bufq_consume(&stream->out, &stream->loop->pool, stream->out.len);
	loop_close_io(stream->loop, &stream->io);
}

bool stream_is_open(const struct stream *stream) {
	return stream->io.fd >= 0;
}

ssize_t stream_read(struct stream *stream, void *data, size_t cap) {
	ssize_t got = stream->ops->read(stream, data, cap);
	if(got > 0 || got == -EMSGSIZE || (got == 0 && stream->datagram)) {
		return got;
	}
	if(got != -EAGAIN || !stream->state) {
		/* A kind that takes more off the socket than it hands on knows itself when that is empty. */
		loop_used_up(&stream->io, LOOP_IN);
	}
	if(got != -EAGAIN) {
		stream->ended = true;
		stream_want_read(stream, false);
	}
	return got;
}

ssize_t stream_peek(struct stream *stream, void *data, size_t cap) {
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, data, cap, MSG_PEEK));
	if(got < 0 && errno == EAGAIN) {
		loop_used_up(&stream->io, LOOP_IN);
		return -EAGAIN;
	}
	return got < 0 ? -errno : got;
}

bool stream_readable(const struct stream *stream) {
	return stream->io.ready & stream->io.want & LOOP_IN;
}

void stream_want_read(struct stream *stream, bool want) {
	unsigned bits = stream->io.want & ~LOOP_IN;
	if(want && !stream->ended) {
		bits |= LOOP_IN;
	}
	loop_want(stream->loop, &stream->io, bits);
}

int stream_queue(struct stream *stream, const struct iovec *iov, int count, size_t skip) {
	if(stream->out.len == 0) {
		stream->progress_ms = stream->loop->now_ms;
		if(!(stream->io.ready & LOOP_OUT)) {
			stream_outstanding(
				stream); /* the kernel is full: progress counts from here */
		}
	}
	for(int i = 0; i < count; i++) {
		if(skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		const uint8_t *from = (const uint8_t *)iov[i].iov_base + skip;
		if(bufq_append(&stream->out, &stream->loop->pool, from, iov[i].iov_len - skip)) {
			return -ENOMEM;
		}
		skip = 0;
	}
	stream_update(stream);
	return 0;
}

int stream_writev(struct stream *stream, const struct iovec *iov, int count) {
	assert(!stream->finishing);
	if(stream->error) {
		return -stream->error;
	}
	size_t total = 0;
	for(int i = 0; i < count; i++) {
		total += iov[i].iov_len;
	}
	if(total == 0 && !stream->datagram) {
		return 0;
	}
	int result = stream->ops->write(stream, iov, count, total);
	if(result && result != -EMSGSIZE) {
		stream_break(stream, result);
		/* Callers need not look: the owner is told with the next turn. */
		loop_want(stream->loop, &stream->io, stream->io.want | LOOP_OUT);
		loop_set_ready(stream->loop, &stream->io, LOOP_OUT);
	}
	return result;
}

int stream_write(struct stream *stream, const void *data, size_t len) {
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	return stream_writev(stream, &iov, 1);
}

int stream_write_last(struct stream *stream, const void *data, size_t len) {
	stream->ending = true;
	int result = stream_write(stream, data, len);
	stream->ending = false;
	stream_finish(stream);
	return result;
}

/* For kinds that have to see the bytes, and file systems that cannot do without. */
static ssize_t send_file_copy(struct stream *stream, int file, uint64_t offset, size_t max) {
	uint8_t *scratch = stream->loop->scratch;
	size_t want = max < SEND_FILE_READ ? max : SEND_FILE_READ;
	ssize_t got = RETRY_INTERRUPTED(pread(file, scratch, want, (off_t)offset));
	if(got <= 0) {
		return got < 0 ? -errno : 0;
	}
	int result = stream_write(stream, scratch, (size_t)got);
	return result ? result : got;
}

/* The kernel is full: the owner is told when there is room. */
static void stream_starve(struct stream *stream) {
	stream_outstanding(stream);
	stream->progress_ms = stream->loop->now_ms;
	stream->starved = true;
	loop_used_up(&stream->io, LOOP_OUT);
	stream_update(stream);
}

ssize_t stream_send_file(struct stream *stream, int file, uint64_t offset, size_t max) {
	assert(!stream->finishing && !stream->datagram);
	if(stream->error) {
		return -stream->error;
	}
	if(stream->out.len > 0) {
		return -EAGAIN;
	}
	if(!stream->ops->send_file) {
		return send_file_copy(stream, file, offset, max);
	}
	ssize_t sent = stream->io.ready & LOOP_OUT
		? stream->ops->send_file(stream->io.fd, file, offset, max)
		: -EAGAIN;
	if(sent == -EINVAL || sent == -ENOSYS) {
		return send_file_copy(stream, file, offset, max);
	}
	if(sent > 0) {
		stream->sent += (uint32_t)sent;
	} else if(sent == -EAGAIN) {
		stream_starve(stream);
	}
	return sent;
}

const char *stream_reason(const struct stream *stream, int error) {
	const char *reason = stream->ops->reason ? stream->ops->reason(stream) : NULL;
	return reason ? reason : strerror(-error);
}

size_t stream_backlog(const struct stream *stream) {
	return stream->out.len;
}

size_t stream_outstanding(struct stream *stream) {
	int waiting;
	if(ioctl(stream->io.fd, SIOCOUTQ, &waiting) < 0) {
		return stream->out.len; /* a fifo cannot tell */
	}
	uint32_t taken = stream->sent - (uint32_t)waiting;
	if(taken != stream->taken) {
		stream->taken = taken;
		stream->progress_ms = stream->loop->now_ms;
	}
	return stream->out.len + (size_t)waiting;
}

void stream_finish(struct stream *stream) {
	stream->finishing = true;
	stream_finish_now(stream);
}

/* ---- sockets ---- */

static void format_unix(const struct sockaddr_un *address, socklen_t len, char *out, size_t cap) {
	size_t path_len = len > offsetof(struct sockaddr_un, sun_path)
		? len - offsetof(struct sockaddr_un, sun_path)
		: 0;
	if(path_len == 0) {
		snprintf(out, cap, "unix");
	} else if(address->sun_path[0] == '\0') {
		snprintf(out, cap, "unix:@%.*s", (int)(path_len - 1), address->sun_path + 1);
	} else {
		snprintf(out, cap, "unix:%.*s", (int)strnlen(address->sun_path, path_len),
			address->sun_path);
	}
}

static void format_ip(const char *host, bool brackets, in_port_t port, char *out, size_t cap) {
	if(port == 0) {
		snprintf(out, cap, "%s", host); /* a proxy has told the address alone */
	} else {
		snprintf(out, cap, brackets ? "[%s]:%u" : "%s:%u", host, ntohs(port));
	}
}

void network_format_address(const struct sockaddr *address, socklen_t len, char *out, size_t cap) {
	char host[INET6_ADDRSTRLEN];
	if(address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		format_ip(host, false, in->sin_port, out, cap);
	} else if(address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
		bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
		if(mapped) {
			/* A dual-stack listener shows IPv4 clients like this; people know them without. */
			inet_ntop(AF_INET, &in->sin6_addr.s6_addr[12], host, sizeof(host));
		} else {
			inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		}
		format_ip(host, !mapped, in->sin6_port, out, cap);
	} else if(address->sa_family == AF_UNIX) {
		format_unix((const struct sockaddr_un *)(const void *)address, len, out, cap);
	} else {
		snprintf(out, cap, "unknown");
	}
}

int network_socket(int family, int type) {
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int network_connect(int fd, const struct sockaddr *address, socklen_t len) {
	if(connect(fd, address, len) == 0) {
		return 0;
	}
	/* An interrupted connect() goes on in the background, too. */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

int network_connect_result(int fd) {
	int error = 0;
	socklen_t len = sizeof(error);
	if(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
		return -errno;
	}
	return -error;
}

void network_tune(int fd) {
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Is a listening socket at this path alive? A leftover of a process that died is not. */
static bool unix_alive(const struct sockaddr_un *address, socklen_t len) {
	int fd = network_socket(AF_UNIX, SOCK_STREAM);
	if(fd < 0) {
		return true;
	}
	int result = network_connect(fd, (const struct sockaddr *)address, len);
	close(fd);
	return result != -ECONNREFUSED && result != -ENOENT;
}

/* Removes a stale socket; refuses to remove anything else. */
static int unix_clear(const struct sockaddr_un *address, socklen_t len) {
	struct stat status;
	if(lstat(address->sun_path, &status) < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if(!S_ISSOCK(status.st_mode)) {
		return -EEXIST;
	}
	if(unix_alive(address, len)) {
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

struct unix_spec {
	struct sockaddr_un address;
	socklen_t len;
	mode_t mode;
	bool has_mode;
};

static int unix_parse(const char *spec, struct unix_spec *out) {
	*out = (struct unix_spec){.address.sun_family = AF_UNIX};
	const char *end = strstr(spec, ",mode=");
	size_t len = end ? (size_t)(end - spec) : strlen(spec);
	if(len == 0 || len >= sizeof(out->address.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(out->address.sun_path, spec, len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if(spec[0] == '@') {
		out->address.sun_path[0] = '\0';
	} else {
		out->len++;
	}
	if(end) {
		char *rest;
		unsigned long mode = strtoul(end + strlen(",mode="), &rest, 8);
		if(*rest != '\0' || rest == end + strlen(",mode=") || mode > 0777) {
			return -EINVAL;
		}
		out->mode = (mode_t)mode;
		out->has_mode = true;
	}
	return 0;
}

/* Binds with the wanted permissions from the start: the socket is never open wider for a moment. */
static int unix_bind(int fd, const struct unix_spec *spec) {
	bool path = spec->address.sun_path[0] != '\0';
	if(path && spec->has_mode && fchmod(fd, spec->mode) < 0) {
		return -errno;
	}
	if(bind(fd, (const struct sockaddr *)&spec->address, spec->len) < 0) {
		return -errno;
	}
	/* bind() took the umask off. */
	if(path && spec->has_mode && chmod(spec->address.sun_path, spec->mode) < 0) {
		return -errno;
	}
	return listen(fd, SOMAXCONN) < 0 ? -errno : 0;
}

static int listen_unix(const char *path, int *out) {
	struct unix_spec spec;
	int result = unix_parse(path, &spec);
	if(result == 0 && path[0] != '@') {
		result = unix_clear(&spec.address, spec.len);
	}
	if(result) {
		return result;
	}
	int fd = network_socket(AF_UNIX, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	result = unix_bind(fd, &spec);
	if(result) {
		close(fd);
		return result;
	}
	*out = fd;
	return 0;
}

static int listen_address(const struct sockaddr *address, socklen_t len) {
	int fd = network_socket(address->sa_family, SOCK_STREAM);
	if(fd < 0) {
		return fd;
	}
	int on = 1;
	int off = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted sockets inherit it: one system call less for each connection. */
	network_tune(fd);
	if(address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;
		bool any = IN6_IS_ADDR_UNSPECIFIED(&in->sin6_addr);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof(on));
	}
	if(bind(fd, address, len) < 0 || listen(fd, SOMAXCONN) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

/* Every address that a name has, or the one of a literal. */
static int listen_name(const char *host, uint16_t port, int *fds, int max, const char **why) {
	char service[8];
	snprintf(service, sizeof(service), "%u", port);
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int result = getaddrinfo(host, service, &hints, &list);
	if(result) {
		*why = gai_strerror(result);
		return -EADDRNOTAVAIL;
	}
	int count = 0;
	int error = -EADDRNOTAVAIL;
	for(struct addrinfo *at = list; at && count < max; at = at->ai_next) {
		int fd = listen_address(at->ai_addr, at->ai_addrlen);
		if(fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
			continue; /* a name may have addresses that this machine has not */
		}
		if(fd < 0) {
			error = fd;
			break;
		}
		fds[count++] = fd;
		error = 0;
	}
	freeaddrinfo(list);
	if(error) {
		while(count > 0) {
			close(fds[--count]);
		}
		*why = strerror(-error);
		return error;
	}
	return count;
}

static int listen_everywhere(uint16_t port, int *fds, const char **why) {
	int result = listen_name("::", port, fds, 1, why);
	if(result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) {
		result = listen_name("0.0.0.0", port, fds, 1, why);
	}
	return result;
}

int network_listen(
	const char *spec, uint16_t port, int *fds, int max, char *error, size_t error_cap) {
	const char *why = NULL;
	bool local = spec && strncmp(spec, "unix:", 5) == 0;
	int result;
	assert(max > 0);
	if(!spec) {
		result = listen_everywhere(port, fds, &why);
	} else if(local) {
		result = listen_unix(spec + 5, fds);
		result = result ? result : 1;
	} else {
		char host[256];
		size_t len = strlen(spec);
		bool brackets = len > 2 && spec[0] == '[' && spec[len - 1] == ']';
		snprintf(host, sizeof(host), "%.*s", (int)(brackets ? len - 2 : len),
			spec + brackets);
		result = listen_name(host, port, fds, max, &why);
	}
	if(result < 0) {
		const char *text = result == -EEXIST ? "something that is no socket is in the way"
						     : strerror(-result);
		if(local) {
			snprintf(error, error_cap, "cannot listen on %s: %s", spec, text);
		} else {
			snprintf(error, error_cap, "cannot listen on %s, port %u: %s",
				spec ? spec : "::", port, why ? why : text);
		}
	}
	return result;
}
