/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets of files and lookup services: "host:port", "unix_socket:PATH", addresses with a scheme.
 *
 * Must not know: the core, nor where the text is from.
 * Invariant: a host has only the characters of host names and IP addresses, and the bytes that
 * would begin or separate parameters are written in their coded form in paths; so a text can only
 * set parameters if it has a scheme.
 */
#include "plugins/common/target.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TARGET_NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
#define TARGET_IP6 "abcdefABCDEF0123456789.:"
#define TARGET_BLANKS " \t\r\n\v\f"
#define TARGET_PORT_DIGITS 5

bool target_read_port(const char *text, size_t len, unsigned *port) {
	unsigned value = 0;
	if(len == 0 || len > TARGET_PORT_DIGITS || text[0] == '0') {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		if(text[i] < '0' || text[i] > '9') {
			return false;
		}
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	if(port) {
		*port = value;
	}
	return value <= UINT16_MAX;
}

static bool target_has_only(const char *text, size_t len, const char *bytes) {
	for(size_t i = 0; i < len; i++) {
		if(!text[i] || !strchr(bytes, text[i])) {
			return false;
		}
	}
	return len > 0;
}

static bool target_join(const char *host, size_t len, const char *port, char out[TARGET_MAX]) {
	bool brackets = len > 1 && host[0] == '[' && host[len - 1] == ']';
	host += brackets;
	len -= brackets ? 2 : 0;
	bool ip6 = memchr(host, ':', len);
	if(brackets > ip6 || !target_has_only(host, len, ip6 ? TARGET_IP6 : TARGET_NAME)) {
		return false;
	}
	int written = snprintf(
		out, TARGET_MAX, ip6 ? "tcp://[%.*s]:%s" : "tcp://%.*s:%s", (int)len, host, port);
	return written > 0 && written < TARGET_MAX;
}

static bool target_is_bounded(size_t len) {
	return len > 0 && len < TARGET_MAX;
}

bool target_from_parts(const char *host, const char *port, char out[TARGET_MAX]) {
	return target_is_bounded(strlen(host)) && target_read_port(port, strlen(port), NULL) &&
		target_join(host, strlen(host), port, out);
}

bool target_from_path(const char *path, size_t len, char out[TARGET_MAX]) {
	static const char scheme[] = "unix://";
	size_t used = sizeof(scheme) - 1;
	memcpy(out, scheme, used);
	for(size_t i = 0; i < len; i++) {
		bool coded = path[i] == '?' || path[i] == '&' || path[i] == '%';
		if(path[i] == '\0' || TARGET_MAX - used < sizeof("%25")) {
			return false;
		}
		used += (size_t)snprintf(
			out + used, TARGET_MAX - used, coded ? "%%%02X" : "%c", path[i]);
	}
	return len > 0;
}

/* Letters, digits and - in front of "://". */
static bool target_has_scheme(const char *text, size_t len) {
	size_t at = 0;
	while(at < len && text[at] && text[at] != '.' && text[at] != '_' &&
		strchr(TARGET_NAME, text[at])) {
		at++;
	}
	return at > 0 && len - at >= 3 && memcmp(text + at, "://", 3) == 0;
}

static bool target_copy(const char *text, size_t len, char out[TARGET_MAX]) {
	for(size_t i = 0; i < len; i++) {
		if((uint8_t)text[i] < ' ' || text[i] == 0x7f) {
			return false;
		}
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static bool target_split(const char *text, size_t len, char out[TARGET_MAX]) {
	char port[TARGET_PORT_DIGITS + 1];
	const char *colon = memrchr(text, ':', len);
	size_t host_len = colon ? (size_t)(colon - text) : 0;
	if(!colon || !target_read_port(colon + 1, len - host_len - 1, NULL)) {
		return false;
	}
	snprintf(port, sizeof(port), "%.*s", (int)(len - host_len - 1), colon + 1);
	return target_join(text, host_len, port, out);
}

bool target_from_text(const char *text, size_t len, char out[TARGET_MAX]) {
	static const char local[] = "unix_socket:";
	while(len > 0 && text[0] && strchr(TARGET_BLANKS, text[0])) {
		text++;
		len--;
	}
	while(len > 0 && text[len - 1] && strchr(TARGET_BLANKS, text[len - 1])) {
		len--;
	}
	if(!target_is_bounded(len)) {
		return false;
	}
	size_t prefix = sizeof(local) - 1;
	if(len >= prefix && memcmp(text, local, prefix) == 0) {
		return target_from_path(text + prefix, len - prefix, out);
	}
	return target_has_scheme(text, len) ? target_copy(text, len, out)
					    : target_split(text, len, out);
}
