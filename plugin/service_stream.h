/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Streams of plugins to servers, over TCP, TLS and Unix sockets.
 */
#ifndef WEBSOCKSY_PLUGIN_SERVICE_STREAM_H
#define WEBSOCKSY_PLUGIN_SERVICE_STREAM_H
#include "plugin/services.h"

/* The functions of struct websocksy_core. */
struct websocksy_stream *service_stream_connect(
	const struct websocksy_core *core, const char *address, websocksy_stream_fn *fn, void *ctx);
int service_stream_write(struct websocksy_stream *stream, const void *data, size_t len);
void service_stream_close(struct websocksy_stream *stream);
const char *service_stream_check(const char *address);
#endif
