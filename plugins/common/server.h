/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of servers in options of backends: a host with or without a port.
 */
#ifndef WEBSOCKSY_PLUGIN_COMMON_SERVER_H
#define WEBSOCKSY_PLUGIN_COMMON_SERVER_H
#include <stdbool.h>
#include <stddef.h>

#define SERVER_MAX 1024 /* with its NUL */

/*
 * Writes scheme://host:port, for connect(). `host` has `len` bytes: a name or an IPv4 address, or
 * an IPv6 address in brackets, and a port unless `port` is to be taken. False: it has another form,
 * or does not fit.
 */
bool server_address(
	char out[SERVER_MAX], const char *scheme, const char *host, size_t len, const char *port);
#endif
