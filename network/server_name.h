/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The server's own names, as clients write them in the server name of TLS (RFC 6066) and in Host.
 */
#ifndef WEBSOCKSY_SERVER_NAME_H
#define WEBSOCKSY_SERVER_NAME_H
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Is `text` a host name, "*." and a host name (which stands for all names below it), or a literal
 * IPv4 or IPv6 address (the latter in brackets)? NULL, or static text that describes the error.
 */
const char *server_name_check(const char *text);

/*
 * Is `name` one of the server's? Without regard to case and to one dot at the end; IPv6 addresses
 * are equal in any notation. An empty list has all names.
 */
bool server_name_is_own(char *const *list, size_t count, struct slice name);
#endif
