/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of plugins to servers.
 *
 * It must not know backends or connections.
 *
 * Invariants: the plugin is told about the end once, and never from within its own call; after
 * service_stream_close() it is told nothing; the memory stays until the end of the turn.
 */
#include "plugin/service_stream.h"

#include "network/connect.h"
#include "network/peer.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_STREAM_READS 4 /* in one turn */
#define SERVICE_STREAM_READ (64 * 1024) /* bytes in one read */
#define SERVICE_STREAM_QUEUE (1024 * 1024) /* bytes that the server has not taken */
#define SERVICE_STREAM_WHY 512

enum service_stream_state {
	SERVICE_STREAM_CONNECTS, /* the TLS handshake included */
	SERVICE_STREAM_OPEN,
	SERVICE_STREAM_ENDED, /* the plugin knows */
	SERVICE_STREAM_CLOSED /* by the plugin */
};

struct websocksy_stream {
	struct service_handle handle;
	struct peer_address address;
	struct connect *connect;
	struct tls_credentials *credentials;
	struct stream stream;
	struct ev_timer timer; /* connect-timeout */
	struct loop_task task; /* tells what was known within service_stream_connect() */
	enum service_stream_state state;
	int result; /* for `task` */
	char *why; /* of an error of service_stream_connect(), for `task` */
	websocksy_stream_fn *fn;
	void *ctx;
	struct deferred_free dead;
};

static struct plugin_host *host_of(const struct websocksy_stream *stream) {
	return stream->handle.services->host;
}

static void tell(struct websocksy_stream *stream, const struct websocksy_event *event) {
	stream->fn(stream->ctx, event);
}

/* Frees what it holds, except its memory. */
static void release(struct websocksy_stream *stream) {
	loop_task_cancel(&stream->task);
	loop_timer_close(host_of(stream)->loop, &stream->timer);
	connect_free(stream->connect);
	stream->connect = NULL;
	stream_close(&stream->stream);
	tls_credentials_unref(stream->credentials);
	stream->credentials = NULL;
}

/* `why` NULL: the server has closed. */
static void ended(struct websocksy_stream *stream, const char *why) {
	struct websocksy_event event = {.kind = WEBSOCKSY_END};
	char text[SERVICE_STREAM_WHY];
	if(why) {
		/* It may be part of something that is released. */
		snprintf(text, sizeof(text), "%s", why);
		event.error = text;
	}
	stream->state = SERVICE_STREAM_ENDED;
	release(stream);
	tell(stream, &event);
}

static void connected(struct websocksy_stream *stream) {
	struct websocksy_event event = {.kind = WEBSOCKSY_CONNECTED};
	stream->state = SERVICE_STREAM_OPEN;
	loop_timer_cancel(host_of(stream)->loop, &stream->timer);
	tell(stream, &event);
}

static void read_some(struct websocksy_stream *stream) {
	struct loop *loop = host_of(stream)->loop;
	for(int i = 0; i < SERVICE_STREAM_READS && stream->state == SERVICE_STREAM_OPEN &&
		stream_readable(&stream->stream);
		i++) {
		ssize_t got = stream_read(&stream->stream, loop->scratch, SERVICE_STREAM_READ);
		if(got == -EAGAIN) {
			return;
		}
		if(got <= 0) {
			ended(stream, got == 0 ? NULL : stream_reason(&stream->stream, (int)got));
			return;
		}
		struct websocksy_event event = {
			.kind = WEBSOCKSY_DATA, .data = loop->scratch, .len = (size_t)got};
		tell(stream, &event);
	}
}

static void stream_event(struct stream *io, unsigned events) {
	struct websocksy_stream *stream = container_of(io, struct websocksy_stream, stream);
	if(stream->state == SERVICE_STREAM_CONNECTS) {
		int result = tls_stream_handshake(io);
		if(result == 0) {
			connected(stream);
		} else if(result != -EAGAIN) {
			char why[SERVICE_STREAM_WHY];
			snprintf(why, sizeof(why), "TLS failed: %s", stream_reason(io, result));
			ended(stream, why);
		}
		return;
	}
	if(events & STREAM_READABLE) {
		read_some(stream);
	}
	if((events & STREAM_BROKEN) && stream->state == SERVICE_STREAM_OPEN) {
		ended(stream, stream_reason(io, -io->error));
	}
}

/* The socket is connected: TLS begins, if there is any. */
static void begin(struct websocksy_stream *stream) {
	const struct peer_address *address = &stream->address;
	if(!address->kind->tls) {
		connected(stream);
		return;
	}
	const char *name = address->tls.sni ? address->tls.sni : address->host;
	int result = tls_session_connect(&stream->stream, stream->credentials, name);
	if(result) {
		ended(stream,
			result == -EINVAL ? "TLS cannot ask for that name" : strerror(-result));
		return;
	}
	loop_set_ready(host_of(stream)->loop, &stream->stream.io, LOOP_IN);
}

static void connect_result(void *ctx, int error, const char *why) {
	struct websocksy_stream *stream = ctx;
	if(!error) {
		error = connect_take(stream->connect, &stream->stream, stream_event);
		why = error ? strerror(-error) : NULL;
	}
	connect_free(stream->connect);
	stream->connect = NULL;
	if(error) {
		ended(stream, why);
	} else {
		begin(stream);
	}
}

static void connect_due(struct ev_timer *timer) {
	ended(container_of(timer, struct websocksy_stream, timer),
		"no connection in time (connect-timeout)");
}

/* What service_stream_connect() knew already. */
static void tell_result(struct loop_task *task) {
	struct websocksy_stream *stream = container_of(task, struct websocksy_stream, task);
	if(stream->result) {
		ended(stream, stream->why ? stream->why : strerror(-stream->result));
	} else {
		connect_result(stream, 0, NULL);
	}
}

static void free_stream(struct deferred_free *dead) {
	struct websocksy_stream *stream = container_of(dead, struct websocksy_stream, dead);
	peer_address_free(&stream->address);
	free(stream->why);
	free(stream);
}

static void stream_end(struct service_handle *handle) {
	struct websocksy_stream *stream = container_of(handle, struct websocksy_stream, handle);
	service_handle_close(handle);
	release(stream);
	stream->state = SERVICE_STREAM_CLOSED;
	stream->dead.free = free_stream;
	loop_defer_free(host_of(stream)->loop, &stream->dead);
}

/* Only kinds that are streams of bytes of a server. */
static const char *check_kind(const struct peer_kind *kind) {
	bool usable = kind->connect == connect_network || kind->connect == connect_unix;
	return usable && !kind->messages
		? NULL
		: "must be the address of a server: tcp://, tls:// or unix://";
}

/* 0: connected; -EINPROGRESS; other negative errno, with a reason in stream->why if it is known. */
static int start(struct websocksy_stream *stream, const char *address) {
	struct plugin_host *host = host_of(stream);
	struct connect_owner owner = {.loop = host->loop,
		.resolver = host->resolver,
		.fn = connect_result,
		.ctx = stream};
	char text[SERVICE_STREAM_WHY];
	const char *why = NULL;
	int result = peer_parse(peer_transport_detect, address, NULL, &stream->address, &why);
	if(result == 0) {
		why = check_kind(stream->address.kind);
		result = why ? -EINVAL : 0;
	}
	if(result == 0 && stream->address.kind->tls) {
		result = tls_cache_find(
			host->tls_cache, &stream->address.tls, &stream->credentials, text);
		why = result ? text : NULL;
	}
	if(result == 0) {
		result = connect_start(&stream->connect, &stream->address, &owner, &why);
	}
	if(result && result != -EINPROGRESS && why) {
		stream->why = strdup(why);
	}
	return result;
}

struct websocksy_stream *service_stream_connect(const struct websocksy_core *core,
	const char *address, websocksy_stream_fn *fn, void *ctx) {
	struct services *services = services_enter(core, "connect");
	struct websocksy_stream *stream = services ? calloc(1, sizeof(*stream)) : NULL;
	if(!stream) {
		return NULL;
	}
	struct loop *loop = services->host->loop;
	stream->fn = fn;
	stream->ctx = ctx;
	stream->stream.io.fd = -1;
	stream->task.fn = tell_result;
	if(loop_timer_open(loop, &stream->timer, connect_due)) {
		free(stream);
		return NULL;
	}
	service_handle_open(&stream->handle, services, stream_end);
	stream->result = start(stream, address);
	if(stream->result == -EINPROGRESS) {
		loop_timer_set(
			loop, &stream->timer, loop->now_ms + services->host->connect_timeout_ms);
		return stream;
	}
	loop_next_turn(loop, &stream->task);
	return stream;
}

int service_stream_write(struct websocksy_stream *stream, const void *data, size_t len) {
	if(stream->state == SERVICE_STREAM_CONNECTS) {
		return -ENOTCONN;
	}
	if(stream->state != SERVICE_STREAM_OPEN) {
		return 0;
	}
	if(stream_backlog(&stream->stream) > SERVICE_STREAM_QUEUE) {
		return -ENOMEM;
	}
	return stream_write(&stream->stream, data, len) == -ENOMEM ? -ENOMEM : 0;
}

void service_stream_close(struct websocksy_stream *stream) {
	stream_end(&stream->handle);
}

const char *service_stream_check(const char *text) {
	struct peer_address address;
	const char *why = NULL;
	int result = peer_parse(peer_transport_detect, text, NULL, &address, &why);
	if(result == 0) {
		why = NULL;
	}
	peer_address_free(&address);
	return result == -ENOMEM ? "out of memory" : why;
}
