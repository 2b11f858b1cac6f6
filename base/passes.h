/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loops that end by construction although a library, a plugin or the kernel decides when they are
 * done.
 *
 * A loop consumes or produces something in each pass, or a named count bounds it. Where that
 * depends on code outside of this program, the loop declares the greatest possible number of
 * passes, and a check build (LOOP_CHECK) counts them. In other builds both macros are empty.
 *
 *     PASSES(records, len);
 *     while(len > 0) {
 *             PASS(records);
 */
#ifndef WEBSOCKSY_PASSES_H
#define WEBSOCKSY_PASSES_H
#include <errno.h>
#include <sys/types.h>

#ifdef LOOP_CHECK
#include <assert.h>
#include <stddef.h>

static inline void passes_count(size_t *left) {
	assert(*left > 0);
	--*left;
}

#define PASSES(name, most) size_t name = (most)
#define PASS(name) passes_count(&(name))
#else
#define PASSES(name, most)
#define PASS(name)
#endif

#define INTERRUPTIONS_MAX 100 /* of one system call; then it has failed */

/*
 * The result of a system call that is repeated when a signal has interrupted it (EINTR). Signals
 * are blocked, so this is rare, and mostly the doing of a debugger; it is bounded all the same.
 */
#define RETRY_INTERRUPTED(call)                                                                    \
	({                                                                                         \
		ssize_t retry_result;                                                              \
		int retry_left = INTERRUPTIONS_MAX;                                                \
		do {                                                                               \
			retry_result = (call);                                                     \
		} while(retry_result < 0 && errno == EINTR && --retry_left > 0);                   \
		retry_result;                                                                      \
	})
#endif
