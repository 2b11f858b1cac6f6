/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of the log put into effect.
 */
#ifndef WEBSOCKSY_LOGGING_H
#define WEBSOCKSY_LOGGING_H
#include "base/log_sink.h"
#include "config.h"
#include "service/detach.h"

#include <stdbool.h>

/*
 * The target of these settings. The default is syslog with `daemon`, and with `inetd` if standard
 * error is not to be had.
 */
const char *logging_target(const struct settings *settings);
bool logging_is_stderr(const struct settings *settings);

/*
 * Opens the target of the log, which may block for the lookup of a name. If the default is syslog
 * and there is none, a warning says so and the target is standard error. 0, and the sink is to be
 * passed to logging_use() or closed; or negative errno after a line in the log.
 */
int logging_open(const struct config *config, struct log_sink *sink);

/*
 * Standard error is connected to a client: until the configuration is known, lines go to syslog, if
 * there is one.
 */
void logging_begin_hidden(void);

/* Level, format and target are those of `settings` from now on. The sink is taken over. */
void logging_use(const struct settings *settings, const struct log_sink *sink);

/*
 * At the end of a start: detaches the standard streams. Errors are written to the standard error that
 * there was, until log_echo_errors(-1). `sink`: the target in use.
 */
void logging_leave_streams(
	const struct settings *settings, const struct log_sink *sink, struct detach *detach);

/* Opens the target once more, as a file that was renamed needs it. On failure nothing changes. */
void logging_reopen(const struct config *config);
#endif
