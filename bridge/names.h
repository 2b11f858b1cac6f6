/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Texts that many connections have in common, such as the address of their peer: each is kept once.
 */
#ifndef WEBSOCKSY_NAMES_H
#define WEBSOCKSY_NAMES_H
#include <stddef.h>

#define NAMES_BUCKETS 1024

struct name;

/* Initialised by zero; empty again when all texts have been dropped. */
struct names {
	struct name *bucket[NAMES_BUCKETS];
};

/*
 * A copy of `len` bytes with a NUL behind them, or a reference to an equal one. They may contain
 * NUL bytes. NULL: no memory.
 */
const char *names_take(struct names *names, const char *text, size_t len);

/* Drops a reference. NULL: nothing. */
void names_drop(const char *text);

/* The length that a text of names_take() was taken with. */
size_t names_len(const char *text);
#endif
