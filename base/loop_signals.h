/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signals in the event loop.
 */
#ifndef WEBSOCKSY_LOOP_SIGNALS_H
#define WEBSOCKSY_LOOP_SIGNALS_H
#include "base/loop.h"

#include <signal.h>

/*
 * Blocks the signals in `set` and delivers them to `fn` in the loop, each at most once in a turn. 0
 * or negative errno.
 */
int loop_signals(struct loop *loop, const sigset_t *set, void (*fn)(struct loop *loop, int signal));
#endif
