/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The options of the log put into effect.
 *
 * Must not know: how lines are written.
 * Invariants: the old target stays in use until the new one is open.
 */
#include "config/logging.h"

#include "config/types.h"

static const char *target_of(const struct settings *settings) {
	return settings->log_target ? settings->log_target : TYPE_WORD_STDERR;
}

int logging_open(const struct settings *settings, struct log_sink *sink) {
	const struct log_owner owner = {.set = false};
	char why[LOG_SINK_WHY];
	const char *target = target_of(settings);
	int result = log_sink_open(sink, target, &owner, why);
	if(result) {
		log_write(LOG_ERROR, "log-target: \"%s\": %s", target, why);
	}
	return result;
}

void logging_use(const struct settings *settings, const struct log_sink *sink) {
	log_use(sink, (enum log_format)settings->log_format);
	log_set_level(settings->log_level);
}

void logging_reopen(const struct settings *settings) {
	struct log_sink sink;
	if(logging_open(settings, &sink) == 0) {
		logging_use(settings, &sink);
	}
}
