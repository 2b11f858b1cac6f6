/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options for running as a service: checks, and giving up privileges at the start.
 */
#ifndef WEBSOCKSY_CONFIG_SERVICE_H
#define WEBSOCKSY_CONFIG_SERVICE_H
#include "config/reader.h"
#include "service/inetd.h"
#include "service/pid_file.h"

/* Reports users, groups and directories that do not exist, and options that contradict each other. */
void service_check(struct reader *reader);

/* Applies core-dump. On failure there is a warning in the log. */
void service_hide_memory(const struct settings *settings);

/* Locks the pid file, if there is to be one. 0, or negative errno after a line in the log. */
int service_lock_pid_file(const struct settings *settings, struct pid_file *file);

/*
 * Takes the socket of inetd: standard input, or the first passed socket (`passed`). 0, or negative
 * errno after a line in the log.
 */
int service_take_inetd(bool passed, struct inetd_socket *out);

/*
 * At the start, when everything is open that needs privileges: changes user, group and root
 * directory as configured, and the paths in `config` accordingly. Warns about files that a reload
 * needs and cannot read from here on. 0; 1: something has changed; or negative errno after a line
 * in the log.
 */
int service_drop_privileges(struct config *config);
#endif
