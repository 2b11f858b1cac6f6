/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection object.
 *
 * Must not know: HTTP, frames, framings.
 * Invariants: a phase changes in connection_enter() only; every path ends in connection_close(),
 * which frees framing state while plugins and the backend are still loaded; after it nothing is
 * called back.
 */
#include "bridge/connection.h"

#include "base/address.h"
#include "bridge/access.h"
#include "bridge/tap.h"
#include "service/shared.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_READS 4 /* reads thrown away in one turn */
#define LINGER_CHECK_MS 50 /* while the daemon stops */

/*
 * Together with the overhead of the C library and the tables of the loop, an idle connection has to
 * stay below 560 bytes.
 */
#ifndef LOOP_CHECK /* which makes every io larger */
static_assert(sizeof(struct connection) <= 504, "a connection stays small");
#endif

static const struct phase *phase_of(const struct connection *connection) {
	return &connection->env->phases[connection->phase];
}

static void client_event(struct stream *stream, unsigned events) {
	struct connection *connection = container_of(stream, struct connection, client);
	const struct phase *phase = phase_of(connection);
	assert(phase->client);
	phase->client(connection, events);
}

void connection_peer_event(struct stream *stream, unsigned events) {
	struct connection *connection = container_of(stream, struct connection, peer);
	const struct phase *phase = phase_of(connection);
	assert(phase->peer);
	phase->peer(connection, events);
}

static void timer_event(struct ev_timer *timer) {
	struct connection *connection = container_of(timer, struct connection, timer);
	const struct phase *phase = phase_of(connection);
	assert(phase->deadline);
	phase->deadline(connection);
}

static void connection_free(struct deferred_free *dead) {
	free(container_of(dead, struct connection, dead));
}

struct connection *connection_new(
	struct connection_env *env, int fd, const struct sockaddr *address, socklen_t len) {
	struct connection *connection = calloc(1, sizeof(*connection));
	if(!connection) {
		close(fd);
		return NULL;
	}
	connection->env = env;
	connection->peer.io.fd = -1;
	connection->phase = CONNECTION_HEAD;
	connection->id = env->shared ? shared_next_id(env->shared) : ++env->next_id;
	connection->since_ms = env->loop->now_ms;
	/* A Unix client has no address worth keeping: its family alone is copied. */
	size_t known = len < sizeof(connection->address) ? len : sizeof(connection->address);
	memcpy(&connection->address, address,
		address->sa_family == AF_UNIX ? sizeof(sa_family_t) : known);
	const struct stream_ops *ops =
		address->sa_family == AF_UNIX ? &stream_unix_ops : &stream_tcp_ops;
	if(loop_timer_open(env->loop, &connection->timer, timer_event)) {
		close(fd);
		free(connection);
		return NULL;
	}
	if(stream_open(&connection->client, env->loop, fd, ops, client_event)) {
		loop_timer_close(env->loop, &connection->timer);
		free(connection);
		return NULL;
	}
	connection->reloads = env->reloads;
	list_append(&env->connections, &connection->link);
	return connection;
}

int connection_name_peer(struct connection *connection, const char *text) {
	assert(!connection->peer_name);
	connection->peer_name = names_take(&connection->env->names, text, strlen(text));
	return connection->peer_name ? 0 : -ENOMEM;
}

bool connection_has_input(const struct connection *connection) {
	const struct stream *client = &connection->client;
	int waiting;
	if(connection->partial_is_input) {
		return true;
	}
	if(!stream_is_open(client) || client->ended) {
		return false;
	}
	/* A kind with a state (TLS) stays ready while it holds bytes itself. */
	return (client->state && (client->io.ready & LOOP_IN)) ||
		(ioctl(client->io.fd, FIONREAD, &waiting) == 0 && waiting > 0);
}

void connection_reset_peer(struct connection *connection) {
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	setsockopt(connection->peer.io.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	stream_close(&connection->peer);
}

/* With `finished` everything is the kernel's, which goes on sending. */
static bool is_cut(const struct connection *connection) {
	const struct stream *peer = &connection->peer;
	return connection->upgraded && stream_is_open(peer) && !peer->finished &&
		(stream_backlog(peer) > 0 || connection_has_input(connection));
}

void connection_check_end(struct connection_env *env) {
	if(!env->ending || !list_is_empty(&env->connections)) {
		return;
	}
	program_stop(&env->program);
	if(env->processes.count == 0) {
		env->loop->stop = true;
	}
}

void connection_close(struct connection *connection) {
	if(connection->phase == CONNECTION_DEAD) {
		return;
	}
	struct connection_env *env = connection->env;
	tap_end(connection);
	if(connection->upgraded) {
		access_closed(connection);
	}
	if(connection->bound) {
		sessions_leave(connection);
	}
	connection_enter(connection, CONNECTION_DEAD);
	loop_timer_close(env->loop, &connection->timer);
	struct dynbuf *collected = framing_collected(&connection->to_client.framing);
	if(collected) {
		memory_free(env, collected);
	}
	framing_close(&connection->to_client.framing);
	backend_unref(connection->backend);
	websocket_parser_free(&connection->to_peer.parser);
	memory_free(env, &connection->partial);
	free(connection->kept_ping); /* or the note */
	connection->kept_ping = NULL;
	connection->noted = false;
	names_drop(connection->peer_name);
	connection->peer_name = NULL;
	if(is_cut(connection)) {
		connection_reset_peer(connection);
	}
	stream_close(&connection->client);
	stream_close(&connection->peer);
	list_remove(&connection->link);
	admission_leave(connection);
	if(connection->upgraded) {
		lifetime_leave(&env->lifetime);
	}
	connection_check_end(env);
	connection->dead.free = connection_free;
	loop_defer_free(env->loop, &connection->dead);
}

void connection_close_all(struct connection_env *env) {
	while(!list_is_empty(&env->connections)) {
		connection_close(container_of(env->connections.next, struct connection, link));
	}
}

void connection_enter(struct connection *connection, enum connection_phase phase) {
	const struct phase *before = phase_of(connection);
	assert(before->next & (1u << phase));
	if(before->leave) {
		before->leave(connection, phase);
	}
	connection->phase = (uint8_t)phase;
}

void connection_set_deadline(struct connection *connection, uint64_t due_ms) {
	loop_timer_set(connection->env->loop, &connection->timer, due_ms);
}

/* ---- lingering ---- */

bool connection_progresses(struct stream *stream, uint64_t patience_ms, uint64_t *due_ms) {
	if(!stream_is_open(stream)) {
		return false;
	}
	stream_outstanding(stream);
	*due_ms = stream->progress_ms + patience_ms;
	return *due_ms > stream->loop->now_ms;
}

/* Reads and forgets, in case there are passwords. True: this side has ended. */
static bool linger_discard(struct stream *stream) {
	uint8_t *scratch = stream->loop->scratch;
	for(int i = 0; i < LINGER_READS && stream_readable(stream); i++) {
		ssize_t got = stream_read(stream, scratch, LOOP_SCRATCH_SIZE);
		if(got == -EAGAIN) {
			break;
		}
		explicit_bzero(scratch, got > 0 ? (size_t)got : 0);
	}
	return stream->ended;
}

/* A side is done when nothing more goes to it and nothing more can come from it. */
static void linger_side(struct stream *stream, unsigned events) {
	if(!stream_is_open(stream)) {
		return;
	}
	bool ended = stream->ended;
	if(events & STREAM_READABLE) {
		ended = linger_discard(stream);
	}
	if(stream->error || (stream->finished && (ended || !stream->ops->has_end))) {
		stream_close(stream);
	}
}

static void linger_event(struct connection *connection, struct stream *stream, unsigned events) {
	linger_side(stream, events);
	if(!stream_is_open(&connection->client) && !stream_is_open(&connection->peer)) {
		connection_close(connection);
	}
}

void connection_linger_client(struct connection *connection, unsigned events) {
	linger_event(connection, &connection->client, events);
}

void connection_linger_peer(struct connection *connection, unsigned events) {
	linger_event(connection, &connection->peer, events);
}

bool connection_drains(struct stream *stream, uint64_t patience_ms, uint64_t *due_ms) {
	return stream_is_open(stream) && stream_outstanding(stream) > 0 &&
		connection_progresses(stream, patience_ms, due_ms);
}

/* Has the other side acknowledged all that it was sent, so that nothing is lost by closing? */
static bool has_all(struct stream *stream) {
	return !stream_is_open(stream) || (stream->finished && stream_outstanding(stream) == 0);
}

/*
 * The exit does not wait for clients that have their response and only do not close. An
 * acknowledgement makes no event, so that it is looked for again.
 */
void connection_linger_shutdown(struct connection *connection) {
	uint64_t patience_ms = connection->env->settings->close_timeout_ms;
	uint64_t check_ms = connection->env->loop->now_ms + LINGER_CHECK_MS;
	uint64_t due_ms;
	bool done = has_all(&connection->client) && has_all(&connection->peer) &&
		!connection_has_input(connection);
	if(done ||
		(!connection_progresses(&connection->client, patience_ms, &due_ms) &&
			!connection_progresses(&connection->peer, patience_ms, &due_ms))) {
		connection_close(connection);
	} else {
		connection_set_deadline(connection, due_ms < check_ms ? due_ms : check_ms);
	}
}

/*
 * close-timeout: measures how long neither side has taken any of what is queued for it, here and in
 * the kernel. What they send is read and thrown away, so it moves nothing.
 */
void connection_linger_deadline(struct connection *connection) {
	uint64_t patience_ms = connection->env->settings->close_timeout_ms;
	uint64_t due_ms;
	uint64_t now_ms = connection->env->loop->now_ms;
	if(!connection->upgraded && now_ms >= connection->taken_by_ms) {
		connection_close(connection);
		return;
	}
	if(connection->env->draining) {
		connection_linger_shutdown(connection);
		return;
	}
	if(connection_drains(&connection->client, patience_ms, &due_ms) ||
		connection_drains(&connection->peer, patience_ms, &due_ms)) {
		connection_set_deadline(connection, due_ms);
		return;
	}
	connection_close(connection);
}

static void linger_begin(struct stream *stream) {
	if(stream_is_open(stream)) {
		stream_finish(stream);
		stream_want_read(stream, true);
		linger_side(stream, 0);
	}
}

void connection_linger(struct connection *connection) {
	struct connection_env *env = connection->env;
	connection_enter(connection, CONNECTION_LINGER);
	linger_begin(&connection->client);
	linger_begin(&connection->peer);
	if(!stream_is_open(&connection->client) && !stream_is_open(&connection->peer)) {
		connection_close(connection);
		return;
	}
	uint64_t due_ms = env->loop->now_ms + env->settings->close_timeout_ms;
	if(!connection->upgraded) {
		size_t left = stream_outstanding(&connection->client);
		connection->taken_by_ms = due_ms + (uint64_t)left * 1000 / CONNECTION_RATE_MIN;
	}
	connection_set_deadline(connection, due_ms);
}

/* ---- log ---- */

static void log_line(const struct connection *connection, enum log_level level, const char *format,
	va_list arguments) {
	char client[ADDRESS_TEXT];
	char text[1024];
	address_format(&connection->address.any, sizeof(sa_family_t), client, sizeof(client));
	vsnprintf(text, sizeof(text), format, arguments);
	const struct log_subject subject = {.id = connection->id, .client = client};
	log_event(level, &subject, text, NULL, 0);
}

void connection_log(
	const struct connection *connection, enum log_level level, const char *format, ...) {
	if(log_enabled(level)) {
		va_list arguments;
		va_start(arguments, format);
		log_line(connection, level, format, arguments);
		va_end(arguments);
	}
}

void connection_log_limited(struct connection *connection, enum log_kind kind, enum log_level level,
	const char *format, ...) {
	struct connection_env *env = connection->env;
	if(log_enabled(level) &&
		log_limit_client(
			&env->log_limits, kind, level, &connection->address, env->loop->now_ms)) {
		va_list arguments;
		va_start(arguments, format);
		log_line(connection, level, format, arguments);
		va_end(arguments);
	}
}
