/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kind of stream that speaks TLS.
 *
 * Must not know: HTTP, WebSocket, connections, certificates.
 * Invariants: GnuTLS never touches a descriptor: its pull function takes from what one recv()
 * brought, its push function appends to the stream's queue and always succeeds; plaintext that
 * GnuTLS still holds keeps the stream readable.
 * Implements RFC 8446 and RFC 5246 through GnuTLS.
 */
#include "network/tls_stream.h"

#include "base/passes.h"
#include "network/tls_handshake.h"
#include "network/tls_internal.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TLS_READ LOOP_SCRATCH_SIZE /* ciphertext taken off a socket at once */
#define TLS_GATHER (16 * 1024) /* small pieces are put together up to a record */
#define TLS_RECORDS 256 /* decrypted by one read: each costs as much as a kilobyte, however small */

/* ---- memory transport ---- */

static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t cap) {
	struct tls *tls = ptr;
	if(tls->in_len == 0) {
		if(tls->in_ended) {
			return 0;
		}
		gnutls_transport_set_errno(tls->session, EAGAIN);
		return -1;
	}
	size_t take = tls->in_len < cap ? tls->in_len : cap;
	memcpy(data, tls->in, take);
	tls->in += take;
	tls->in_len -= take;
	return (ssize_t)take;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count) {
	struct tls *tls = ptr;
	ssize_t total = 0;
	tls->answered = true;
	for(int i = 0; i < count; i++) {
		struct iovec piece = {iov[i].iov_base, iov[i].iov_len};
		if(stream_queue(tls->stream, &piece, 1, 0)) {
			gnutls_transport_set_errno(tls->session, ENOMEM);
			return -1;
		}
		total += (ssize_t)iov[i].iov_len;
	}
	return total;
}

void tls_stream_connect_session(struct tls *tls) {
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_vec_push_function(tls->session, push);
	/* There is nothing to wait with: deadlines are the owner's. */
	gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT);
}

/* ---- stream operations ---- */

/*
 * Input that GnuTLS can still process: bytes that it has not pulled, or plaintext that has not been
 * read.
 */
static bool has_input(const struct tls *tls) {
	return tls->in_len > 0 || gnutls_record_check_pending(tls->session) > 0;
}

/*
 * Takes ciphertext off the socket. 0: there is something, or the end; -EAGAIN; or negative errno.
 */
static int fill(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	uint8_t *into = stream->loop->ciphertext;
	ssize_t got = RETRY_INTERRUPTED(recv(stream->io.fd, into, TLS_READ, 0));
	if(got < 0) {
		int error = errno;
		if(error == EAGAIN) {
			loop_used_up(&stream->io, LOOP_IN);
		}
		return -error;
	}
	tls->in_ended = got == 0;
	tls->begun = tls->begun || got > 0;
	if(got > 0 && got < TLS_READ && tls->plain->short_read_is_all &&
		!(stream->io.ready & LOOP_HUP)) {
		loop_used_up(&stream->io, LOOP_IN);
	}
	tls->in = into;
	tls->in_len = (size_t)got;
	return 0;
}

/* The shared buffer belongs to the next stream: unused bytes are copied. */
static int keep_rest(struct tls *tls) {
	size_t len = tls->in_len;
	const uint8_t *from = tls->in;
	tls->in_len = 0;
	if(tls->rest.len > 0) {
		assert(len <= tls->rest.len);
		memmove(tls->rest.data, from, len);
		tls->rest.len = (uint32_t)len;
		if(len == 0) {
			dynbuf_free(&tls->rest);
		}
		return 0;
	}
	return dynbuf_append(&tls->rest, from, len);
}

/*
 * close_notify; or user_canceled, which Java says in front of it (RFC 8446, section 6.1). With TLS
 * 1.3 GnuTLS takes the latter for a failure that ends the session.
 */
static bool is_close_notify(const struct tls *tls, ssize_t status) {
	bool failed = status == GNUTLS_E_FATAL_ALERT_RECEIVED || status == GNUTLS_E_INVALID_SESSION;
	return status == 0 || (failed && gnutls_alert_get(tls->session) == GNUTLS_A_USER_CANCELED);
}

/* Warnings; and a client need not follow a server that wants new keys, RFC 5246 section 7.4.1.1. */
static bool may_ignore(const struct tls *tls, ssize_t status) {
	return status == GNUTLS_E_WARNING_ALERT_RECEIVED ||
		(status == GNUTLS_E_REHANDSHAKE && tls->name);
}

/*
 * What a result of gnutls_record_recv() other than bytes means: 0 at the end, -EAGAIN, or negative
 * errno.
 */
static int verdict_of(struct tls *tls, ssize_t status, bool repeat) {
	if(is_close_notify(tls, status)) {
		return 0;
	}
	if(status == GNUTLS_E_AGAIN || (repeat && may_ignore(tls, status))) {
		return -EAGAIN;
	}
	return tls_fail(tls, (int)status);
}

/*
 * One call of gnutls_record_recv(): bytes, 0 at the end, or negative errno; -EAGAIN: nothing yet,
 * and with `*idle` 0 or where there is more input the next call may bring something. The end and
 * errors are kept for the next read, because GnuTLS need not report them again: not every fatal
 * error invalidates the session.
 */
static ssize_t decrypt_once(struct tls *tls, uint8_t *data, size_t cap, int *idle) {
	size_t before = tls->in_len;
	ssize_t got = gnutls_record_recv(tls->session, data, cap);
	if(got > 0) {
		*idle = 0;
		return got;
	}
	bool repeat = tls_may_repeat(tls, before, idle);
	tls->verdict = verdict_of(tls, got, repeat);
	tls->over = tls->verdict != -EAGAIN;
	if(got == GNUTLS_E_AGAIN && *idle > 0) {
		*idle = TLS_IDLE_MAX; /* it waits for more than there is */
	}
	return tls->verdict;
}

/*
 * Decrypts what is there into `data`. GnuTLS is not asked whether nothing is left, which would cost
 * it half as much as a small record; behind a message of its own, like that of new keys, it returns
 * though there is more. Bytes, 0 at the end, -EAGAIN, or negative errno.
 */
static ssize_t decrypt(struct tls *tls, uint8_t *data, size_t cap) {
	size_t len = 0;
	int idle = 0;
	int records = 0;
	/*
	 * Each call takes ciphertext or hands out plaintext, or it is one of a few in a row that do
	 * not.
	 */
	PASSES(calls,
		(2 * tls->in_len + gnutls_record_check_pending(tls->session) + 1) * TLS_IDLE_MAX);
	do {
		PASS(calls);
		ssize_t got = decrypt_once(tls, data + len, cap - len, &idle);
		if(got > 0) {
			len += (size_t)got;
			records++;
		} else if(got != -EAGAIN) {
			return len > 0 ? (ssize_t)len : got;
		}
	} while(len < cap && idle < TLS_IDLE_MAX && records < TLS_RECORDS && has_input(tls));
	return len > 0 ? (ssize_t)len : -EAGAIN;
}

/* Is there more that no event will tell of? */
static bool has_more(const struct tls *tls) {
	return tls->rest.len > 0 || tls->over || gnutls_record_check_pending(tls->session) > 0;
}

/*
 * Makes ciphertext available to pull(): what was kept, or what the socket has. 1: of the first
 * kind, so -EAGAIN from GnuTLS does not mean that the socket is empty; else as fill().
 */
static int supply(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	if(tls->rest.len > 0) {
		tls->in = tls->rest.data;
		tls->in_len = tls->rest.len;
		return 1;
	}
	/* Plaintext that GnuTLS holds already comes first, or what it has met. */
	if(tls->established && has_more(tls)) {
		return 1;
	}
	return fill(stream);
}

/* One supply of ciphertext through the handshake, then into `data`. As tls_read(). */
static ssize_t advance(struct stream *stream, uint8_t *data, size_t cap, bool *kept) {
	struct tls *tls = tls_of(stream);
	if(tls->over) {
		return tls->verdict;
	}
	int result = supply(stream);
	*kept = result == 1;
	if(result < 0) {
		return result;
	}
	if(tls->in_ended && !tls->begun) {
		return 0;
	}
	result = tls->established ? 0 : tls_handshake_step(tls);
	ssize_t got = result ? result : decrypt(tls, data, cap);
	return keep_rest(tls) ? -ENOMEM : got;
}

static ssize_t tls_read(struct stream *stream, void *data, size_t cap) {
	struct tls *tls = tls_of(stream);
	bool kept = false;
	ssize_t got = advance(stream, data, cap, &kept);
	if(got == -EAGAIN && kept) {
		/*
		 * The kept bytes were not a complete record. The socket may have more, and no event
		 * would tell.
		 */
		got = advance(stream, data, cap, &kept);
	}
	if(got == -EAGAIN && has_more(tls)) {
		/*
		 * GnuTLS waits for input and does not take the input that it has: this would never
		 * change.
		 */
		got = tls_fail(tls, GNUTLS_E_INTERNAL_ERROR);
	}
	if(got == -EAGAIN && tls->in_ended) {
		got = -ECONNRESET;
	}
	if(got < 0 && got != -EAGAIN && tls->begun && !tls->established && !tls->reason[0]) {
		snprintf(tls->reason, sizeof(tls->reason), "%s", strerror((int)-got));
	}
	if(got > 0 && (has_more(tls) || tls->in_ended)) {
		loop_set_ready(stream->loop, &stream->io, LOOP_IN);
	}
	return got;
}

static int send_record(struct tls *tls, const uint8_t *data, size_t len) {
	PASSES(records, len);
	while(len > 0) {
		PASS(records);
		/* The push function takes everything, so there is no reason to be asked again. */
		ssize_t sent = gnutls_record_send(tls->session, data, len);
		if(sent <= 0) {
			return tls_fail(tls, sent < 0 ? (int)sent : GNUTLS_E_INTERNAL_ERROR);
		}
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

/* Small pieces share a record; large ones are encrypted from where they are. */
static int tls_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	struct tls *tls = tls_of(stream);
	uint8_t small[TLS_GATHER];
	size_t len = 0;
	(void)total;
	if(!tls->established) {
		return -ENOTCONN;
	}
	for(int i = 0; i < count; i++) {
		bool alone = len == 0 && i == count - 1;
		if(len > 0 && len + iov[i].iov_len > sizeof(small)) {
			int result = send_record(tls, small, len);
			if(result) {
				return result;
			}
			len = 0;
		}
		if(alone || iov[i].iov_len > sizeof(small)) {
			int result = send_record(tls, iov[i].iov_base, iov[i].iov_len);
			if(result) {
				return result;
			}
		} else if(iov[i].iov_len > 0) {
			memcpy(small + len, iov[i].iov_base, iov[i].iov_len);
			len += iov[i].iov_len;
		}
	}
	int result = send_record(tls, small, len);
	return result ? result : tls_flush_now(stream);
}

/* The first call sends close_notify; the second, when that is out, shuts the socket down. */
static bool tls_finish(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	if(tls->established && !tls->close_notify_sent) {
		tls->close_notify_sent = true;
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
		/* A write that fails here is met again by the flush of the queue. */
		tls_flush_now(stream);
	}
	if(stream->out.len > 0) {
		return false;
	}
	shutdown(stream->io.fd, SHUT_WR);
	return true;
}

void tls_stream_drop(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	gnutls_deinit(tls->session);
	tls_credentials_unref(tls->credentials);
	dynbuf_free(&tls->rest);
	free(tls->name);
	free(tls);
	stream->state = NULL;
}

static const char *reason_of(const struct stream *stream) {
	const struct tls *tls = tls_of(stream);
	return tls->reason[0] ? tls->reason : NULL;
}

static const struct stream_ops tls_ops = {
	.read = tls_read,
	.write = tls_write,
	.flush = stream_flush_bytes,
	.finish = tls_finish,
	.has_end = true,
	.reason = reason_of,
	.destroy = tls_stream_drop,
};

/*
 * The handshake has still to be done: with signatures and key exchanges, for which a turn of the
 * loop has little room.
 */
void tls_stream_begin(struct stream *stream) {
	stream->ops = &tls_ops;
	loop_set_low_priority(stream->loop, &stream->io, true);
}

/* ---- handshake ---- */

int tls_stream_handshake(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	if(tls->established) {
		return 0;
	}
	/* What is wrong, if writing failed, is read: an alert may have come before. */
	int result = stream->error ? -EAGAIN : tls_handshake_step(tls);
	if(result == -EAGAIN && (tls->rest.len > 0 || stream_readable(stream))) {
		result = supply(stream);
		result = result < 0 ? result : tls_handshake_step(tls);
		if(keep_rest(tls)) {
			return -ENOMEM;
		}
	}
	if(result == -EAGAIN && tls->rest.len > 0) {
		return tls_fail(tls, GNUTLS_E_INTERNAL_ERROR); /* as in tls_read() */
	}
	if(result == -EAGAIN && stream->error) {
		return -stream->error;
	}
	if(result == 0 && has_more(tls)) {
		loop_set_ready(stream->loop, &stream->io, LOOP_IN);
	}
	return result;
}

bool tls_stream_is_active(const struct stream *stream) {
	return stream->ops == &tls_ops;
}

bool tls_stream_in_handshake(const struct stream *stream) {
	return tls_stream_is_active(stream) && !tls_of(stream)->established;
}

const char *tls_stream_reason(const struct stream *stream) {
	return tls_stream_is_active(stream) ? reason_of(stream) : NULL;
}
