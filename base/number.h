/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Numbers with units, as they are written in options.
 */
#ifndef WEBSOCKSY_NUMBER_H
#define WEBSOCKSY_NUMBER_H
#include <stdint.h>

#define NUMBER_TEXT 24 /* any number with its unit and a NUL */

enum number_kind {
	NUMBER_COUNT, /* digits only */
	NUMBER_TIME, /* milliseconds; in seconds, or with ms, s, m, h, with up to three decimals */
	NUMBER_SIZE, /* bytes; with K, M, G: powers of 1024 */
	NUMBER_KINDS
};

/*
 * Reads the whole of `text`. 0; -EINVAL: not a number of this kind, or finer than a millisecond;
 * -ERANGE: it does not fit into 64 bits.
 */
int number_parse(enum number_kind kind, const char *text, uint64_t *out);

/*
 * Writes it with the largest unit that divides it; number_parse() reads the same number from that.
 */
void number_format(enum number_kind kind, uint64_t number, char out[NUMBER_TEXT]);
#endif
