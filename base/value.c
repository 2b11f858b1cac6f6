/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How single values of options are written: numbers with units, addresses, paths. It must not know which
 * option a value is for, nor say whose error it is: that is the caller's.
 * Invariants: what value_write() writes, value_read() reads as the same number.
 */
#include "base/value.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define VALUE_NAME_MAX 253 /* RFC 1035, 2.3.4, without the dot at the end */

/* ---- numbers ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

/* The last unit that divides a number is the one that it is printed with. */
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct unit time_units[] = {
	{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"k", (uint64_t)1 << 10},
	{"K", (uint64_t)1 << 10}, {"m", (uint64_t)1 << 20}, {"M", (uint64_t)1 << 20},
	{"g", (uint64_t)1 << 30}, {"G", (uint64_t)1 << 30}, {NULL, 0}};

struct notation {
	const struct unit *units;
	bool fractions;
};

static const struct notation notations[] = {
	[VALUE_COUNT] = {plain_units, false},
	[VALUE_TIME] = {time_units, true},
	[VALUE_SIZE] = {size_units, false},
};
static_assert(
	sizeof(notations) / sizeof(notations[0]) == VALUE_KINDS, "one notation for each kind");

/* Takes digits off the front of `*text`. 0, -EINVAL if there are none, -ERANGE. */
static int take_digits(const char **text, uint64_t *out) {
	const char *at = *text;
	bool overflow = false;

	*out = 0;
	for(; *at >= '0' && *at <= '9'; at++) {
		overflow |= __builtin_mul_overflow(*out, 10, out);
		overflow |= __builtin_add_overflow(*out, (uint64_t)(*at - '0'), out);
	}
	if(at == *text) {
		return -EINVAL;
	}
	*text = at;
	return overflow ? -ERANGE : 0;
}

/* Takes "." and one to three digits off the front of `*text`, if there is a dot. */
static int take_thousandths(const char **text, uint64_t *out) {
	*out = 0;
	if(**text != '.') {
		return 0;
	}
	const char *digits = ++*text;
	int error = take_digits(text, out);
	if(error || *text - digits > 3) {
		return -EINVAL;
	}
	for(long missing = 3 - (*text - digits); missing > 0; missing--) {
		*out *= 10;
	}
	return 0;
}

static const struct unit *find_unit(const struct unit *units, const char *name) {
	for(; units->name; units++) {
		if(strcmp(units->name, name) == 0) {
			return units;
		}
	}
	return NULL;
}

int value_read(enum value_kind kind, const char *text, uint64_t *out) {
	const struct notation *notation = &notations[kind];
	uint64_t thousandths = 0;
	int whole = take_digits(&text, out);

	if(whole == -EINVAL || (notation->fractions && take_thousandths(&text, &thousandths))) {
		return -EINVAL;
	}
	const struct unit *unit = find_unit(notation->units, text);
	if(!unit || thousandths * unit->factor % 1000 != 0) {
		return -EINVAL;
	}
	if(whole || __builtin_mul_overflow(*out, unit->factor, out) ||
		__builtin_add_overflow(*out, thousandths * unit->factor / 1000, out)) {
		return -ERANGE;
	}
	return 0;
}

/* Whole seconds stay without a unit, so that they look like the defaults in the manual. */
void value_write(enum value_kind kind, uint64_t number, char out[VALUE_TEXT]) {
	const struct unit *units = notations[kind].units;
	const struct unit *best = units;

	for(const struct unit *unit = units; unit->name; unit++) {
		bool better = kind == VALUE_TIME ? unit->name[0] == '\0' : number > 0;
		if(better && number % unit->factor == 0) {
			best = unit;
		}
	}
	snprintf(out, VALUE_TEXT, "%" PRIu64 "%s", number / best->factor, best->name);
}

/* ---- addresses and paths ---- */

/* What a request may have as its path: RFC 3986, 3.3, as far as it matters here. */
const char *value_check_path(const char *text) {
	if(text[0] == '\0') {
		return NULL;
	}
	if(text[0] != '/') {
		return "is no path (it has to begin with /)";
	}
	for(const char *at = text; *at; at++) {
		if((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || *at == '?' ||
			*at == '#') {
			return "is no path of a request (only ASCII, without white space, ? and #)";
		}
	}
	return NULL;
}

const char *value_check_directory(const char *text) {
	return text[0] == '/' ? NULL : "is no absolute path (it has to begin with /)";
}

const char *value_check_web(const char *text) {
	struct stat status;

	if(text[0] == '\0') {
		return NULL;
	}
	if(stat(text, &status)) {
		bool missing = errno == ENOENT;
		return missing ? "does not exist (use a directory or a file)"
			       : "cannot be looked at (use a directory or a file)";
	}
	bool usable = S_ISDIR(status.st_mode) || S_ISREG(status.st_mode);
	return usable ? NULL : "is neither directory nor file";
}

static bool is_ip4(const char *text) {
	struct in_addr address;
	return inet_pton(AF_INET, text, &address) == 1;
}

bool value_is_ip6(const char *text, bool zone) {
	char address[INET6_ADDRSTRLEN];
	struct in6_addr binary;
	size_t len = zone ? strcspn(text, "%") : strlen(text);

	if(len >= sizeof(address) || (text[len] == '%' && text[len + 1] == '\0')) {
		return false;
	}
	memcpy(address, text, len);
	address[len] = '\0';
	return inet_pton(AF_INET6, address, &binary) == 1;
}

/*
 * "ADDR", "ADDR:PORT" or "[ADDR]:PORT", where a bare IPv6 address has no port; `entry` is changed.
 */
static bool is_server(char *entry) {
	char *close = entry[0] == '[' ? strchr(entry, ']') : NULL;
	char *port = close ? close + 1 : strchr(entry, ':');
	uint64_t number;

	if(value_is_ip6(entry, false)) {
		return true;
	}
	if(port && *port != '\0') {
		if(*port != ':' || value_read(VALUE_COUNT, port + 1, &number) || number == 0 ||
			number > UINT16_MAX) {
			return false;
		}
		*port = '\0';
	}
	if(close) {
		*close = '\0';
		return value_is_ip6(entry + 1, false);
	}
	return is_ip4(entry);
}

const char *value_check_resolver(const char *text) {
	static const char right[] = "is no list of name servers (use ADDR[:PORT],... with IPv6 "
				    "addresses in brackets)";
	char entry[INET6_ADDRSTRLEN + sizeof("[]:65535")];

	while(text[0] != '\0') {
		size_t len = strcspn(text, ",");
		if(len >= sizeof(entry)) {
			return right;
		}
		memcpy(entry, text, len);
		entry[len] = '\0';
		if(!is_server(entry) || (text[len] == ',' && text[len + 1] == '\0')) {
			return right;
		}
		text += text[len] == ',' ? len + 1 : len;
	}
	return NULL;
}

static const char *check_listen_path(const char *path) {
	const char *mode = strstr(path, ",mode=");
	size_t len = mode ? (size_t)(mode - path) : strlen(path);

	if((path[0] != '/' && path[0] != '@') || len < 2) {
		return "names no absolute path (use unix:/path[,mode=0660] or unix:@name)";
	}
	if(len >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		return "names a path that is too long for a socket (at most 107 bytes)";
	}
	if(mode) {
		const char *digits = mode + strlen(",mode=");
		size_t count = strspn(digits, "01234567");
		if(count < 1 || count > 4 || digits[count] != '\0' ||
			strtoul(digits, NULL, 8) > 0777) {
			return "has no such mode (use octal digits, 0 to 0777)";
		}
	}
	return NULL;
}

/* RFC 1123, 2.1; the underscore is none of it, but some networks have it. */
static bool is_host_name(const char *text) {
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(text);

	if(len == 0 || len > VALUE_NAME_MAX || strspn(text, allowed) != len) {
		return false;
	}
	if(text[0] == '.' || text[0] == '-' || strstr(text, "..")) {
		return false;
	}
	return strspn(text, "0123456789.") != len; /* that would be a broken IPv4 address */
}

const char *value_check_listen(const char *text) {
	if(strncmp(text, "unix:", 5) == 0) {
		return check_listen_path(text + 5);
	}
	if(is_ip4(text) || value_is_ip6(text, true) || is_host_name(text)) {
		return NULL;
	}
	if(strchr(text, ':') == strrchr(text, ':') && strchr(text, ':')) {
		return "is no address (the port has an option of its own)";
	}
	return "is no address (use an IPv4 or IPv6 address, a host name, or unix:/path)";
}
