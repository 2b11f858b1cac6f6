/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How the daemon runs: in the background, for how long, with which log and recordings.
 */
#ifndef WEBSOCKSY_RUNNING_H
#define WEBSOCKSY_RUNNING_H
#include "compat/options.h"

void running_translate(struct compat *compat, const struct given *given);
#endif
