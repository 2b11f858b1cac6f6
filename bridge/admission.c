/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Admission.
 *
 * Must not know: the use of a connection.
 * Invariants: each connection is counted once, and leaves what it has entered; an address is in the
 * tree exactly while connections count for it.
 */
#include "bridge/admission.h"

#include "bridge/connection.h"
#include "service/shared.h"

#include <assert.h>
#include <netinet/in.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ADMISSION_RESERVED 64 /* descriptors that belong to no client and no peer */

/* How many connections an address has. */
struct ip_counter {
	uint64_t key[2];
	size_t count;
};

/* ---- addresses ---- */

static int ip_counter_compare(const void *a, const void *b) {
	const struct ip_counter *left = a;
	const struct ip_counter *right = b;
	return memcmp(left->key, right->key, sizeof(left->key));
}

/* An IPv4 address, or the first half of an IPv6 address: one customer has a /64. */
static bool ip_counter_key(const union address *address, struct ip_counter *out) {
	*out = (struct ip_counter){0};
	if(address->any.sa_family == AF_INET) {
		memcpy(&out->key[1], &address->in.sin_addr, 4);
	} else if(address->any.sa_family == AF_INET6 &&
		IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr)) {
		memcpy(&out->key[1], &address->in6.sin6_addr.s6_addr[12], 4);
	} else if(address->any.sa_family == AF_INET6) {
		memcpy(&out->key[0], &address->in6.sin6_addr, 8);
	} else if(address->any.sa_family == AF_UNSPEC) {
		out->key[1] = UINT64_MAX; /* all clients that a trusted proxy hides */
	} else {
		return false;
	}
	return true;
}

static struct shared_address shared_key(const struct ip_counter *key) {
	return (struct shared_address){{key->key[0], key->key[1]}};
}

/* Counts the connection for its address. False: there are too many already. */
static bool ip_counter_enter(struct admission *admission, struct connection *connection) {
	const struct connection_env *env = connection->env;
	size_t limit = admission->settings->max_clients_per_ip;
	struct ip_counter key;
	if(limit == 0 || !ip_counter_key(&connection->address, &key)) {
		return true;
	}
	if(env->shared) {
		connection->counted =
			shared_enter_address(env->shared, env->worker, shared_key(&key), limit);
		return connection->counted;
	}
	struct ip_counter **found = tfind(&key, &admission->ip_counters, ip_counter_compare);
	if(!found) {
		struct ip_counter *fresh = malloc(sizeof(*fresh));
		if(!fresh) {
			return false;
		}
		*fresh = key;
		found = tsearch(fresh, &admission->ip_counters, ip_counter_compare);
		if(!found) {
			free(fresh);
			return false;
		}
	}
	if((*found)->count >= limit) {
		return false;
	}
	(*found)->count++;
	connection->counted = true;
	return true;
}

static void ip_counter_leave(struct admission *admission, const struct connection *connection) {
	struct ip_counter key;
	if(!connection->counted || !ip_counter_key(&connection->address, &key)) {
		return;
	}
	const struct connection_env *env = connection->env;
	if(env->shared) {
		shared_leave_address(env->shared, env->worker, shared_key(&key));
		return;
	}
	struct ip_counter **found = tfind(&key, &admission->ip_counters, ip_counter_compare);
	struct ip_counter *counter = *found;
	if(--counter->count == 0) {
		tdelete(counter, &admission->ip_counters, ip_counter_compare);
		free(counter);
	}
}

/* ---- limits ---- */

size_t admission_limit(const struct admission *admission) {
	size_t reserved = ADMISSION_RESERVED + ADMISSION_OVER_LIMIT;
	if(admission->settings->max_clients > 0) {
		return admission->settings->max_clients;
	}
	/* A client and its peer are two descriptors; a program has one of its own. */
	size_t each = admission->settings->exec ? 3 : 2;
	return admission->fd_limit > reserved + each ? (admission->fd_limit - reserved) / each : 1;
}

/* max-clients is for all workers, their descriptors are for each. */
static bool is_shared(const struct admission *admission) {
	return admission->shared && admission->settings->max_clients > 0;
}

bool admission_is_full(const struct admission *admission) {
	size_t count = is_shared(admission) ? shared_total(admission->shared)
					    : admission->count - admission->over_limit;
	return count >= admission_limit(admission);
}

bool admission_is_closed(const struct admission *admission) {
	return admission_is_full(admission) && admission->over_limit >= ADMISSION_OVER_LIMIT;
}

bool admission_at_limit(const struct connection *connection) {
	const struct admission *admission = &connection->env->admission;
	size_t limit = admission->settings->max_clients_per_ip;
	struct ip_counter key;
	if(admission_is_full(admission)) {
		return true;
	}
	if(!connection->counted || !ip_counter_key(&connection->address, &key)) {
		return false;
	}
	if(admission->shared) {
		struct shared_address address = shared_key(&key);
		return limit > 0 && shared_total_of_address(admission->shared, address) >= limit;
	}
	struct ip_counter *const *found = tfind(&key, &admission->ip_counters, ip_counter_compare);
	return limit > 0 && (*found)->count >= limit;
}

bool admission_serves_page(const struct connection *connection) {
	return !admission_is_full(&connection->env->admission);
}

/* Counts it in all workers together. False: another one has been faster. */
static bool shared_enter_connection(const struct connection *connection) {
	const struct connection_env *env = connection->env;
	const struct admission *admission = &env->admission;
	size_t limit = is_shared(admission) ? admission_limit(admission) : SIZE_MAX;
	return !admission->shared || shared_enter(env->shared, env->worker, limit);
}

static void shared_leave_connection(const struct connection *connection) {
	const struct connection_env *env = connection->env;
	if(env->shared && !connection->over_limit) {
		shared_leave(env->shared, env->worker);
	}
}

static bool set_over_limit(struct admission *admission, struct connection *connection) {
	assert(!connection->over_limit);
	connection->over_limit = true;
	admission->over_limit++;
	return admission->over_limit <= ADMISSION_OVER_LIMIT;
}

bool admission_enter(struct connection *connection) {
	struct admission *admission = &connection->env->admission;
	bool full = admission_is_full(admission) || memory_is_exhausted(connection->env);
	admission->count++;
	if(full || !shared_enter_connection(connection)) {
		return set_over_limit(admission, connection);
	}
	if(connection->proxied || ip_counter_enter(admission, connection)) {
		return true;
	}
	shared_leave_connection(connection);
	return set_over_limit(admission, connection);
}

bool admission_identify(struct connection *connection) {
	struct admission *admission = &connection->env->admission;
	if(connection->over_limit || ip_counter_enter(admission, connection)) {
		return true;
	}
	shared_leave_connection(connection);
	return set_over_limit(admission, connection);
}

void admission_leave(const struct connection *connection) {
	struct admission *admission = &connection->env->admission;
	assert(admission->count > 0);
	ip_counter_leave(admission, connection);
	shared_leave_connection(connection);
	admission->count--;
	admission->over_limit -= connection->over_limit;
}
