/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Recordings of connections in files, written by a thread.
 */
#ifndef WEBSOCKSY_RECORD_H
#define WEBSOCKSY_RECORD_H
#include "base/loop.h"
#include "service/record_format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Data that waits for the disk: of one recording, of all of them. A recording that would exceed one of
 * these ends; its connection does not.
 */
#define RECORD_QUEUE_MAX ((size_t)16 << 20)
#define RECORD_QUEUE_TOTAL ((size_t)64 << 20)
#define RECORD_MESSAGE_MAX ((size_t)64 << 20) /* a message that arrives in parts */

struct recorder;

/*
 * Checks the template of file names: an absolute path with %t, %i, %a and %% in its last component.
 * NULL: valid, or empty; otherwise static text that continues a sentence which begins with the quoted
 * value.
 */
const char *record_check_template(const char *text);

/* The thread could not go on with a recording, which has ended. */
typedef void recorder_failed_fn(void *ctx, const struct record_about *about, int error);

/* A recorder without recordings. Its thread is started with the first one. 0 or -ENOMEM. */
int recorder_open(struct recorder **out, struct loop *loop, recorder_failed_fn *failed, void *ctx);

/* Writes all that has been recorded and ends all recordings. NULL: nothing. */
void recorder_close(struct recorder *recorder);

/* Begins the recording `about->id`. The thread opens the file. 0 or negative errno. */
int recorder_begin(struct recorder *recorder, const char *template, enum record_format format,
	const struct record_about *about);

/* A part of a message; of the peer's, all of it. */
struct record_part {
	bool from_client;
	bool last; /* part of its message */
	uint8_t opcode;
	const void *data;
	size_t len;
};

/*
 * Adds a part of a message, which is copied. 0; negative errno: the recording has ended because of that
 * (-ENOBUFS: the disk is too slow); 1: it has ended because of an error of the thread.
 */
int recorder_add(struct recorder *recorder, uint64_t id, const struct record_part *part);

/* Ends the recording. No effect if it has ended. */
void recorder_end(struct recorder *recorder, uint64_t id);

/* The text for an error of these functions. */
const char *recorder_error(int error);
#endif
