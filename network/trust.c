/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS to peers.
 *
 * Must not know: connections, what is said over TLS.
 * Invariants: no two entries have the same files; a context that is in use lives on when its entry goes. The
 * system's authorities alone take milliseconds and megabytes, so nothing is read for a single connection.
 */
#include "network/trust.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trust_entry {
	struct list link;
	struct tls_context *context;
	char *ca; /* NULL as in struct peer_tls */
	char *cert;
	char *key;
	bool insecure;
};

static bool is_same(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool entry_serves(const struct trust_entry *entry, const struct peer_tls *tls) {
	return entry->insecure == tls->insecure && is_same(entry->ca, tls->ca) &&
		is_same(entry->cert, tls->cert) && is_same(entry->key, tls->key);
}

static void entry_free(struct trust_entry *entry) {
	tls_context_unref(entry->context);
	free(entry->ca);
	free(entry->cert);
	free(entry->key);
	free(entry);
}

/* A copy, or NULL of NULL. False: out of memory. */
static bool copy_text(char **out, const char *text) {
	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

static int entry_new(
	struct trust_entry **out, const struct peer_tls *tls, char error[TLS_ERROR_MAX]) {
	struct tls_client_options options = {
		.ca = tls->ca, .cert = tls->cert, .key = tls->key, .insecure = tls->insecure};
	struct trust_entry *entry = calloc(1, sizeof(*entry));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if(!entry) {
		return -ENOMEM;
	}
	entry->insecure = tls->insecure;
	bool copied = copy_text(&entry->ca, tls->ca) && copy_text(&entry->cert, tls->cert) &&
		copy_text(&entry->key, tls->key);
	int result = copied ? tls_client_open(&entry->context, &options, error) : -ENOMEM;
	if(result) {
		entry_free(entry);
		return result;
	}
	*out = entry;
	return 0;
}

static struct trust_entry *find_entry(const struct trust *trust, const struct peer_tls *tls) {
	for(struct list *at = trust->entries.next; at != &trust->entries; at = at->next) {
		struct trust_entry *entry = container_of(at, struct trust_entry, link);
		if(entry_serves(entry, tls)) {
			return entry;
		}
	}
	return NULL;
}

static void forget(struct trust *trust, struct trust_entry *entry) {
	list_remove(&entry->link);
	trust->count--;
	entry_free(entry);
}

void trust_init(struct trust *trust) {
	list_init(&trust->entries);
	trust->count = 0;
}

int trust_find(struct trust *trust, const struct peer_tls *tls, struct tls_context **out,
	char error[TLS_ERROR_MAX]) {
	struct trust_entry *entry = find_entry(trust, tls);
	if(entry) {
		list_remove(&entry->link);
	} else {
		int result = entry_new(&entry, tls, error);
		if(result) {
			return result;
		}
		if(trust->count == TRUST_ENTRIES) {
			forget(trust, container_of(trust->entries.next, struct trust_entry, link));
		}
		trust->count++;
	}
	list_append(&trust->entries, &entry->link);
	*out = tls_context_ref(entry->context);
	return 0;
}

int trust_check(const struct peer_tls *tls, char error[TLS_ERROR_MAX]) {
	struct trust_entry *entry;
	int result = entry_new(&entry, tls, error);
	if(result == 0) {
		entry_free(entry);
	}
	return result;
}

void trust_clear(struct trust *trust) {
	for(struct list *at = trust->entries.next; at != &trust->entries;) {
		struct trust_entry *entry = container_of(at, struct trust_entry, link);
		at = at->next;
		forget(trust, entry);
	}
}
