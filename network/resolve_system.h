/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The system's resolv.conf(5): has it changed, and which of its name servers are not used.
 */
#ifndef WEBSOCKSY_RESOLVE_SYSTEM_H
#define WEBSOCKSY_RESOLVE_SYSTEM_H
#include "network/resolve_channel.h"

#include <stdbool.h>
#include <sys/stat.h>

#define RESOLVE_SYSTEM_FILE "/etc/resolv.conf"

/* The status of the file when it was read; zeroed: never. */
struct resolve_system {
	int error; /* errno of stat() */
	struct stat status;
};

/* Takes the status of the file. Does it differ from the last? */
bool resolve_system_changed(struct resolve_system *system);

/*
 * The name servers of the file as a list with zones (free()), if one of them is a link-local address
 * and so needs its zone. NULL: none does; the resolver library reads the file itself.
 */
char *resolve_system_zoned(void);

/* Logs a warning for each name server of the file that the channel does not ask. */
void resolve_system_warn(const struct resolve_channel *channel);
#endif
