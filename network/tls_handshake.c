/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The handshake of a TLS stream.
 *
 * Must not know: HTTP, where ciphertext comes from.
 * Invariants: a handshake ends established, or with an alert to the other side.
 * Implements RFC 8446 and RFC 5246 through GnuTLS.
 */
#include "network/tls_handshake.h"

#include "base/passes.h"
#include "network/tls_verify.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdio.h>

int tls_fail(struct tls *tls, int status) {
	if(!tls->reason[0]) {
		if(tls->in_ended && tls->in_len == 0) {
			/* GnuTLS calls a cut record one that it cannot decode. */
			snprintf(tls->reason, sizeof(tls->reason), "the connection ended %s",
				tls->established ? "without close_notify" : "within the handshake");
		} else if(status == GNUTLS_E_FATAL_ALERT_RECEIVED) {
			snprintf(tls->reason, sizeof(tls->reason),
				"the other side sent the alert \"%s\"",
				gnutls_alert_get_name(gnutls_alert_get(tls->session)));
		} else {
			snprintf(tls->reason, sizeof(tls->reason), "%s", gnutls_strerror(status));
		}
	}
	return status == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EPROTO;
}

/* Alerts and handshake messages that were queued go out now. */
int tls_flush_now(struct stream *stream) {
	if(stream->out.len == 0 || !(stream->io.ready & LOOP_OUT)) {
		return 0;
	}
	int result = stream_flush_bytes(stream);
	stream_update(stream);
	return result;
}

/*
 * GnuTLS asks for more behind each record that holds only a part of a message, though there may be
 * more.
 */
static bool handshake_repeats(const struct tls *tls, int status, size_t in_len_before, int *idle) {
	if(status == GNUTLS_E_AGAIN) {
		return tls->in_len > 0 && tls->in_len < in_len_before;
	}
	return status < 0 && !gnutls_error_is_fatal(status) &&
		tls_may_repeat(tls, in_len_before, idle);
}

/* Tells the other side why, as far as the socket takes it. */
static int refuse(struct tls *tls, int status) {
	gnutls_alert_send_appropriate(tls->session, status);
	tls_flush_now(tls->stream);
	return tls_fail(tls, status);
}

/*
 * The verification of the client's certificate is not a part of a handshake that resumes a session.
 */
static int resumed_result(struct tls *tls) {
	if(tls->credentials->verify == TLS_VERIFY_OFF || !gnutls_session_is_resumed(tls->session)) {
		return 0;
	}
	int status = tls_verify_resumed(tls);
	return status < 0 ? refuse(tls, status) : 0;
}

/*
 * Has a client left before it was answered? It cannot finish the handshake, so its key exchange,
 * which is what costs time, need not be computed. A reset or an end later may follow a complete
 * request.
 */
static bool is_abandoned(const struct tls *tls) {
	struct pollfd socket = {.fd = tls->stream->io.fd, .events = POLLRDHUP};
	if(tls->name || tls->answered || !(tls->stream->io.ready & LOOP_HUP)) {
		return false;
	}
	return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

int tls_handshake_step(struct tls *tls) {
	if(is_abandoned(tls)) {
		tls->in_ended = true;
		tls->in_len = 0;
		return tls_fail(tls, GNUTLS_E_PREMATURE_TERMINATION);
	}
	int idle = 0;
	int status;
	size_t before;
	PASSES(calls, (tls->in_len + 1) * TLS_IDLE_MAX);
	do {
		PASS(calls);
		before = tls->in_len;
		status = gnutls_handshake(tls->session);
	} while(handshake_repeats(tls, status, before, &idle));
	if(status < 0 && status != GNUTLS_E_AGAIN) {
		return refuse(tls, status);
	}
	int result = tls_flush_now(tls->stream);
	if(status == GNUTLS_E_AGAIN) {
		/*
		 * If that failed, what has still to be read may say why: an alert. Else the next
		 * event tells.
		 */
		return -EAGAIN;
	}
	if(result) {
		return result;
	}
	result = resumed_result(tls);
	if(result) {
		return result;
	}
	tls->established = true;
	loop_set_low_priority(tls->stream->loop, &tls->stream->io, false);
	return 0;
}
