/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The service manager: readiness and watchdog messages (sd_notify(3)) and passed listening sockets
 * (sd_listen_fds(3)), without linking anything for it.
 */
#ifndef WEBSOCKSY_NOTIFY_H
#define WEBSOCKSY_NOTIFY_H
#include <stdint.h>

/* Descriptors are passed from this number on. */
#define NOTIFY_LISTEN_START 3

/*
 * Sends `state` ("READY=1", lines separated by \n) to the socket that NOTIFY_SOCKET names. Does not block.
 * 0 (also when there is no service manager) or negative errno.
 */
int notify_send(const char *state);

/* Milliseconds after which the service manager misses a WATCHDOG=1 (WATCHDOG_USEC); 0: it does not watch. */
uint64_t notify_watchdog_ms(void);

/*
 * How many listening sockets were passed to this process (LISTEN_FDS, LISTEN_PID), numbered from
 * NOTIFY_LISTEN_START; they are made close-on-exec and non-blocking.
 */
int notify_listen_fds(void);
#endif
