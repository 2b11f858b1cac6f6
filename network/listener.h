/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One listening socket, a member of a set (listeners.h).
 */
#ifndef WEBSOCKSY_LISTENER_H
#define WEBSOCKSY_LISTENER_H
#include "base/address.h"
#include "base/list.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct listeners;

/* One address of the configuration. */
struct listener_target {
	char *spec; /* owned; NULL: every address */
	uint16_t port;
	enum address_tls tls;
	bool shared; /* other processes accept from the same socket */
};

struct listener {
	struct ev_io io;
	struct deferred_free dead;
	struct list link;
	struct listeners *set;
	char *spec; /* as configured, without port; NULL: every address, or the service manager's */
	uint16_t port; /* as configured */
	enum address_tls tls;
	char name[2 * ADDRESS_TEXT]; /* the address that it listens on */
	uint32_t number; /* which no other listener of the set has had */
	dev_t device; /* of a socket file that was made here */
	ino_t inode; /* 0: none */
	bool shared; /* other processes accept from it, too */
	bool wanted; /* by the configuration that is being taken over */
	int *beside; /* sockets of the other workers, of listeners.workers - 1; NULL: they share this */
	int batch; /* connections that were to be taken in the last turn, 0: there were fewer */
	uint64_t turn; /* when that was */
};

static inline struct listener *listener_of(struct list *link) {
	return container_of(link, struct listener, link);
}

/*
 * Makes a listener of a listening socket, which it owns from here on, and appends it to `list`.
 * 0; or negative errno after a line in the log, and the socket is closed.
 */
int listener_new(
	struct listeners *set, struct list *list, int fd, const struct listener_target *target);

/*
 * Opens the sockets of the other workers at the same address. Unix sockets cannot be bound twice:
 * workers share them. 0; or negative errno after a line in the log.
 */
int listener_open_beside(struct listener *listener);

/* The socket of a worker. */
int listener_fd_of(const struct listener *listener, size_t worker);

/* Closes it, removes its socket file, and frees it at the end of the turn. */
void listener_end(struct listener *listener);

/* Finds out its address. 0 or negative errno. */
int listener_name(struct listener *listener);

/* The same, and logs it: "listening on ..." */
void listener_log(struct listener *listener);

/* The address that it is bound to. 0 or negative errno. */
int listener_own_address(const struct listener *listener, struct socket_address *out);

/* The path of its socket file for this process, which may have another root directory. */
const char *listener_path(const struct listener *listener, const struct socket_address *own);

/* Its socket file, if it has one, has been made here. */
void listener_remember_file(struct listener *listener);

/* Changes the mode of the socket file. One that another process has put in its place stays as it is. */
void listener_set_mode(const struct listener *listener, mode_t mode);

/* The timer listeners.retry: accepts again after a pause. */
void listener_accept_again(struct ev_timer *timer);
#endif
