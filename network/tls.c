/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS.
 *
 * Must not know: HTTP, WebSocket, connections.
 * Invariants: GnuTLS never touches a descriptor: its pull function takes from what one recv() brought, its
 * push function appends to the stream's queue and always succeeds; plaintext that GnuTLS still holds keeps
 * the stream readable; a session holds a reference to its credentials.
 * Implements RFC 8446 and RFC 5246 through GnuTLS, RFC 7301 (ALPN http/1.1), RFC 6066 (server name).
 */
#include "network/tls.h"

#include "base/dynbuf.h"
#include "base/passes.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_RECORD_HANDSHAKE 0x16 /* first byte of a TLS connection, RFC 8446 section 5.1 */
#define TLS_READ LOOP_SCRATCH_SIZE /* ciphertext taken off a socket at once */
#define TLS_GATHER (16 * 1024) /* small pieces are put together up to a record */
#define TLS_IDLE_MAX 8 /* calls of GnuTLS in a row that consume nothing and are repeated */

/* One of several pairs of a server. */
struct tls_choice {
	gnutls_x509_crt_t leaf;
	gnutls_certificate_credentials_t
		credentials; /* this pair and others that do for all its names */
};

struct tls_context {
	gnutls_certificate_credentials_t credentials; /* all pairs */
	struct tls_choice *choice; /* server: for each pair */
	size_t choices;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key; /* server: encrypts session tickets */
	enum tls_verify verify;
	bool insecure; /* client: any certificate will do */
	size_t references;
};

struct tls {
	gnutls_session_t session;
	struct tls_context *context;
	struct stream *stream;
	const struct stream_ops *plain; /* the kind of the socket itself */
	const uint8_t *in; /* ciphertext of the current read */
	size_t in_len;
	struct dynbuf rest; /* ciphertext that the reader had no room for; mostly empty */
	bool in_ended; /* the transport has ended */
	bool begun; /* there has been a byte */
	bool established;
	bool over; /* behind the last data there was an end or an error: the next read returns `verdict` */
	int verdict; /* 0: the end; or negative errno */
	bool close_notify_sent;
	unsigned verify_status; /* what is wrong with the other side's certificate */
	char *name; /* client: what the server must prove to be */
	char reason[160];
};

static struct tls *tls_of(const struct stream *stream) {
	return stream->state;
}

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

/* ---- stream operations ---- */

static int fail(struct tls *tls, int status) {
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

/* Nobody else vouches for it: GnuTLS knows no such state, but people look for the word. */
static bool is_self_signed(gnutls_session_t session) {
	unsigned count;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t certificate;
	if(!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
		return false;
	}
	bool result = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
		gnutls_x509_crt_check_issuer(certificate, certificate);
	gnutls_x509_crt_deinit(certificate);
	return result;
}

/* Why the other side's certificate was not accepted, in words: the first that holds says most. */
static void explain_verification(struct tls *tls) {
	static const struct {
		unsigned status;
		const char *text;
	} flaws[] = {
		{GNUTLS_CERT_REVOKED, "it has been revoked"},
		{GNUTLS_CERT_EXPIRED, "it, or one above it, has expired"},
		{GNUTLS_CERT_NOT_ACTIVATED, "it, or one above it, is not valid yet"},
		{GNUTLS_CERT_SIGNER_NOT_FOUND, "its issuer is unknown"},
		{GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is no authority"},
		{GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name"},
		{GNUTLS_CERT_PURPOSE_MISMATCH, "it is for another purpose"},
		{GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed with an insecure algorithm"},
		{GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong"},
	};
	const char *text = NULL;
	for(size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]) && !text; i++) {
		text = tls->verify_status & flaws[i].status ? flaws[i].text : NULL;
	}
	if((tls->verify_status & GNUTLS_CERT_SIGNER_NOT_FOUND) && is_self_signed(tls->session)) {
		text = "it is self-signed, and unknown here";
	}
	snprintf(tls->reason, sizeof(tls->reason), "the certificate is not trusted: %s",
		text ? text : "it is invalid");
}

/* Alerts and handshake messages that were queued go out now. */
static int flush_now(struct stream *stream) {
	if(stream->out.len == 0 || !(stream->io.ready & LOOP_OUT)) {
		return 0;
	}
	int result = stream_flush_bytes(stream);
	stream_update(stream);
	return result;
}

/* Input that GnuTLS can still work on: what it has not pulled, or plaintext that was not asked for. */
static bool has_input(const struct tls *tls) {
	return tls->in_len > 0 || gnutls_record_check_pending(tls->session) > 0;
}

/*
 * GnuTLS may report something that does not end the session, and is called again then. It need not have consumed input
 * each time (one record may hold two messages), but not for long: a loop without progress would stop the daemon.
 */
static bool may_repeat(const struct tls *tls, size_t in_len_before, int *idle) {
	*idle = tls->in_len < in_len_before ? 0 : *idle + 1;
	return *idle < TLS_IDLE_MAX;
}

/* GnuTLS asks for more behind each record that holds only a part of a message, though there may be more. */
static bool handshake_repeats(const struct tls *tls, int status, size_t in_len_before, int *idle) {
	if(status == GNUTLS_E_AGAIN) {
		return tls->in_len > 0 && tls->in_len < in_len_before;
	}
	return status < 0 && !gnutls_error_is_fatal(status) && may_repeat(tls, in_len_before, idle);
}

static int handshake_step(struct tls *tls) {
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
		if(status == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
			explain_verification(tls);
		}
		/* Tell the other side why, as far as the socket takes it. */
		gnutls_alert_send_appropriate(tls->session, status);
		flush_now(tls->stream);
		return fail(tls, status);
	}
	int result = flush_now(tls->stream);
	if(status == GNUTLS_E_AGAIN) {
		/* If that failed, what has still to be read may say why: an alert. Else the next event tells. */
		return -EAGAIN;
	}
	if(result) {
		return result;
	}
	tls->established = true;
	loop_set_low_priority(tls->stream->loop, &tls->stream->io, false);
	return 0;
}

/* Takes ciphertext off the socket. 0: there is something, or the end; -EAGAIN; or negative errno. */
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

/* The shared buffer belongs to the next stream: what was not used is copied. */
static int keep_rest(struct tls *tls) {
	size_t len = tls->in_len;
	const uint8_t *from = tls->in;
	tls->in_len = 0;
	if(tls->rest.len > 0) {
		assert(len <= tls->rest.len);
		memmove(tls->rest.data, from, len);
		tls->rest.len = len;
		if(len == 0) {
			dynbuf_free(&tls->rest);
		}
		return 0;
	}
	return dynbuf_append(&tls->rest, from, len);
}

/*
 * close_notify; or user_canceled, which Java says in front of it (RFC 8446, section 6.1). With TLS 1.3 GnuTLS takes the
 * latter for a failure that ends the session.
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

/* What a result of gnutls_record_recv() other than bytes means: 0 at the end, -EAGAIN, or negative errno. */
static int verdict_of(struct tls *tls, ssize_t status, bool repeat) {
	if(is_close_notify(tls, status)) {
		return 0;
	}
	if(status == GNUTLS_E_AGAIN || (repeat && may_ignore(tls, status))) {
		return -EAGAIN;
	}
	return fail(tls, (int)status);
}

/*
 * One call of gnutls_record_recv(): bytes, 0 at the end, or negative errno; -EAGAIN: nothing yet, and with `*idle` 0
 * or where there is more input the next call may bring something. The end and errors are kept for the next read,
 * because GnuTLS need not report them again: not every fatal error invalidates the session.
 */
static ssize_t decrypt_once(struct tls *tls, uint8_t *data, size_t cap, int *idle) {
	size_t before = tls->in_len;
	ssize_t got = gnutls_record_recv(tls->session, data, cap);
	if(got > 0) {
		*idle = 0;
		return got;
	}
	bool repeat = may_repeat(tls, before, idle);
	tls->verdict = verdict_of(tls, got, repeat);
	tls->over = tls->verdict != -EAGAIN;
	if(got == GNUTLS_E_AGAIN && *idle > 0) {
		*idle = TLS_IDLE_MAX; /* it waits for more than there is */
	}
	return tls->verdict;
}

/*
 * Decrypts what is there into `data`. GnuTLS is not asked whether nothing is left, which would cost it half as much as
 * a small record; behind a message of its own, like that of new keys, it returns though there is more. Bytes, 0 at the
 * end, -EAGAIN, or negative errno.
 */
static ssize_t decrypt(struct tls *tls, uint8_t *data, size_t cap) {
	size_t len = 0;
	int idle = 0;
	/* Each call takes ciphertext or hands out plaintext, or it is one of a few in a row that do not. */
	PASSES(calls,
		(2 * tls->in_len + gnutls_record_check_pending(tls->session) + 1) * TLS_IDLE_MAX);
	do {
		PASS(calls);
		ssize_t got = decrypt_once(tls, data + len, cap - len, &idle);
		if(got > 0) {
			len += (size_t)got;
		} else if(got != -EAGAIN) {
			return len > 0 ? (ssize_t)len : got;
		}
	} while(len < cap && idle < TLS_IDLE_MAX && has_input(tls));
	return len > 0 ? (ssize_t)len : -EAGAIN;
}

/* Is there more that no event will tell of? */
static bool has_more(const struct tls *tls) {
	return tls->rest.len > 0 || tls->over || gnutls_record_check_pending(tls->session) > 0;
}

/*
 * Makes ciphertext available to pull(): what was kept, or what the socket has. 1: of the first kind, so -EAGAIN from
 * GnuTLS does not mean that the socket is empty; else as fill().
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
	result = tls->established ? 0 : handshake_step(tls);
	ssize_t got = result ? result : decrypt(tls, data, cap);
	return keep_rest(tls) ? -ENOMEM : got;
}

static ssize_t tls_read(struct stream *stream, void *data, size_t cap) {
	struct tls *tls = tls_of(stream);
	bool kept = false;
	ssize_t got = advance(stream, data, cap, &kept);
	if(got == -EAGAIN && kept) {
		/* What had been kept made no data. The socket may have more, and no event would tell. */
		got = advance(stream, data, cap, &kept);
	}
	if(got == -EAGAIN && has_more(tls)) {
		/* GnuTLS waits for input and does not take what there is: this would never change. */
		got = fail(tls, GNUTLS_E_INTERNAL_ERROR);
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
			return fail(tls, sent < 0 ? (int)sent : GNUTLS_E_INTERNAL_ERROR);
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
	return result ? result : flush_now(stream);
}

/* The first call says goodbye (close_notify); the second, when that is out, shuts the socket down. */
static bool tls_finish(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	if(tls->established && !tls->close_notify_sent) {
		tls->close_notify_sent = true;
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
		/* A write that fails here is met again by the flush of the queue. */
		flush_now(stream);
	}
	if(stream->out.len > 0) {
		return false;
	}
	shutdown(stream->io.fd, SHUT_WR);
	return true;
}

static void tls_destroy(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	gnutls_deinit(tls->session);
	tls_context_unref(tls->context);
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
	.send = network_send,
	.write = tls_write,
	.flush = stream_flush_bytes,
	.finish = tls_finish,
	.has_end = true,
	.reason = reason_of,
	.destroy = tls_destroy,
};

/* The handshake has still to be done: with signatures and key exchanges, for which a turn of the loop has little room. */
static void begin_handshake(struct stream *stream) {
	stream->ops = &tls_ops;
	loop_set_low_priority(stream->loop, &stream->io, true);
}

/* The first byte decides; it is looked at, not taken. */
static ssize_t detect_read(struct stream *stream, void *data, size_t cap) {
	uint8_t first;
	ssize_t got = stream_peek(stream, &first, 1);
	if(got < 0) {
		return got;
	}
	if(got == 1 && first == TLS_RECORD_HANDSHAKE) {
		begin_handshake(stream);
		return -EAGAIN; /* it stays ready */
	}
	const struct stream_ops *plain = tls_of(stream)->plain;
	tls_destroy(stream);
	stream->ops = plain;
	return plain->read(stream, data, cap);
}

static int detect_write(struct stream *stream, const struct iovec *iov, int count, size_t total) {
	/* Whoever writes before the client has said a word gets plain bytes: there is no session yet. */
	return tls_of(stream)->plain->write(stream, iov, count, total);
}

static bool detect_finish(struct stream *stream) {
	return tls_of(stream)->plain->finish(stream);
}

static const struct stream_ops detect_ops = {
	.read = detect_read,
	.send = network_send,
	.write = detect_write,
	.flush = stream_flush_bytes,
	.finish = detect_finish,
	.has_end = true,
	.destroy = tls_destroy,
};

/* ---- sessions ---- */

static int session_new(struct stream *stream, struct tls_context *context, unsigned flags) {
	struct tls *tls = calloc(1, sizeof(*tls));
	if(!tls) {
		return -ENOMEM;
	}
	if(gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		free(tls);
		return -ENOMEM;
	}
	tls->stream = stream;
	tls->plain = stream->ops;
	tls->context = tls_context_ref(context);
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_vec_push_function(tls->session, push);
	/* There is nothing to wait with: deadlines are the owner's. */
	gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT);
	stream->state = tls;
	if(gnutls_priority_set(tls->session, context->priority) < 0 ||
		gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, context->credentials) <
			0) {
		tls_destroy(stream);
		return -ENOMEM;
	}
	return 0;
}

/* Judges the other side's certificate by `data`. 0 or GnuTLS's error. */
static int verify(struct tls *tls, gnutls_typed_vdata_st *data, unsigned count) {
	int status =
		gnutls_certificate_verify_peers(tls->session, data, count, &tls->verify_status);
	if(status < 0) {
		return status;
	}
	return tls->verify_status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* A client's certificate. Whether one has to be there GnuTLS has looked at already. */
static int verify_client(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned count = 0;
	if(!gnutls_certificate_get_peers(session, &count) || count == 0) {
		return tls->context->verify == TLS_VERIFY_OPTIONAL ? 0
								   : GNUTLS_E_CERTIFICATE_REQUIRED;
	}
	return verify(tls, &purpose, 1);
}

/* The bytes of a literal address: 4, 16, or 0 of a name. */
static unsigned parse_literal(const char *name, unsigned char out[16]) {
	if(inet_pton(AF_INET, name, out) == 1) {
		return 4;
	}
	return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

/* A server's certificate: RFC 6125 for names; an address has to be in it as an address. */
static int verify_server(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	unsigned char literal[16];
	unsigned len = parse_literal(tls->name, literal);
	gnutls_typed_vdata_st data[] = {
		{.type = GNUTLS_DT_KEY_PURPOSE_OID,
			.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER},
		{.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)tls->name},
	};
	if(len > 0) {
		data[1] = (gnutls_typed_vdata_st){
			.type = GNUTLS_DT_IP_ADDRESS, .data = literal, .size = len};
	}
	return verify(tls, data, 2);
}

static bool covers(const struct tls_choice *choice, const char *name, unsigned flags) {
	return gnutls_x509_crt_check_hostname2(choice->leaf, name, flags) != 0;
}

static bool has_capitals(const char *name) {
	return strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
}

/*
 * Which pair does the client ask for? GnuTLS compares names letter by letter, and chooses by the algorithms among
 * equal ones: that is left to it. What remains are patterns and capitals.
 */
static int choose_pair(gnutls_session_t session) {
	struct tls *tls = gnutls_transport_get_ptr(session);
	const struct tls_context *context = tls->context;
	char name[256];
	size_t len = sizeof(name);
	unsigned type;
	/* Without a name, or with one that is none (RFC 6066, 3): as if nothing was asked for. */
	if(gnutls_server_name_get(session, name, &len, &type, 0) < 0 || type != GNUTLS_NAME_DNS) {
		return 0;
	}
	for(size_t i = 0; i < context->choices && !has_capitals(name); i++) {
		if(covers(&context->choice[i], name, GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS)) {
			return 0;
		}
	}
	for(size_t i = 0; i < context->choices; i++) {
		if(covers(&context->choice[i], name, 0)) {
			return gnutls_credentials_set(
				session, GNUTLS_CRD_CERTIFICATE, context->choice[i].credentials);
		}
	}
	return 0;
}

int tls_accept(struct stream *stream, struct tls_context *context, bool detect) {
	static const gnutls_certificate_request_t requests[] = {
		[TLS_VERIFY_OFF] = GNUTLS_CERT_IGNORE,
		[TLS_VERIFY_OPTIONAL] = GNUTLS_CERT_REQUEST,
		[TLS_VERIFY_REQUIRED] = GNUTLS_CERT_REQUIRE,
	};
	gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "http/1.1", 8};
	int result = session_new(stream, context, GNUTLS_SERVER);
	if(result) {
		return result;
	}
	gnutls_session_t session = tls_of(stream)->session;
	/* Who offers protocols and not this one would take our answers for something else (RFC 7301, 3.2). */
	gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY);
	gnutls_session_ticket_enable_server(session, &context->ticket_key);
	gnutls_certificate_server_set_request(session, requests[context->verify]);
	if(context->verify != TLS_VERIFY_OFF) {
		gnutls_session_set_verify_function(session, verify_client);
	}
	if(context->choices > 1) {
		gnutls_handshake_set_post_client_hello_function(session, choose_pair);
	}
	if(detect) {
		stream->ops = &detect_ops;
	} else {
		begin_handshake(stream);
	}
	return 0;
}

/* What certificates call this host: without the root's dot, or the zone of an IPv6 address. */
static char *copy_name(const char *host) {
	size_t len = strchr(host, ':') ? strcspn(host, "%") : strlen(host);
	if(len > 1 && host[len - 1] == '.') {
		len--;
	}
	return strndup(host, len);
}

/* Addresses are not sent, RFC 6066 section 3. Without the name another host could answer. */
static int send_name(struct tls *tls) {
	unsigned char literal[16];
	if(parse_literal(tls->name, literal) > 0) {
		return 0;
	}
	int status =
		gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, tls->name, strlen(tls->name));
	return status >= 0 ? 0 : status == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

int tls_connect(struct stream *stream, struct tls_context *context, const char *host) {
	int result = session_new(stream, context, GNUTLS_CLIENT);
	if(result) {
		return result;
	}
	struct tls *tls = tls_of(stream);
	tls->name = copy_name(host);
	result = tls->name ? send_name(tls) : -ENOMEM;
	if(result) {
		tls_destroy(stream);
		return result;
	}
	if(!context->insecure) {
		gnutls_session_set_verify_function(tls->session, verify_server);
	}
	begin_handshake(stream);
	return 0;
}

int tls_handshake(struct stream *stream) {
	struct tls *tls = tls_of(stream);
	if(tls->established) {
		return 0;
	}
	/* What is wrong, if writing failed, is read: an alert may have come before. */
	int result = stream->error ? -EAGAIN : handshake_step(tls);
	if(result == -EAGAIN && (tls->rest.len > 0 || stream_readable(stream))) {
		result = supply(stream);
		result = result < 0 ? result : handshake_step(tls);
		if(keep_rest(tls)) {
			return -ENOMEM;
		}
	}
	if(result == -EAGAIN && tls->rest.len > 0) {
		return fail(tls, GNUTLS_E_INTERNAL_ERROR); /* as in tls_read() */
	}
	if(result == -EAGAIN && stream->error) {
		return -stream->error;
	}
	if(result == 0 && has_more(tls)) {
		loop_set_ready(stream->loop, &stream->io, LOOP_IN);
	}
	return result;
}

bool tls_is_active(const struct stream *stream) {
	return stream->ops == &tls_ops;
}

bool tls_in_handshake(const struct stream *stream) {
	return tls_is_active(stream) && !tls_of(stream)->established;
}

const char *tls_reason(const struct stream *stream) {
	return tls_is_active(stream) ? reason_of(stream) : NULL;
}

size_t tls_client_subject(const struct stream *stream, char out[TLS_SUBJECT_MAX]) {
	if(!tls_is_active(stream) || tls_of(stream)->context->verify == TLS_VERIFY_OFF) {
		return 0;
	}
	gnutls_session_t session = tls_of(stream)->session;
	unsigned count;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	gnutls_x509_crt_t certificate;
	gnutls_datum_t name = {NULL, 0};
	/* An invalid certificate has ended the handshake: one that is here was verified. */
	if(!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
		return 0;
	}
	bool fine = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
		gnutls_x509_crt_get_dn3(certificate, &name, 0) == 0 && name.size < TLS_SUBJECT_MAX;
	if(fine) {
		memcpy(out, name.data, name.size);
		out[name.size] = '\0';
	}
	gnutls_free(name.data);
	gnutls_x509_crt_deinit(certificate);
	return fine ? strlen(out) : 0;
}

/* ---- credentials ---- */

struct tls_context *tls_context_ref(struct tls_context *context) {
	context->references++;
	return context;
}

static void free_choices(struct tls_context *context) {
	for(size_t i = 0; i < context->choices; i++) {
		const struct tls_choice *choice = &context->choice[i];
		if(choice->leaf) {
			gnutls_x509_crt_deinit(choice->leaf);
		}
		if(choice->credentials) {
			gnutls_certificate_free_credentials(choice->credentials);
		}
	}
	free(context->choice);
}

void tls_context_unref(struct tls_context *context) {
	if(!context || --context->references > 0) {
		return;
	}
	free_choices(context);
	if(context->credentials) {
		gnutls_certificate_free_credentials(context->credentials);
	}
	if(context->priority) {
		gnutls_priority_deinit(context->priority);
	}
	if(context->ticket_key.data) {
		gnutls_memset(context->ticket_key.data, 0, context->ticket_key.size);
		gnutls_free(context->ticket_key.data);
	}
	free(context);
}

static int context_new(struct tls_context **out, const char *priority, char error[TLS_ERROR_MAX]) {
	const char *position;
	struct tls_context *context = calloc(1, sizeof(*context));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if(!context) {
		return -ENOMEM;
	}
	context->references = 1;
	if(gnutls_certificate_allocate_credentials(&context->credentials) < 0) {
		tls_context_unref(context);
		return -ENOMEM;
	}
	priority = priority ? priority : TLS_PRIORITY_DEFAULT;
	if(gnutls_priority_init(&context->priority, priority, &position) < 0) {
		snprintf(error, TLS_ERROR_MAX, "priority string: error at \"%s\"", position);
		tls_context_unref(context);
		return -EINVAL;
	}
	*out = context;
	return 0;
}

/* GnuTLS says only that it could not read. */
static int check_readable(const char *path, char error[TLS_ERROR_MAX]) {
	if(access(path, R_OK) == 0) {
		return 0;
	}
	int result = -errno;
	snprintf(error, TLS_ERROR_MAX, "cannot read %s: %s", path, strerror(-result));
	return result;
}

static int load_pair(gnutls_certificate_credentials_t credentials, const char *cert,
	const char *key, char error[TLS_ERROR_MAX]) {
	key = key ? key : cert;
	int result = check_readable(cert, error);
	result = result ? result : check_readable(key, error);
	if(result) {
		return result;
	}
	int status =
		gnutls_certificate_set_x509_key_file(credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if(status >= 0) {
		return 0;
	}
	if(status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
		snprintf(error, TLS_ERROR_MAX,
			"the certificate in %s does not belong to the key in %s", cert, key);
	} else if(status == GNUTLS_E_DECRYPTION_FAILED) {
		snprintf(error, TLS_ERROR_MAX,
			"the key in %s has a passphrase, and there is nobody to ask for it", key);
	} else {
		snprintf(error, TLS_ERROR_MAX, "cannot use certificate %s with key %s: %s", cert,
			key, gnutls_strerror(status));
	}
	return -EINVAL;
}

/*
 * Takes the first certificate out of a file. Of a pair that it cannot use GnuTLS does not tell which file is wrong: this
 * one if it fails here.
 */
static int load_leaf(gnutls_x509_crt_t *out, const char *file, char error[TLS_ERROR_MAX]) {
	gnutls_datum_t text;
	gnutls_x509_crt_t *list;
	unsigned count;
	int result = check_readable(file, error);
	if(result) {
		return result;
	}
	int status = gnutls_load_file(file, &text);
	if(status >= 0) {
		status = gnutls_x509_crt_list_import2(&list, &count, &text, GNUTLS_X509_FMT_PEM, 0);
		gnutls_free(text.data);
	}
	if(status < 0) {
		snprintf(error, TLS_ERROR_MAX, "cannot use certificate %s: %s", file,
			gnutls_strerror(status));
		return -EINVAL;
	}
	while(count > 1) {
		gnutls_x509_crt_deinit(list[--count]);
	}
	*out = list[0];
	gnutls_free(list);
	return 0;
}

static int load_authorities(
	gnutls_certificate_credentials_t credentials, const char *file, char error[TLS_ERROR_MAX]) {
	int result = file ? check_readable(file, error) : 0;
	if(result) {
		return result;
	}
	int status = file
		? gnutls_certificate_set_x509_trust_file(credentials, file, GNUTLS_X509_FMT_PEM)
		: gnutls_certificate_set_x509_system_trust(credentials);
	if(status > 0 || (status == 0 && !file)) {
		return 0;
	}
	snprintf(error, TLS_ERROR_MAX, "cannot read authorities from %s: %s",
		file ? file : "the system",
		status == 0 ? "there are none in it" : gnutls_strerror(status));
	return -EINVAL;
}

static int load_pairs(struct tls_context *context, const struct tls_server_options *options,
	struct tls_error *error) {
	int result = 0;
	error->option = "cert";
	context->choice = calloc(options->pairs, sizeof(*context->choice));
	if(!context->choice) {
		return -ENOMEM;
	}
	context->choices = options->pairs;
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		const struct tls_pair *pair = &options->pair[i];
		error->pair = i;
		error->option = "cert";
		result = load_leaf(&context->choice[i].leaf, pair->cert, error->text);
		if(result == 0) {
			error->option = pair->key ? "key" : "cert";
			result =
				load_pair(context->credentials, pair->cert, pair->key, error->text);
		}
	}
	return result;
}

/* Has the certificate all names of the other one? */
static bool covers_all(const struct tls_choice *choice, gnutls_x509_crt_t other) {
	unsigned names = 0;
	for(unsigned i = 0;; i++) {
		char name[256];
		size_t len = sizeof(name);
		int type = gnutls_x509_crt_get_subject_alt_name(other, i, name, &len, NULL);
		if(type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
			return names > 0;
		}
		if(type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER) {
			return false;
		}
		if(type != GNUTLS_SAN_DNSNAME) {
			continue;
		}
		if(!covers(choice, name, 0)) {
			return false;
		}
		names++;
	}
}

/* What a client gets that asks for a name of the pair: it, and those with other algorithms for the same names. */
static int load_choice(struct tls_context *context, const struct tls_server_options *options,
	size_t number, char error[TLS_ERROR_MAX]) {
	struct tls_choice *choice = &context->choice[number];
	int result = 0;
	if(gnutls_certificate_allocate_credentials(&choice->credentials) < 0) {
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	for(size_t i = 0; i < options->pairs && result == 0; i++) {
		if(i == number || covers_all(&context->choice[i], choice->leaf)) {
			result = load_pair(choice->credentials, options->pair[i].cert,
				options->pair[i].key, error);
		}
	}
	if(result == 0 && options->client_ca) {
		result = load_authorities(choice->credentials, options->client_ca, error);
	}
	return result;
}

int tls_server_open(struct tls_context **out, const struct tls_server_options *options,
	struct tls_error *error) {
	struct tls_context *context;
	*error = (struct tls_error){.option = "tls-priority"};
	int result = context_new(&context, options->priority, error->text);
	if(result) {
		return result;
	}
	context->verify = options->verify;
	result = load_pairs(context, options, error);
	if(result == 0 && options->client_ca) {
		error->option = "client-ca";
		result = load_authorities(context->credentials, options->client_ca, error->text);
	}
	for(size_t i = 0; i < options->pairs && options->pairs > 1 && result == 0; i++) {
		result = load_choice(context, options, i, error->text);
	}
	if(result == 0 && gnutls_session_ticket_key_generate(&context->ticket_key) < 0) {
		snprintf(error->text, sizeof(error->text), "cannot make a key for session tickets");
		result = -EIO;
	}
	if(result) {
		tls_context_unref(context);
		return result;
	}
	*out = context;
	return 0;
}

int tls_client_open(struct tls_context **out, const struct tls_client_options *options,
	char error[TLS_ERROR_MAX]) {
	struct tls_context *context;
	int result = context_new(&context, NULL, error);
	if(result) {
		return result;
	}
	context->insecure = options->insecure;
	if(options->cert) {
		result = load_pair(context->credentials, options->cert, options->key, error);
	}
	if(result == 0 && !options->insecure) {
		result = load_authorities(context->credentials, options->ca, error);
	}
	if(result) {
		tls_context_unref(context);
		return result;
	}
	*out = context;
	return 0;
}
