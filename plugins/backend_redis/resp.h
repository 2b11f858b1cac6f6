/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The protocol of Redis, version 2 (RESP2): replies from a stream in any pieces, and commands.
 */
#ifndef WEBSOCKSY_PLUGIN_BACKEND_REDIS_RESP_H
#define WEBSOCKSY_PLUGIN_BACKEND_REDIS_RESP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_VALUE_MAX 4096 /* longer values are skipped */
#define RESP_WORDS_MAX 3
#define RESP_WORD_MAX 1536 /* bytes of a word of a command */
#define RESP_COMMAND_MAX (RESP_WORDS_MAX * (RESP_WORD_MAX + 16) + 16)

enum resp_kind {
	RESP_STATUS, /* +OK */
	RESP_ERROR, /* -CODE text */
	RESP_INTEGER,
	RESP_VALUE,
	RESP_NULL, /* there is no value */
	RESP_TOO_LONG /* a value above RESP_VALUE_MAX, which has been skipped */
};

struct resp_reply {
	enum resp_kind kind;
	const char *data; /* of a value, or the begin of the line; valid until the next call */
	size_t len;
};

enum resp_result {
	RESP_DONE,
	RESP_MORE,
	RESP_BAD
};

/* A reply on its way; all zero at the start of a stream. */
struct resp {
	uint8_t state;
	char type; /* the first byte of the reply */
	size_t seen; /* bytes of the line */
	size_t left; /* bytes of the value that follow */
	bool too_long;
	size_t len;
	char data[RESP_VALUE_MAX];
};

/*
 * Takes bytes of one reply: `*used` of `len`. RESP_DONE: `*reply` is complete, the next call begins
 * another one. RESP_BAD: these are no replies to simple commands.
 */
enum resp_result resp_take(
	struct resp *resp, const uint8_t *data, size_t len, size_t *used, struct resp_reply *reply);

/* A word of a command; two texts are joined by a colon if the first one is not NULL. */
struct resp_word {
	const char *prefix;
	const char *text;
};

/* Writes a command of up to RESP_WORDS_MAX words; its length, 0 if a word is too long. */
size_t resp_command(char out[RESP_COMMAND_MAX], const struct resp_word *word, size_t words);
#endif
