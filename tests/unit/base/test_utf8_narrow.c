/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests of UTF-8 for the code that machines without wide registers run: this one may have them.
 */
#define UTF8_NARROW
#define utf8_block_skip narrow_block_skip
#define utf8_feed narrow_feed
#define utf8_valid narrow_valid
#define utf8_prefix narrow_prefix
#include "base/utf8.c"
#include "base/utf8_block.c"

#include "test_utf8.c"
