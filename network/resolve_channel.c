/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Questions to the hosts file and to name servers.
 *
 * Must not know: users of the answers, search lists, the cache.
 * Invariants: every question gets exactly one callback from c-ares, also when the channel is
 * destroyed; c-ares closes its sockets itself, after it has said so; a channel is destroyed
 * outside of c-ares. The two families of a name are separate questions, and c-ares gets complete
 * names only: the hosts file and the search list would otherwise be applied to each family by
 * itself, and addresses of different hosts be mixed.
 */
#include "network/resolve_channel.h"

#include "base/log.h"
#include "network/resolve_zones.h"

#include <ares.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define RESOLVE_TIMEOUT_MS 2000 /* for the first try of a server; c-ares backs off from there */
#define RESOLVE_TRIES 3

struct resolve_channel {
	struct loop *loop;
	ares_channel ares; /* asks the name servers */
	ares_channel files; /* looks into the hosts file, and has read the search list */
	struct resolve_search search;
	struct resolve_zones zones;
	struct ev_timer timer;
	struct list sockets;
	bool working; /* c-ares runs */
};

struct resolve_socket {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct resolve_channel *channel;
	int fd;
};

struct question {
	resolve_reply_fn *fn;
	void *ctx;
};

static void socket_free(struct deferred_free *dead) {
	free(container_of(dead, struct resolve_socket, dead));
}

/* After every call into c-ares: when does it want to be called without an event? */
static void channel_arm(struct resolve_channel *channel) {
	struct loop *loop = channel->loop;
	struct timeval room;
	struct timeval *next = ares_timeout(channel->ares, NULL, &room);
	if(!next) {
		loop_timer_cancel(loop, &channel->timer);
		return;
	}
	uint64_t wait_ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
	loop_timer_set(loop, &channel->timer, loop->now_ms + wait_ms);
}

static void channel_process(struct resolve_channel *channel, ares_socket_t in, ares_socket_t out) {
	channel->working = true;
	ares_process_fd(channel->ares, in, out);
	channel->working = false;
	channel_arm(channel);
}

static void channel_due(struct ev_timer *timer) {
	channel_process(container_of(timer, struct resolve_channel, timer), ARES_SOCKET_BAD,
		ARES_SOCKET_BAD);
}

static void socket_run(struct ev_io *io) {
	struct resolve_socket *sock = container_of(io, struct resolve_socket, io);
	ares_socket_t in = io->ready & LOOP_IN ? sock->fd : ARES_SOCKET_BAD;
	ares_socket_t out = io->ready & LOOP_OUT ? sock->fd : ARES_SOCKET_BAD;
	channel_process(sock->channel, in, out);
}

static struct resolve_socket *socket_find(struct resolve_channel *channel, int fd) {
	for(struct list *at = channel->sockets.next; at != &channel->sockets; at = at->next) {
		struct resolve_socket *sock = container_of(at, struct resolve_socket, link);
		if(sock->fd == fd) {
			return sock;
		}
	}
	return NULL;
}

static void socket_add(struct resolve_channel *channel, int fd, unsigned want) {
	struct loop *loop = channel->loop;
	struct resolve_socket *sock = calloc(1, sizeof(*sock));
	if(!sock || loop_add_level(loop, &sock->io, fd, want, socket_run)) {
		/* The query ends with its timeout. */
		log_write(LOG_ERROR, "name lookup: cannot wait for a socket");
		free(sock);
		return;
	}
	sock->channel = channel;
	sock->fd = fd;
	list_append(&channel->sockets, &sock->link);
}

/* The events that c-ares waits for. None: it is about to close the socket. */
static void socket_changed(void *ctx, ares_socket_t fd, int readable, int writable) {
	struct resolve_channel *channel = ctx;
	struct loop *loop = channel->loop;
	struct resolve_socket *sock = socket_find(channel, fd);
	unsigned want = (readable ? LOOP_IN : 0) | (writable ? LOOP_OUT : 0);
	if(!sock) {
		if(want) {
			socket_add(channel, fd, want);
		}
		return;
	}
	if(want) {
		loop_want(loop, &sock->io, want);
		return;
	}
	loop_remove(loop, &sock->io);
	list_remove(&sock->link);
	sock->dead.free = socket_free;
	loop_defer_free(loop, &sock->dead);
}

/* ---- replies ---- */

static void reply_failed(struct resolve_reply *reply, int status) {
	reply->status = RESOLVE_FAILED;
	reply->error = -EIO;
	reply->why = ares_strerror(status);
	switch(status) {
	case ARES_ENODATA:
		reply->status = RESOLVE_NO_ADDRESS;
		break;
	case ARES_EBADNAME: /* a name that cannot exist */
	case ARES_ENOTFOUND:
		reply->status = RESOLVE_NO_NAME;
		break;
	case ARES_ENOMEM:
		reply->error = -ENOMEM;
		break;
	case ARES_ETIMEOUT:
		reply->error = -ETIMEDOUT;
		reply->why = "no name server answered";
		break;
	case ARES_EDESTRUCTION:
		reply->error = -ECANCELED;
		break;
	default:
		break;
	}
}

static uint32_t lower_ttl(uint32_t ttl_s, int other) {
	uint32_t other_s = other < 0 ? 0 : (uint32_t)other;
	return ttl_s < other_s ? ttl_s : other_s;
}

static void reply_collect(struct resolve_reply *reply, const struct ares_addrinfo *info) {
	reply->ttl_s = UINT32_MAX;
	for(const struct ares_addrinfo_cname *at = info->cnames; at; at = at->next) {
		reply->ttl_s = lower_ttl(reply->ttl_s, at->ttl);
	}
	for(const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		union address address = address_of(node->ai_addr);
		if(address_is_ip(&address) && reply->count < RESOLVE_ADDRESSES_MAX) {
			reply->address[reply->count++] = address;
			reply->ttl_s = lower_ttl(reply->ttl_s, node->ai_ttl);
		}
	}
	reply->status = reply->count > 0 ? RESOLVE_FOUND : RESOLVE_NO_ADDRESS;
}

static void reply_fill(struct resolve_reply *reply, int status, struct ares_addrinfo *info) {
	*reply = (struct resolve_reply){0};
	if(status == ARES_SUCCESS) {
		reply_collect(reply, info);
	} else {
		reply_failed(reply, status);
	}
	if(info) {
		ares_freeaddrinfo(info);
	}
}

/* ---- channels ---- */

static int errno_of(int status) {
	return status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static int read_search(struct resolve_channel *channel) {
	struct ares_options options = {0};
	int mask = 0;
	int status = ares_save_options(channel->files, &options, &mask);
	if(status != ARES_SUCCESS) {
		return errno_of(status);
	}
	size_t domains = options.ndomains > 0 ? (size_t)options.ndomains : 0;
	size_t ndots = options.ndots > 0 ? (size_t)options.ndots : 0;
	int result = resolve_search_set(&channel->search, domains, options.domains, ndots);
	ares_destroy_options(&options);
	return result;
}

static int open_files(struct resolve_channel *channel) {
	char lookups[] = "f";
	struct ares_options options = {.lookups = lookups};
	int status = ares_init_options(&channel->files, &options, ARES_OPT_LOOKUPS);
	if(status != ARES_SUCCESS) {
		channel->files = NULL;
		return errno_of(status);
	}
	return read_search(channel);
}

static int use_servers(struct resolve_channel *channel, const char *servers) {
	char *plain;
	int result = resolve_zones_take(&channel->zones, servers, &plain);
	if(result) {
		return result;
	}
	resolve_zones_use(&channel->zones, channel->ares);
	int status = ares_set_servers_ports_csv(channel->ares, plain);
	free(plain);
	return status == ARES_SUCCESS ? 0 : status == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static int open_servers(struct resolve_channel *channel, const char *servers) {
	char lookups[] = "b";
	struct ares_options options = {
		.timeout = RESOLVE_TIMEOUT_MS,
		.tries = RESOLVE_TRIES,
		.lookups = lookups,
		.ndomains = 0,
		.sock_state_cb = socket_changed,
		.sock_state_cb_data = channel,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS |
		ARES_OPT_DOMAINS;
	int status = ares_init_options(&channel->ares, &options, mask);
	if(status != ARES_SUCCESS) {
		channel->ares = NULL;
		return errno_of(status);
	}
	return servers ? use_servers(channel, servers) : 0;
}

int resolve_channel_open(struct resolve_channel **out, struct loop *loop, const char *servers) {
	struct resolve_channel *channel = calloc(1, sizeof(*channel));
	if(!channel || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(channel);
		return -ENOMEM;
	}
	channel->loop = loop;
	list_init(&channel->sockets);
	int result = loop_timer_open(loop, &channel->timer, channel_due);
	if(result == 0) {
		result = open_files(channel);
	}
	if(result == 0) {
		result = open_servers(channel, servers);
	}
	if(result) {
		resolve_channel_close(channel);
		return result;
	}
	*out = channel;
	return 0;
}

void resolve_channel_close(struct resolve_channel *channel) {
	if(!channel) {
		return;
	}
	assert(!channel->working);
	if(channel->ares) {
		ares_destroy(channel->ares);
	}
	if(channel->files) {
		ares_destroy(channel->files);
	}
	loop_timer_close(channel->loop, &channel->timer);
	resolve_search_free(&channel->search);
	ares_library_cleanup();
	free(channel);
}

/* ---- questions ---- */

static void question_done(void *ctx, int status, int timeouts, struct ares_addrinfo *info) {
	struct question question = *(struct question *)ctx;
	struct resolve_reply reply;
	(void)timeouts;
	free(ctx);
	reply_fill(&reply, status, info);
	question.fn(question.ctx, &reply);
}

void resolve_channel_ask(struct resolve_channel *channel, const char *name, int family,
	resolve_reply_fn *fn, void *ctx) {
	struct ares_addrinfo_hints hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct question *question = malloc(sizeof(*question));
	if(!question) {
		struct resolve_reply reply = {0};
		reply_failed(&reply, ARES_ENOMEM);
		fn(ctx, &reply);
		return;
	}
	*question = (struct question){fn, ctx};
	ares_getaddrinfo(channel->ares, name, NULL, &hints, question_done, question);
	channel_arm(channel);
}

static void file_done(void *ctx, int status, int timeouts, struct ares_addrinfo *info) {
	(void)timeouts;
	reply_fill(ctx, status, info);
}

void resolve_channel_ask_file(
	struct resolve_channel *channel, const char *host, struct resolve_reply *reply) {
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	/* Without name servers c-ares answers at once. */
	ares_getaddrinfo(channel->files, host, NULL, &hints, file_done, reply);
	if(reply->status != RESOLVE_FOUND) {
		reply->status = RESOLVE_NO_NAME;
	}
}

const struct resolve_search *resolve_channel_search(const struct resolve_channel *channel) {
	return &channel->search;
}

static bool is_server(const struct ares_addr_port_node *node, const union address *server) {
	if(node->family != server->any.sa_family) {
		return false;
	}
	return node->family == AF_INET6 ? memcmp(&node->addr.addr6, &server->in6.sin6_addr, 16) == 0
					: memcmp(&node->addr.addr4, &server->in.sin_addr, 4) == 0;
}

bool resolve_channel_has_server(
	const struct resolve_channel *channel, const union address *server) {
	struct ares_addr_port_node *nodes;
	bool found = false;
	if(ares_get_servers_ports(channel->ares, &nodes) != ARES_SUCCESS) {
		return true; /* not known: no reason for a warning */
	}
	for(const struct ares_addr_port_node *node = nodes; node && !found; node = node->next) {
		found = is_server(node, server);
	}
	ares_free_data(nodes);
	return found;
}
