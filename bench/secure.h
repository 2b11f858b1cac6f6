/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS as a client, with OpenSSL: not the library of the bridge under test, so that an error in one
 * is not made by both.
 */
#ifndef BENCH_SECURE_H
#define BENCH_SECURE_H
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * What every connection offers, and nothing else, so that all bridges do the same work: TLS 1.3,
 * X25519, one cipher, one kind of key. `rsa`: the server is to prove itself with an RSA key instead
 * of P-256. Nothing is resumed, certificates are not verified. Ends the program if OpenSSL does not
 * know the cipher.
 */
SSL_CTX *secure_offer(const char *cipher, bool rsa);

/*
 * A session on a connected non-blocking socket, which stays the caller's. Ends the program without
 * memory.
 */
SSL *secure_new(SSL_CTX *offer, int fd);

/* Goes on with the handshake. 0: done; -EAGAIN; -EPROTO. */
int secure_handshake(SSL *session);

/*
 * Like sockets_recv() and sockets_send(). Receiving takes all records that are there and have room:
 * a result below `cap` means that no more is kept in the session. The end is close_notify;
 * -ECONNRESET is an end without one.
 */
ssize_t secure_recv(SSL *session, void *data, size_t cap);
ssize_t secure_send(SSL *session, const void *data, size_t len);

/* Sends close_notify. */
void secure_finish(SSL *session);
#endif
