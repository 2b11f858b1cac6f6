/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The characters on standard output that show the traffic.
 *
 * Must not know: the data.
 * Invariants: writing never blocks; what the reader of standard output does not take is not shown.
 */
#include "bridge/traffic.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static const char legend[] = "\nTraffic Legend:\n"
			     "    }  - Client receive\n"
			     "    }. - Client receive partial\n"
			     "    {  - Target receive\n"
			     "\n"
			     "    >  - Target send\n"
			     "    >. - Target send partial\n"
			     "    <  - Client send\n"
			     "    <. - Client send partial\n";

/* A pipe that can be written to has room for all of it (PIPE_BUF). */
static void show(const char *text) {
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	if(poll(&out, 1, 0) == 1 && write(out.fd, text, strlen(text)) < 0) {
		return; /* it has no reader any more */
	}
}

void traffic_begin(struct connection *c) {
	if(c->env->settings->traffic) {
		c->tapped |= TAP_SHOWN;
		show(legend);
	}
}

/* It waits behind other data, so that the system does not take all of it now. */
static bool is_behind(const struct stream *stream) {
	return stream_backlog(stream) > 0;
}

void traffic_from_client(const struct connection *c, size_t len, bool last) {
	if(!last) {
		show(len > 0 ? "}." : "");
		return;
	}
	show(c->loopback ? "}" : is_behind(&c->peer) ? "}>." : "}>");
}

void traffic_to_client(const struct connection *c) {
	bool behind = is_behind(&c->client);
	show(c->loopback ? (behind ? "<." : "<") : behind ? "{<." : "{<");
}
