/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of the log put into effect.
 */
#ifndef WEBSOCKSY_LOGGING_H
#define WEBSOCKSY_LOGGING_H
#include "base/log_sink.h"
#include "config/settings.h"

/*
 * Opens the target of the log, which may block for the lookup of a name. 0, and the sink is to be
 * passed to logging_use() or closed; or negative errno after a line in the log.
 */
int logging_open(const struct settings *settings, struct log_sink *sink);

/* Level, format and target are those of `settings` from now on. The sink is taken over. */
void logging_use(const struct settings *settings, const struct log_sink *sink);

/* Opens the target once more, as a file that was renamed needs it. On failure nothing changes. */
void logging_reopen(const struct settings *settings);
#endif
