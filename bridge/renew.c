/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading the configuration again.
 *
 * Must not know: what has asked for it.
 * Invariants: everything is taken over, or nothing.
 */
#include "bridge/renew.h"

#include "base/log_sink.h"
#include "config/logging.h"

int renew(struct bridge *bridge, int argc, char **argv) {
	struct config config = {0};
	struct log_sink sink = log_sink_initial;
	int result = config_read_again(&config, bridge_config(bridge), argc, argv);
	if(result == 0) {
		result = logging_open(&config, &sink);
	}
	if(result == 0) {
		result = bridge_reload(bridge, &config);
	}
	if(result) {
		log_sink_close(&sink);
		config_discard(&config);
	} else {
		logging_use(&bridge_config(bridge)->settings, &sink);
	}
	return result;
}
