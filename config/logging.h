/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of the log put into effect.
 */
#ifndef WEBSOCKSY_LOGGING_H
#define WEBSOCKSY_LOGGING_H
#include "base/log_sink.h"
#include "config.h"

#include <stdbool.h>

/* The target of these settings: with `daemon` the default is syslog. */
const char *logging_target(const struct settings *settings);
bool logging_is_stderr(const struct settings *settings);

/*
 * Opens the target of the log, which may block for the lookup of a name. 0, and the sink is to be
 * passed to logging_use() or closed; or negative errno after a line in the log.
 */
int logging_open(const struct config *config, struct log_sink *sink);

/* Level, format and target are those of `settings` from now on. The sink is taken over. */
void logging_use(const struct settings *settings, const struct log_sink *sink);

/* Opens the target once more, as a file that was renamed needs it. On failure nothing changes. */
void logging_reopen(const struct config *config);
#endif
