/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading the configuration again.
 */
#ifndef WEBSOCKSY_RENEW_H
#define WEBSOCKSY_RENEW_H
#include "bridge/bridge.h"

/* Lines for the log. */
#define RENEW_DONE "the configuration has been read again"
#define RENEW_FAILED "the new configuration is not usable; nothing has changed"

/*
 * Reads the configuration that these arguments name and takes it over, the log included. 0; or
 * negative errno after lines in the log that say what is wrong, and nothing has changed.
 */
int renew(struct bridge *bridge, int argc, char **argv);
#endif
