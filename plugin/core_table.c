/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The functions of the core for plugins of API version 2; it only names.
 */
#include "plugin/core_table.h"

#include "plugin/find.h"
#include "plugin/instance.h"
#include "plugin/pending.h"
#include "plugin/service_stream.h"
#include "plugin/services.h"

const struct websocksy_core core_table = {
	.size = sizeof(struct websocksy_core),
	.log = services_log,
	.account = services_account,
	.find = pending_find,
	.check_source = find_check,
	.check_address = service_stream_check,
	.answer = pending_answer,
	.refuse = pending_refuse,
	.cached = pending_cached,
	.timer = services_timer,
	.timer_stop = services_timer_stop,
	.watch = services_watch,
	.watch_stop = services_watch_stop,
	.lookup = services_lookup,
	.lookup_stop = services_lookup_stop,
	.connect = service_stream_connect,
	.write = service_stream_write,
	.close = service_stream_close,
	.option = instance_own_option,
	.field = pending_field,
};
