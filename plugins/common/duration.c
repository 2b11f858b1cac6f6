/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Times in options of backends.
 *
 * Must not know: the core, which option it is.
 * Invariants: numbers are bounded before they are multiplied.
 */
#include "plugins/common/duration.h"

#include <stddef.h>
#include <string.h>

#define DURATION_MAX_MS ((uint64_t)24 * 60 * 60 * 1000)
#define DURATION_THOUSANDTHS 1000u /* the number is read in units of 1/1000 */

static const struct duration_unit {
	const char *name;
	uint64_t ms;
} duration_units[] = {
	{"", 1000},
	{"s", 1000},
	{"ms", 1},
	{"m", (uint64_t)60 * 1000},
	{"h", (uint64_t)60 * 60 * 1000},
};

static bool duration_is_digit(char byte) {
	return byte >= '0' && byte <= '9';
}

/* Reads a number with up to three decimals in thousandths; NULL, or the text behind it. */
static const char *duration_number(const char *text, uint64_t *out) {
	uint64_t value = 0;
	unsigned scale = DURATION_THOUSANDTHS;
	if(!duration_is_digit(*text)) {
		return NULL;
	}
	for(; duration_is_digit(*text) && value <= DURATION_MAX_MS; text++) {
		value = value * 10 + (uint64_t)(*text - '0');
	}
	value *= scale;
	if(*text == '.' && duration_is_digit(text[1])) {
		for(text++; duration_is_digit(*text) && scale > 1; text++) {
			scale /= 10;
			value += (uint64_t)(*text - '0') * scale;
		}
	}
	*out = value;
	return text;
}

bool duration_parse(const char *text, uint64_t *ms) {
	uint64_t value;
	const char *unit = duration_number(text, &value);
	for(size_t i = 0; unit && i < sizeof(duration_units) / sizeof(duration_units[0]); i++) {
		if(strcmp(unit, duration_units[i].name) != 0) {
			continue;
		}
		uint64_t thousandths = value * duration_units[i].ms;
		*ms = thousandths / DURATION_THOUSANDTHS;
		return thousandths % DURATION_THOUSANDTHS == 0 && *ms <= DURATION_MAX_MS;
	}
	return false;
}
