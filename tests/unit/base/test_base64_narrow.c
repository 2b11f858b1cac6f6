/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests of base64 for the code that machines without wide registers run: this one may have
 * them.
 */
#define BASE64_NARROW
#define base64_block_encode narrow_block_encode
#define base64_block_decode narrow_block_decode
#define base64_encode narrow_encode
#define base64_decode narrow_decode
#define base64_decode_end narrow_decode_end
#include "base/base64.c"
#include "base/base64_block.c"

#include "test_base64.c"
