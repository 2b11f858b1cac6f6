/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The target in the URL of a request.
 *
 * Must not know: which targets are allowed.
 */
#include "plugins/backend_url/request.h"

#include "plugins/common/target.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_TEXT_MAX (RULE_NAME_MAX + sizeof("[]:65535"))

static int digit(char byte) {
	static const char digits[] = "0123456789abcdef";
	const char *found = byte ? strchr(digits, byte | (byte > '9' ? 0x20 : 0)) : NULL;
	return found ? (int)(found - digits) : -1;
}

/* Decodes percent-encoding. False: it is not valid, contains a NUL, or is too long. */
static bool decode(const char *text, char out[REQUEST_TEXT_MAX]) {
	size_t len = 0;
	for(; *text; text++) {
		int byte = (unsigned char)*text;
		if(*text == '%') {
			int high = digit(text[1]);
			int low = high < 0 ? -1 : digit(text[2]);
			byte = low < 0 ? 0 : high * 16 + low;
			text += 2;
		}
		if(byte == 0 || len >= REQUEST_TEXT_MAX - 1) {
			return false;
		}
		out[len++] = (char)byte;
	}
	out[len] = '\0';
	return true;
}

static const char *read_parts(const char *host, const char *port, struct rule_target *target) {
	if(!target_read_port(port, strlen(port), &target->port)) {
		return "The port must be a number from 1 to 65535.";
	}
	return rule_read_host(host, target) ? NULL : "The host is not valid.";
}

/* An IPv6 address has to be in brackets: otherwise its end could be taken for a port. */
static const char *read_pair(const char *text, struct rule_target *target) {
	char host[REQUEST_TEXT_MAX];
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	if(!colon || len >= sizeof(host) || (text[0] != '[' && strchr(text, ':') != colon)) {
		return "The target must be HOST:PORT.";
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, text);
	return read_parts(host, colon + 1, target);
}

const char *request_read(const struct websocksy_core *core, struct websocksy_query *query,
	struct rule_target *target) {
	char text[REQUEST_TEXT_MAX];
	const char *address = core->find(query, "query:address");
	const char *host = core->find(query, "query:host");
	const char *port = core->find(query, "query:port");
	*target = (struct rule_target){.port = 0};
	if(address) {
		return read_pair(address, target);
	}
	if(host || port) {
		return host && port ? read_parts(host, port, target)
				    : "The parameters host and port are required.";
	}
	const char *path = core->find(query, "path");
	const char *slash = path ? strrchr(path, '/') : NULL;
	if(!slash || !decode(slash + 1, text)) {
		return "The target must be HOST:PORT.";
	}
	return read_pair(text, target);
}
