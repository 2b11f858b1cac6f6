/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS to peers: the files that peers' addresses name, and the system's authorities,
 * are read once and found again for each connection.
 */
#ifndef WEBSOCKSY_TLS_CACHE_H
#define WEBSOCKSY_TLS_CACHE_H
#include "base/loop.h"
#include "network/peer_address.h"
#include "network/tls_credentials.h"

#include <stddef.h>

/*
 * Sets of files that are remembered; beyond, the one that was not used for the longest time is
 * forgotten.
 */
#define TLS_CACHE_ENTRIES 32

struct tls_cache {
	struct list entries; /* the one used last is the last */
	size_t count;
};

void tls_cache_init(struct tls_cache *cache);

/*
 * The credentials that `tls` names: 0 and `*out` with one reference, or negative errno with one
 * line in `error` that names the file and what is wrong with it. The first use reads files
 * (blocking) and parses them; a failure is not remembered.
 */
int tls_cache_find(struct tls_cache *cache, const struct peer_tls *tls,
	struct tls_credentials **out, char error[TLS_ERROR_MAX]);

/* Would tls_cache_find() find usable files? 0, or as there. */
int tls_cache_check(const struct peer_tls *tls, char error[TLS_ERROR_MAX]);

/* Forgets everything: files are read anew. Sessions keep their credentials. */
void tls_cache_clear(struct tls_cache *cache);
#endif
