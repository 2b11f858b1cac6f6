/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Dates of HTTP header fields as text and as numbers.
 *
 * Must not know: the clock, header fields.
 * Invariant: the result depends neither on the locale nor on the time zone.
 * Implements RFC 9110 section 5.6.7.
 */
#include "http/date.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void date_format(char out[DATE_CAP], int64_t seconds) {
	/* Not strftime(3), whose names depend on the locale. */
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	const int64_t last = 253402300799; /* in the year 9999; the format has four digits */
	time_t when = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
	struct tm tm;
	gmtime_r(&when, &tm);
	snprintf(out, DATE_CAP, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday % 7],
		(unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12],
		(unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		(unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* The three forms of RFC 9110, 5.6.7; lower-case letters are the fields of take_field(). */
static const char *const date_forms[] = {
	"w, d m y h:i:s GMT", "w, d-m-c h:i:s GMT", "w m e h:i:s y"};

/* Takes exactly `count` digits off the front. */
static bool take_digits(struct slice *text, size_t count, int *out) {
	*out = 0;
	for(size_t i = 0; i < count; i++) {
		if(i == text->len || !text_is_digit(text->at[i])) {
			return false;
		}
		*out = *out * 10 + (text->at[i] - '0');
	}
	*text = text_skip(*text, count);
	return true;
}

static bool take_month(struct slice *text, int *out) {
	for(*out = 0; text->len >= 3 && *out < 12; (*out)++) {
		if(memcmp(text->at, months[*out], 3) == 0) {
			*text = text_skip(*text, 3);
			return true;
		}
	}
	return false;
}

/* The name of the weekday is redundant. */
static bool skip_letters(struct slice *text) {
	size_t len = 0;
	while(len < text->len && text_is_alphanumeric(text->at[len])) {
		len++;
	}
	*text = text_skip(*text, len);
	return len > 0;
}

/* The year that ends in these digits and is at most 50 years ahead (RFC 9110, 5.6.7). */
static bool take_short_year(struct slice *text, int64_t now, int *out) {
	time_t when = (time_t)now;
	struct tm tm;
	int digits;
	gmtime_r(&when, &tm);
	if(!take_digits(text, 2, &digits)) {
		return false;
	}
	int this_year = tm.tm_year + 1900;
	*out = this_year - this_year % 100 + digits;
	*out -= *out > this_year + 50 ? 100 : 0;
	return true;
}

static bool take_field(struct slice *text, char field, int64_t now, struct tm *tm) {
	switch(field) {
	case 'w':
		return skip_letters(text);
	case 'd':
		return take_digits(text, 2, &tm->tm_mday);
	case 'e': /* padded with a space */
		return take_digits(text, text_take_char(text, ' ') ? 1 : 2, &tm->tm_mday);
	case 'm':
		return take_month(text, &tm->tm_mon);
	case 'y':
		return take_digits(text, 4, &tm->tm_year);
	case 'c':
		return take_short_year(text, now, &tm->tm_year);
	case 'h':
		return take_digits(text, 2, &tm->tm_hour);
	case 'i':
		return take_digits(text, 2, &tm->tm_min);
	case 's':
		return take_digits(text, 2, &tm->tm_sec);
	default:
		return text_take_char(text, field);
	}
}

static bool read_form(struct slice text, const char *form, int64_t now, struct tm *tm) {
	*tm = (struct tm){0};
	for(; *form; form++) {
		if(!take_field(&text, *form, now, tm)) {
			return false;
		}
	}
	return text.len == 0;
}

int date_parse(struct slice text, int64_t now, int64_t *out) {
	struct tm tm;
	bool found = false;
	for(size_t i = 0; !found && i < sizeof(date_forms) / sizeof(*date_forms); i++) {
		found = read_form(text, date_forms[i], now, &tm);
	}
	/* A leap second becomes the first second of the next minute. */
	if(!found || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_year < 1900 || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60) {
		return -EINVAL;
	}
	tm.tm_year -= 1900;
	*out = (int64_t)timegm(&tm);
	return 0;
}
