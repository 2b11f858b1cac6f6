/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of phases: which may follow which, and what each does with events.
 */
#ifndef WEBSOCKSY_PHASES_H
#define WEBSOCKSY_PHASES_H
#include "bridge/connection.h"

extern const struct phase phases[CONNECTION_PHASES];
#endif
