/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lookups: one for each host, however many wait for it, and the cache of their answers.
 *
 * Must not know: the addresses' purpose, the resolver library.
 * Invariants: both families of a host come from the same source: the hosts file or one name of the
 * search list; a lookup is in the table while it runs, while queries wait for it, or until its TTL
 * is over; one that can be removed at any time (nothing runs or waits) is in the ring of kept
 * ones, which is bounded; a query gets one answer.
 * Implements RFC 6761 section 6.3 (localhost).
 */
#include "network/resolve.h"

#include "network/resolve_channel.h"
#include "network/resolve_system.h"
#include "network/resolve_walk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESOLVE_BUCKETS 64
#define RESOLVE_KEPT_MAX 256 /* hosts whose answers are kept */
#define RESOLVE_TTL_MAX_S 3600 /* an answer is kept no longer, whatever its TTL */

struct lookup {
	struct resolver *resolver;
	struct list link; /* in its bucket */
	struct list kept; /* in the ring, oldest first */
	struct list waiting; /* queries */
	struct loop_task task; /* answers queries that began when the answer was known */
	struct deferred_free dead;
	struct resolve_walk walk;
	bool answering;
	uint64_t expires_ms;
	char host[];
};

struct resolver {
	struct loop *loop;
	struct resolve_channel *channel;
	struct resolve_system system;
	char *servers; /* NULL: those of the system */
	struct list bucket[RESOLVE_BUCKETS];
	struct list kept;
	size_t kept_count;
};

struct resolve_query {
	struct list link; /* in the lookup's */
	struct lookup *lookup;
	resolve_fn *fn;
	void *ctx;
	int family;
	uint16_t port;
};

/* ---- lookups in the table ---- */

static struct list *bucket_of(struct resolver *resolver, const char *host) {
	uint32_t hash = 0;
	for(; *host; host++) {
		hash = hash * 31 + ((uint8_t)*host | 0x20u);
	}
	return &resolver->bucket[hash % RESOLVE_BUCKETS];
}

static struct lookup *lookup_find(struct resolver *resolver, const char *host) {
	struct list *bucket = bucket_of(resolver, host);
	for(struct list *at = bucket->next; at != bucket; at = at->next) {
		struct lookup *lookup = container_of(at, struct lookup, link);
		if(strcasecmp(lookup->host, host) == 0) {
			return lookup;
		}
	}
	return NULL;
}

static void lookup_due(struct loop_task *task);
static void lookup_replied(struct resolve_walk *walk);

static struct lookup *lookup_open(struct resolver *resolver, const char *host) {
	size_t size = strlen(host) + 1;
	struct lookup *lookup = calloc(1, sizeof(*lookup) + size);
	if(!lookup) {
		return NULL;
	}
	lookup->resolver = resolver;
	lookup->task.fn = lookup_due;
	list_init(&lookup->waiting);
	memcpy(lookup->host, host, size);
	lookup->walk.host = lookup->host;
	lookup->walk.fn = lookup_replied;
	list_append(bucket_of(resolver, host), &lookup->link);
	return lookup;
}

static void lookup_free(struct deferred_free *dead) {
	free(container_of(dead, struct lookup, dead));
}

static void lookup_unkeep(struct lookup *lookup) {
	if(list_is_linked(&lookup->kept)) {
		list_remove(&lookup->kept);
		lookup->resolver->kept_count--;
	}
}

static void lookup_close(struct lookup *lookup) {
	lookup_unkeep(lookup);
	list_remove(&lookup->link);
	loop_task_cancel(&lookup->task);
	lookup->dead.free = lookup_free;
	loop_defer_free(lookup->resolver->loop, &lookup->dead);
}

/*
 * After each event: a lookup that has no more to do is kept, at the expense of the oldest, or
 * removed.
 */
static void lookup_settle(struct lookup *lookup) {
	struct resolver *resolver = lookup->resolver;
	if(resolve_walk_runs(&lookup->walk) || lookup->answering ||
		!list_is_empty(&lookup->waiting)) {
		return;
	}
	if(lookup->expires_ms <= resolver->loop->now_ms) {
		lookup_close(lookup);
		return;
	}
	lookup_unkeep(lookup);
	list_append(&resolver->kept, &lookup->kept);
	resolver->kept_count++;
	if(resolver->kept_count > RESOLVE_KEPT_MAX) {
		lookup_close(container_of(resolver->kept.next, struct lookup, kept));
	}
}

/* ---- answers ---- */

static void answer_of(const struct resolve_reply *reply, struct resolve_answer *answer) {
	*answer = (struct resolve_answer){.count = reply->count};
	switch(reply->status) {
	case RESOLVE_FOUND:
		break;
	case RESOLVE_NO_ADDRESS:
	case RESOLVE_NO_NAME:
		answer->error = -ENOENT;
		answer->why = "no such host name";
		break;
	case RESOLVE_FAILED:
		answer->error = reply->error;
		answer->why = reply->why;
		break;
	}
}

/* Answers one query, which has been taken off its ring. */
static void query_answer(struct resolve_query *query, const struct resolve_reply *reply) {
	union address address[RESOLVE_ADDRESSES_MAX];
	struct resolve_answer answer;
	resolve_fn *fn = query->fn;
	void *ctx = query->ctx;
	answer_of(reply, &answer);
	for(size_t i = 0; i < reply->count; i++) {
		address[i] = reply->address[i];
		address_set_port(&address[i], query->port);
	}
	answer.address = address;
	free(query);
	fn(ctx, &answer);
}

/*
 * Answers the queries for families whose answer is known; queries that begin meanwhile wait for
 * the next turn.
 */
static void lookup_answer(struct lookup *lookup) {
	struct list queries;
	lookup->answering = true;
	list_take(&queries, &lookup->waiting);
	while(!list_is_empty(&queries)) {
		struct resolve_query *query =
			container_of(queries.next, struct resolve_query, link);
		const struct resolve_reply *reply =
			resolve_walk_answer(&lookup->walk, query->family);
		list_remove(&query->link);
		if(reply) {
			query_answer(query, reply);
		} else {
			list_append(&lookup->waiting, &query->link);
		}
	}
	lookup->answering = false;
	lookup_settle(lookup);
}

static void lookup_due(struct loop_task *task) {
	lookup_answer(container_of(task, struct lookup, task));
}

static void lookup_replied(struct resolve_walk *walk) {
	struct lookup *lookup = container_of(walk, struct lookup, walk);
	struct loop *loop = lookup->resolver->loop;
	if(resolve_walk_is_complete(walk)) {
		uint32_t ttl_s = resolve_walk_ttl_s(walk);
		ttl_s = ttl_s > RESOLVE_TTL_MAX_S ? RESOLVE_TTL_MAX_S : ttl_s;
		lookup->expires_ms = loop->now_ms + (uint64_t)ttl_s * 1000;
	}
	/* Never from within the library: an answer may lead to anything, such as another lookup. */
	loop_next_turn(loop, &lookup->task);
}

/* ---- answers without a question ---- */

/* "localhost" and names below it, RFC 6761, section 6.3. */
static bool is_localhost(const char *host) {
	static const char name[] = "localhost";
	const size_t name_len = sizeof(name) - 1;
	size_t len = strlen(host);
	if(len > 0 && host[len - 1] == '.') {
		len--;
	}
	if(len < name_len || strncasecmp(host + len - name_len, name, name_len) != 0) {
		return false;
	}
	return len == name_len || host[len - name_len - 1] == '.';
}

static void reply_loopback(struct resolve_reply *reply) {
	*reply = (struct resolve_reply){.status = RESOLVE_FOUND, .count = 2};
	reply->address[0].in6 =
		(struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	reply->address[1].in = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* ---- queries ---- */

/*
 * A lookup that can take a query: under way, of the file, remembered, or new. NULL: out of memory.
 */
static struct lookup *lookup_for(struct resolver *resolver, const char *host) {
	struct resolve_reply reply;
	struct lookup *lookup = lookup_find(resolver, host);
	if(lookup && !list_is_linked(&lookup->kept)) {
		return lookup;
	}
	/* localhost is not looked up: c-ares 1.18 leaks memory with each such question. */
	if(is_localhost(host)) {
		reply_loopback(&reply);
	} else {
		resolve_channel_ask_file(resolver->channel, host, &reply);
	}
	bool known = reply.status == RESOLVE_FOUND;
	if(lookup && !known && lookup->expires_ms > resolver->loop->now_ms) {
		lookup_unkeep(lookup);
		return lookup;
	}
	if(lookup) {
		lookup_close(lookup);
	}
	lookup = lookup_open(resolver, host);
	if(lookup && known) {
		resolve_walk_set(&lookup->walk, &reply);
	} else if(lookup) {
		resolve_walk_begin(&lookup->walk, resolver->channel);
	}
	return lookup;
}

int resolve_start(struct resolver *resolver, const char *host, uint16_t port, int family,
	resolve_fn *fn, void *ctx, struct resolve_query **out) {
	struct resolve_query *query = calloc(1, sizeof(*query));
	if(!query) {
		return -ENOMEM;
	}
	if(resolve_system_changed(&resolver->system)) {
		resolver_reload(resolver, resolver->servers);
	}
	struct lookup *lookup = lookup_for(resolver, host);
	if(!lookup) {
		free(query);
		return -ENOMEM;
	}
	*query = (struct resolve_query){
		.lookup = lookup, .fn = fn, .ctx = ctx, .family = family, .port = port};
	list_append(&lookup->waiting, &query->link);
	if(resolve_walk_answer(&lookup->walk, family)) {
		loop_next_turn(resolver->loop, &lookup->task);
	}
	*out = query;
	return 0;
}

void resolve_cancel(struct resolve_query *query) {
	struct lookup *lookup = query->lookup;
	list_remove(&query->link);
	free(query);
	lookup_settle(lookup);
}

/* ---- resolvers ---- */

int resolver_open(struct resolver **out, struct loop *loop, const char *servers) {
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int result = -ENOMEM;
	if(resolver) {
		resolver->loop = loop;
		list_init(&resolver->kept);
		for(size_t i = 0; i < RESOLVE_BUCKETS; i++) {
			list_init(&resolver->bucket[i]);
		}
		result = resolver_reload(resolver, servers);
	}
	if(result) {
		free(resolver);
		return result;
	}
	*out = resolver;
	return 0;
}

static void lookup_cancel(struct lookup *lookup) {
	static const struct resolve_reply canceled = {
		.status = RESOLVE_FAILED, .error = -ECANCELED, .why = "name lookup has ended"};
	while(!list_is_empty(&lookup->waiting)) {
		struct list *first = lookup->waiting.next;
		/* The list no longer has what was freed. */
		list_remove(first); /* NOLINT(clang-analyzer-unix.Malloc) */
		query_answer(container_of(first, struct resolve_query, link), &canceled);
	}
	lookup_close(lookup);
}

void resolver_close(struct resolver *resolver) {
	if(!resolver) {
		return;
	}
	resolve_channel_close(resolver->channel);
	for(size_t i = 0; i < RESOLVE_BUCKETS; i++) {
		struct list *bucket = &resolver->bucket[i];
		while(!list_is_empty(bucket)) {
			lookup_cancel(container_of(bucket->next, struct lookup, link));
		}
	}
	free(resolver->servers);
	free(resolver);
}

/* After an exchange of the channel. */
static void lookup_renew(struct lookup *lookup) {
	lookup->expires_ms = 0;
	if(list_is_empty(&lookup->waiting) && !lookup->answering) {
		lookup_close(lookup);
	} else if(!resolve_walk_is_complete(&lookup->walk)) {
		resolve_walk_begin(&lookup->walk, lookup->resolver->channel);
	}
}

static void resolver_renew(struct resolver *resolver) {
	for(size_t i = 0; i < RESOLVE_BUCKETS; i++) {
		struct list *bucket = &resolver->bucket[i];
		for(struct list *at = bucket->next; at != bucket;) {
			struct lookup *lookup = container_of(at, struct lookup, link);
			at = at->next;
			lookup_renew(lookup);
		}
	}
}

int resolver_reload(struct resolver *resolver, const char *servers) {
	struct resolve_channel *before = resolver->channel;
	struct resolve_channel *channel = NULL;
	char *copy = servers ? strdup(servers) : NULL;
	resolve_system_changed(&resolver->system);
	char *zoned = servers ? NULL : resolve_system_zoned();
	int result = servers && !copy
		? -ENOMEM
		: resolve_channel_open(&channel, resolver->loop, servers ? servers : zoned);
	free(zoned);
	if(result) {
		free(copy);
		return result;
	}
	free(resolver->servers);
	resolver->servers = copy;
	resolver->channel = channel;
	resolve_channel_close(before);
	resolver_renew(resolver);
	if(!servers) {
		resolve_system_warn(channel);
	}
	return 0;
}
