/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of phases: their successors and their handlers of events.
 */
#ifndef WEBSOCKSY_PHASES_H
#define WEBSOCKSY_PHASES_H
#include "bridge/connection.h"

extern const struct phase phases[CONNECTION_PHASES];
#endif
