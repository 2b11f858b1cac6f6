/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The codec as machines without wide registers run it: this one may have them.
 */
#ifndef WEBSOCKSY_TESTS_NARROW_H
#define WEBSOCKSY_TESTS_NARROW_H
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
#endif
