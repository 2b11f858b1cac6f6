/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets as they are written in files and replies of lookup services, converted to addresses of
 * peers.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_TARGET_H
#define WEBSOCKSY_PLUGIN_COMMON_TARGET_H
#include <stdbool.h>
#include <stddef.h>

#define TARGET_MAX 1024 /* bytes of an address, with the NUL behind it */

/*
 * "host:port" as tcp://host:port, "unix_socket:PATH" as unix://PATH, and an address with a scheme
 * as it is; surrounding blanks are ignored. The last colon separates host and port. False: it is
 * none of them or too long. The parts of an address with a scheme are not checked: the core does
 * that (check_address, and with the answer).
 */
bool target_from_text(const char *text, size_t len, char out[TARGET_MAX]);

/* The host is a name, or an IP address with or without brackets; the port is a decimal number. */
bool target_from_parts(const char *host, const char *port, char out[TARGET_MAX]);

/* The address of the Unix socket `path`. False: it is empty or too long. */
bool target_from_path(const char *path, size_t len, char out[TARGET_MAX]);

/* Is it a port from 1 to 65535? Only digits, without leading zeros; `port` may be NULL. */
bool target_read_port(const char *text, size_t len, unsigned *port);
#endif
