/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests of the codec for the code that machines without wide registers run: this one may have them.
 */
#define UNMASK_NARROW
#define websocket_accept_key narrow_accept_key
#define websocket_header_len narrow_header_len
#define websocket_key_valid narrow_key_valid
#define websocket_parse narrow_parse
#define websocket_parse_close narrow_parse_close
#define websocket_parser_free narrow_parser_free
#define websocket_put_close narrow_put_close
#define websocket_put_header narrow_put_header
#define websocket_unmask narrow_unmask
/* Names that both files have for themselves. */
#define FIN CODEC_FIN
#define check_length codec_check_length
#include "websocket.c"
#undef FIN
#undef check_length

#include "test_websocket.c"
