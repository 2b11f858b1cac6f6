/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The set of listening sockets: opening it, and exchanging it for another one.
 *
 * Must not know: how connections are accepted.
 * Invariants: a change of the set takes effect completely or not at all; a socket that stays is not
 * closed for a moment.
 */
#include "network/listeners.h"

#include "base/address.h"
#include "network.h"
#include "network/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTENERS_ADDRESSES 16 /* sockets that one `listen` may come to */

/* Length of a spec without its mode. */
static size_t spec_base(const char *spec) {
	struct address_unix local;
	const char *why;
	if(!address_is_unix(spec) || address_parse_unix(spec, &local, &why)) {
		return strlen(spec);
	}
	return (size_t)(local.path.at - spec) + local.path.len;
}

/* The mode of a Unix socket does not matter here. */
static bool listener_is(const struct listener *listener, const struct listener_target *target) {
	const char *spec = target->spec;
	uint16_t port = target->port;
	if(!spec || !listener->spec) {
		return spec == listener->spec && listener->port == port;
	}
	size_t len = spec_base(spec);
	return len == spec_base(listener->spec) && strncmp(spec, listener->spec, len) == 0 &&
		(address_is_unix(spec) || listener->port == port);
}

/* Marks all sockets that the name came to. False: it is not open. */
static bool want_open(struct listeners *set, const struct listener_target *target) {
	bool found = false;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		if(listener_is(listener_of(at), target)) {
			listener_of(at)->wanted = true;
			found = true;
		}
	}
	return found;
}

/* Lets new sockets overlap with those of this port that will be closed. False: there are none. */
static bool share_unwanted(struct listeners *set, uint16_t port, bool share) {
	bool found = false;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		const struct listener *listener = listener_of(at);
		struct socket_address own;
		if(!listener->wanted && listener_own_address(listener, &own) == 0 && port > 0 &&
			address_port(&own.ip) == port) {
			/* Workers share theirs anyway. */
			network_share_port(listener->io.fd, share || listener->beside);
			found = true;
		}
	}
	return found;
}

/* Opens one address into `list`. 0, or negative errno after a line in the log. */
static int open_target(
	struct listeners *set, struct list *list, const struct listener_target *target) {
	int fds[LISTENERS_ADDRESSES];
	char error[NETWORK_ERROR_MAX];
	struct network_listener where = {.spec = target->spec, .port = target->port};
	int count = network_listen(&where, fds, LISTENERS_ADDRESSES, error);
	if(count == -EADDRINUSE && share_unwanted(set, target->port, true)) {
		where.share = true;
		count = network_listen(&where, fds, LISTENERS_ADDRESSES, error);
		share_unwanted(set, target->port, false);
	}
	if(count < 0) {
		log_write(LOG_ERROR, "%s", error);
		return count;
	}
	int result = 0;
	for(int i = 0; i < count; i++) {
		if(result) {
			close(fds[i]);
			continue;
		}
		result = listener_new(set, list, fds[i], target);
		if(result == 0) {
			listener_remember_file(listener_of(list->prev));
			result = listener_open_beside(listener_of(list->prev));
		}
	}
	return result;
}

static void end_all(struct list *list) {
	while(list->next != list) {
		listener_end(listener_of(list->next));
	}
}

static void end_unwanted(struct listeners *set) {
	for(struct list *at = set->list.next; at != &set->list;) {
		struct listener *listener = listener_of(at);
		at = at->next;
		if(!listener->wanted) {
			listener_end(listener);
		}
	}
}

static mode_t default_mode(void) {
	mode_t mask = umask(0);
	umask(mask);
	return 0777 & ~mask;
}

/* Gives the file of a Unix socket that stays the mode that its new spec has. */
static void change_mode(struct listener *listener, const char *spec) {
	struct address_unix local;
	const char *why;
	char *copy = strdup(spec);
	if(!copy || address_parse_unix(spec, &local, &why)) {
		free(copy);
		return;
	}
	free(listener->spec);
	listener->spec = copy;
	listener_set_mode(listener, local.has_mode ? local.mode : default_mode());
}

static void change_modes(
	struct listeners *set, size_t count, const struct listener_target *targets) {
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		struct listener *listener = listener_of(at);
		for(size_t i = 0; i < count; i++) {
			if(!listener_is(listener, &targets[i])) {
				continue;
			}
			listener->tls = targets[i].tls;
			if(listener->spec && strcmp(targets[i].spec, listener->spec) != 0) {
				change_mode(listener, targets[i].spec);
			}
		}
	}
}

/* Takes the new sockets over. */
static void adopt_all(struct listeners *set, struct list *fresh) {
	while(fresh->next != fresh) {
		struct list *link = fresh->next;
		list_remove(link);
		list_append(&set->list, link);
		listener_log(listener_of(link));
	}
}

int listeners_init(struct listeners *listeners, struct loop *loop, listeners_accept_fn *fn) {
	*listeners = (struct listeners){.loop = loop, .fn = fn};
	list_init(&listeners->list);
	return loop_timer_open(loop, &listeners->retry, listener_accept_again);
}

static void free_targets(struct listener_target *targets, size_t count) {
	for(size_t i = 0; targets && i < count; i++) {
		free(targets[i].spec);
	}
	free(targets);
}

/* The addresses of valid specs. NULL: no memory. */
static struct listener_target *make_targets(size_t count, char *const *specs, uint16_t port) {
	struct listener_target *targets = calloc(count, sizeof(*targets));
	for(size_t i = 0; targets && i < count; i++) {
		struct address_listen listen = {.is_every = true};
		const char *why;
		if(specs[i] && address_parse_listen(specs[i], &listen, &why)) {
			listen.host = text_slice(specs[i]); /* reported when it is opened */
		}
		targets[i].port = listen.has_port ? listen.port : port;
		targets[i].tls = listen.tls;
		if(!listen.is_every) {
			targets[i].spec = strndup(listen.host.at, listen.host.len);
			if(!targets[i].spec) {
				free_targets(targets, count);
				return NULL;
			}
		}
	}
	return targets;
}

static int open_targets(struct listeners *set, struct list *fresh,
	const struct listener_target *targets, size_t count) {
	int result = 0;
	for(struct list *at = set->list.next; at != &set->list; at = at->next) {
		listener_of(at)->wanted = false;
	}
	/* Marked before the first is opened: those that stay share their ports with none. */
	for(size_t i = 0; i < count; i++) {
		want_open(set, &targets[i]);
	}
	for(size_t i = 0; i < count && result == 0; i++) {
		if(!want_open(set, &targets[i])) {
			result = open_target(set, fresh, &targets[i]);
		}
	}
	return result;
}

int listeners_prepare(struct listeners *listeners, struct listeners_change *change, size_t count,
	char *const *specs, uint16_t port) {
	static char *const every[] = {NULL};
	*change = (struct listeners_change){.count = count > 0 ? count : 1};
	list_init(&change->fresh);
	if(listeners->passed) {
		return 0;
	}
	change->target = make_targets(change->count, count > 0 ? specs : every, port);
	if(!change->target) {
		log_write(LOG_ERROR, "cannot listen: out of memory");
		return -ENOMEM;
	}
	int result = open_targets(listeners, &change->fresh, change->target, change->count);
	if(result) {
		listeners_abandon(change);
	}
	return result;
}

void listeners_commit(struct listeners *listeners, struct listeners_change *change) {
	if(change->target) {
		end_unwanted(listeners);
		change_modes(listeners, change->count, change->target);
		adopt_all(listeners, &change->fresh);
	}
	listeners_abandon(change);
}

void listeners_abandon(struct listeners_change *change) {
	end_all(&change->fresh);
	free_targets(change->target, change->count);
	change->target = NULL;
}

int listeners_open(struct listeners *listeners, size_t count, char *const *specs, uint16_t port) {
	struct listeners_change change;
	int result = listeners_prepare(listeners, &change, count, specs, port);
	if(result == 0) {
		listeners_commit(listeners, &change);
	}
	return result;
}

uint16_t listeners_tls_port(const struct listeners *listeners) {
	const struct list *list = &listeners->list;
	for(struct list *at = list->next; at != list; at = at->next) {
		struct socket_address own;
		if(listener_of(at)->tls == ADDRESS_TLS_ONLY &&
			listener_own_address(listener_of(at), &own) == 0 &&
			address_port(&own.ip) > 0) {
			return address_port(&own.ip);
		}
	}
	return 0;
}

const char *listeners_name(const struct listeners *listeners, uint32_t number) {
	const struct list *list = &listeners->list;
	for(struct list *at = list->next; at != list; at = at->next) {
		if(listener_of(at)->number == number) {
			return listener_of(at)->name;
		}
	}
	return NULL;
}

int listeners_take(struct listeners *listeners, int first_fd, int count) {
	listeners->passed = true;
	for(int fd = first_fd; fd < first_fd + count; fd++) {
		int listens = 0;
		socklen_t len = sizeof(listens);
		if(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
			log_write(LOG_ERROR,
				"descriptor %d of the service manager is not a listening stream "
				"socket (use ListenStream= and Accept=no)",
				fd);
			return -EINVAL;
		}
		network_tune(fd);
		static const struct listener_target passed = {.spec = NULL};
		int result = listener_new(listeners, &listeners->list, fd, &passed);
		if(result) {
			return result;
		}
		listener_log(listener_of(listeners->list.prev));
	}
	return 0;
}

/* ---- workers ---- */

static size_t list_length(const struct list *list) {
	size_t count = 0;
	for(const struct list *at = list->next; at != list; at = at->next) {
		count++;
	}
	return count;
}

static enum address_tls tls_after(
	const struct listener *listener, const struct listeners_change *change) {
	for(size_t i = 0; change && change->target && i < change->count; i++) {
		if(listener_is(listener, &change->target[i])) {
			return change->target[i].tls;
		}
	}
	return listener->tls;
}

int listeners_shares(const struct listeners *listeners, const struct listeners_change *change,
	size_t worker, struct listener_share **out) {
	const struct list *lists[] = {&listeners->list, change ? &change->fresh : NULL};
	bool reduces = change && change->target;
	int count = 0;
	size_t most = list_length(lists[0]) + (change ? list_length(lists[1]) : 0);
	struct listener_share *shares = calloc(most + 1, sizeof(*shares));
	if(!shares) {
		return -ENOMEM;
	}
	for(size_t i = 0; i < 2 && lists[i]; i++) {
		for(struct list *at = lists[i]->next; at != lists[i]; at = at->next) {
			const struct listener *listener = listener_of(at);
			if(!reduces || listener->wanted) {
				shares[count++] = (struct listener_share){
					.fd = listener_fd_of(listener, worker),
					.number = listener->number,
					.tls = tls_after(listener, change),
					.shared = !listener->beside,
				};
			}
		}
	}
	*out = shares;
	return count;
}

int listeners_follow(
	struct listeners *listeners, const struct listener_share *shares, size_t count) {
	struct list fresh;
	int result = 0;
	list_init(&fresh);
	for(size_t i = 0; i < count; i++) {
		const struct listener_target target = {
			.tls = shares[i].tls, .shared = shares[i].shared};
		if(result) {
			close(shares[i].fd);
			continue;
		}
		result = listener_new(listeners, &fresh, shares[i].fd, &target);
		if(result == 0) {
			listener_of(fresh.prev)->number = shares[i].number;
			listener_name(listener_of(fresh.prev));
		}
	}
	if(result == 0) {
		listeners->passed = true;
		end_all(&listeners->list);
		list_take(&listeners->list, &fresh);
	}
	end_all(&fresh);
	return result;
}

int listeners_set_root(struct listeners *listeners, const char *root) {
	free(listeners->root);
	listeners->root = root ? strdup(root) : NULL;
	return root && !listeners->root ? -ENOMEM : 0;
}

void listeners_close(struct listeners *listeners) {
	end_all(&listeners->list);
	free(listeners->root);
	listeners->root = NULL;
	loop_timer_close(listeners->loop, &listeners->retry);
}
