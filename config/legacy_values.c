/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The option `legacy`, and checks of the values of those that belong to it.
 *
 * It must not know what they are for.
 *
 * Invariants: a text that passes a check needs no escapes in an attribute of XML.
 */
#include "config/legacy_values.h"

#include "base/address.h"
#include "config/ini.h"
#include "config/reader.h"
#include "config/types.h"

#include <string.h>

/* ---- legacy ---- */

#define NONE "none"

static const struct {
	const char *name;
	unsigned bit;
} protocols[] = {
	{"hixie", SETTINGS_LEGACY_HIXIE},
	{"hybi", SETTINGS_LEGACY_HYBI},
	{"flash", SETTINGS_LEGACY_FLASH},
};
#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

/* 0: there is none of that name. */
static unsigned find_protocol(struct slice name) {
	for(size_t i = 0; i < PROTOCOLS; i++) {
		if(text_is(name, protocols[i].name)) {
			return protocols[i].bit;
		}
	}
	return 0;
}

static void parse_legacy(struct reader *reader, const struct option *option, const char *text) {
	unsigned *field = option_field(option, reader->config);
	struct slice rest = text_slice(text);
	*field = 0;
	if(rest.len == 0 || text_is(rest, NONE)) {
		return;
	}
	bool more = true;
	while(more) {
		struct slice name;
		more = text_split(&rest, ',', &name);
		name = text_trim(more ? name : rest);
		unsigned bit = find_protocol(name);
		if(bit == 0) {
			*field = 0;
			reader_error(reader,
				"\"%.80s\" must be a list such as hixie,hybi,flash with one or "
				"more of these, or " NONE,
				text);
			return;
		}
		*field |= bit;
	}
}

static void print_legacy(const struct option *option, const struct config *config) {
	const unsigned *field = option_const_field(option, config);
	char text[32] = "";
	char *end = text;
	for(size_t i = 0; i < PROTOCOLS; i++) {
		if(*field & protocols[i].bit) {
			end = stpcpy(stpcpy(end, end > text ? "," : ""), protocols[i].name);
		}
	}
	ini_print(option->name, text[0] ? text : NONE);
}

const struct option_type type_legacy = {.parse = parse_legacy, .print = print_legacy};

/* ---- Flash ---- */

const char *legacy_values_check_domain(const char *text) {
	static const char *const form =
		"must be a domain such as example.org or *.example.org, or * for any";
	size_t len = strlen(text);
	for(size_t i = 0; i < len; i++) {
		if(!text_is_alphanumeric(text[i]) && !text_is_one_of(text[i], ".-_*:")) {
			return form;
		}
	}
	return len <= SETTINGS_FLASH_MAX ? NULL : form;
}

/* A port, or two with a hyphen. */
static bool is_range(struct slice range) {
	struct slice first;
	uint16_t low;
	uint16_t high;
	if(!text_split(&range, '-', &first)) {
		return address_parse_port(range, &low) == 0 && low > 0;
	}
	return address_parse_port(first, &low) == 0 && address_parse_port(range, &high) == 0 &&
		low > 0 && low <= high;
}

const char *legacy_values_check_ports(const char *text) {
	static const char *const form =
		"must be ports and ranges such as 8080,9000-9010, or * for any";
	struct slice rest = text_slice(text);
	bool more = rest.len > 0 && !text_is(rest, "*");
	while(more) {
		struct slice range;
		more = text_split(&rest, ',', &range);
		if(!is_range(more ? range : rest)) {
			return form;
		}
	}
	return strlen(text) <= SETTINGS_FLASH_MAX ? NULL : form;
}
