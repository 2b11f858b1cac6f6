/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of programs: a program and its arguments, separated by spaces, with %XX for any byte
 * and "" for an empty argument.
 */
#ifndef WEBSOCKSY_EXEC_ADDRESS_H
#define WEBSOCKSY_EXEC_ADDRESS_H
#include "network/peer_address.h"

/* The parser of the kind. */
peer_address_rest_fn exec_address_parse;

/*
 * The arguments of an address that was parsed, the program first, NULL behind the last; one block,
 * to be freed. NULL: no memory.
 */
char **exec_address_split(const char *text);

/* The address, without its scheme, of a program and its arguments; to be freed. NULL: no memory. */
char *exec_address_of(char *const *argv);
#endif
