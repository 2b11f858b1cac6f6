/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The policy that Flash asks for before it connects, if `legacy` has flash.
 */
#ifndef WEBSOCKSY_FLASH_POLICY_H
#define WEBSOCKSY_FLASH_POLICY_H
#include "bridge/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Are the first `len` bytes of a connection without TLS that request? Not if they are only a part
 * of it.
 */
bool flash_policy_is_request(const struct connection *c, const uint8_t *data, size_t len);

/* Sends the policy. CONNECTION_LINGER. */
void flash_policy_answer(struct connection *c);
#endif
