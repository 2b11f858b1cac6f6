/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests of test_unmask.c for the code of machines without wide registers.
 */
#include "websocket/narrow.h"

#include "test_unmask.c"
