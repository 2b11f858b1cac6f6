/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Numbers with units, as they are written in options.
 *
 * Must not know: options and their ranges.
 * Invariants: number_parse() reads what number_format() has written as the same number.
 */
#include "base/number.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

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
	[NUMBER_COUNT] = {plain_units, false},
	[NUMBER_TIME] = {time_units, true},
	[NUMBER_SIZE] = {size_units, false},
};
static_assert(
	sizeof(notations) / sizeof(notations[0]) == NUMBER_KINDS, "one notation for each kind");

/* Takes digits off the front of `*text`. 0, -EINVAL if there are none, -ERANGE. */
static int take_digits(struct slice *text, uint64_t *out) {
	struct slice digits = {text->at, text_digits(*text)};
	*text = text_skip(*text, digits.len);
	return text_read_decimal(digits, UINT64_MAX, out);
}

/* Takes "." and one to three digits off the front of `*text`, if there is a dot. */
static int take_thousandths(struct slice *text, uint64_t *out) {
	*out = 0;
	if(!text_take_char(text, '.')) {
		return 0;
	}
	size_t len = text_digits(*text);
	if(len > 3 || take_digits(text, out)) {
		return -EINVAL;
	}
	for(; len < 3; len++) {
		*out *= 10;
	}
	return 0;
}

static const struct unit *find_unit(const struct unit *units, struct slice name) {
	for(; units->name; units++) {
		if(text_is(name, units->name)) {
			return units;
		}
	}
	return NULL;
}

int number_parse(enum number_kind kind, const char *text, uint64_t *out) {
	const struct notation *notation = &notations[kind];
	struct slice rest = text_slice(text);
	uint64_t thousandths = 0;
	int whole = take_digits(&rest, out);
	if(whole == -EINVAL || (notation->fractions && take_thousandths(&rest, &thousandths))) {
		return -EINVAL;
	}
	const struct unit *unit = find_unit(notation->units, rest);
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
void number_format(enum number_kind kind, uint64_t number, char out[NUMBER_TEXT]) {
	const struct unit *units = notations[kind].units;
	const struct unit *best = units;
	for(const struct unit *unit = units; unit->name; unit++) {
		bool better = kind == NUMBER_TIME ? unit->name[0] == '\0' : number > 0;
		if(better && number % unit->factor == 0) {
			best = unit;
		}
	}
	snprintf(out, NUMBER_TEXT, "%" PRIu64 "%s", number / best->factor, best->name);
}
