/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How the daemon runs: in the background, for how long, with which log and recordings.
 *
 * It must not know other options.
 */
#include "compat/running.h"

#include "base/address.h"
#include "base/text.h"
#include "compat/parts.h"

#include <stdlib.h>
#include <string.h>

#define PONG_TIMEOUT_MIN 60 /* seconds; a short heartbeat is not a demand for fast answers */

static void translate_log(struct compat *compat, const struct given *given) {
	const char *file = given_value(given, GIVEN_LOG_FILE);
	const char *syslog = given_value(given, GIVEN_SYSLOG);
	if(given_value(given, GIVEN_VERBOSE)) {
		parts_add(compat, "--verbose", "log-level", "debug");
	}
	if(file && syslog) {
		texts_add(&compat->notices, NULL,
			"--log-file: has no effect with --syslog; there is one log");
	}
	if(syslog) {
		const char *colon = strrchr(syslog, ':');
		uint16_t port;
		if(colon && address_parse_port(text_slice(colon + 1), &port)) {
			compat_fail_usage(compat, "Error parsing syslog port");
		}
		char *server = colon ? strdup(syslog) : parts_path(compat, syslog);
		texts_add(&compat->arguments, "--syslog", "--log-target=syslog:%s",
			server ? server : "");
		compat->arguments.no_memory |= !server;
		free(server);
	} else if(file) {
		char *path = parts_path(compat, file);
		texts_add(
			&compat->arguments, "--log-file", "--log-target=file:%s", path ? path : "");
		free(path);
	}
}

/* In the background and under inetd, there is no output for the characters. */
static void translate_traffic(struct compat *compat, const struct given *given, bool daemon) {
	bool asked = given_value(given, GIVEN_TRAFFIC);
	if(daemon || given_value(given, GIVEN_INETD)) {
		if(asked) {
			texts_add(&compat->notices, NULL,
				"--traffic: has no effect in the background and under inetd");
		}
	} else if(asked || given_value(given, GIVEN_VERBOSE)) {
		parts_add(compat, asked ? "--traffic" : "--verbose", "traffic", "yes");
	}
}

/* FILE.1, FILE.2 and so on. A '%' of the name itself is doubled. */
static void translate_record(struct compat *compat, const struct given *given) {
	const char *file = given_value(given, GIVEN_RECORD);
	char *path = file ? parts_path(compat, file) : NULL;
	char *doubled = path ? malloc(2 * strlen(path) + 1) : NULL;
	if(doubled) {
		char *out = doubled;
		for(const char *in = path; *in; in++) {
			*out++ = *in;
			*out = '%';
			out += *in == '%';
		}
		*out = '\0';
		texts_add(&compat->arguments, "--record", "--record=%s.%%i", doubled);
		parts_add(compat, "--record", "record-format", "novnc");
		texts_add(&compat->lines, NULL, "  - Recording to '%s.*'", path);
	}
	compat->arguments.no_memory |= path && !doubled;
	free(doubled);
	free(path);
}

static void add_time(
	struct compat *compat, const char *source, const char *option, const char *seconds) {
	if(seconds && strtoull(seconds, NULL, 10) > 0) {
		parts_add(compat, source, option, seconds);
	}
}

static void translate_heartbeat(struct compat *compat, const char *seconds) {
	if(seconds) {
		parts_add(compat, "--heartbeat", "ping", seconds);
		if(strtoull(seconds, NULL, 10) < PONG_TIMEOUT_MIN / 2) {
			texts_add(&compat->arguments, "--heartbeat", "--pong-timeout=%d",
				PONG_TIMEOUT_MIN);
		}
	}
}

void running_translate(struct compat *compat, const struct given *given) {
	bool daemon = given->wsproxy ? !given_value(given, GIVEN_FOREGROUND)
				     : given_value(given, GIVEN_DAEMON) != NULL;
	if(daemon) {
		parts_add(compat, given->wsproxy ? "running without -f" : "--daemon", "daemon",
			"yes");
		texts_add(&compat->lines, NULL, "  - Backgrounding (daemon)");
	}
	if(given_value(given, GIVEN_RUN_ONCE)) {
		parts_add(compat, "--run-once", "run-once", "yes");
	}
	add_time(compat, "--timeout", "exit-after", given_value(given, GIVEN_TIMEOUT));
	add_time(compat, "--idle-timeout", "exit-idle", given_value(given, GIVEN_IDLE_TIMEOUT));
	translate_heartbeat(compat, given_value(given, GIVEN_HEARTBEAT));
	if(given->wsproxy) {
		/* Its clients are of 2010. */
		parts_add(compat, NULL, "legacy", "hixie,hybi,flash");
	}
	translate_log(compat, given);
	translate_traffic(compat, given, daemon);
	translate_record(compat, given);
	if(given_value(given, GIVEN_DUMP_CONFIG)) {
		texts_add(&compat->arguments, "--dump-config", "--dump-config");
	}
}
