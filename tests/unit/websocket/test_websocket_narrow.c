/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests of the codec for the code that machines without wide registers run: this one may have
 * them.
 */
#define UNMASK_NARROW
#define websocket_header_len narrow_header_len
#define websocket_parse narrow_parse
#define websocket_parser_free narrow_parser_free
#define websocket_put_header narrow_put_header
#define websocket_unmask narrow_unmask
/* Names that both files have for themselves. */
#define FIN CODEC_FIN
#define check_length codec_check_length
#include "websocket.c"
#undef FIN
#undef check_length

#include "test_websocket.c"
