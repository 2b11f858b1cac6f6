/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The certificate of a client after it has been accepted.
 */
#ifndef WEBSOCKSY_CLIENT_CERTIFICATE_H
#define WEBSOCKSY_CLIENT_CERTIFICATE_H
#include "bridge/connection.h"

#include <stdbool.h>

/*
 * Is it still valid, with the settings of now, and of an upgrade its name allowed? False: the log
 * has the reason.
 */
bool client_certificate_is_valid(const struct connection *c);

/* May clients with its common name connect (client-name)? */
bool client_certificate_is_allowed(const struct connection *c);

/*
 * The settings have changed, before the connection is open: closes it if the certificate is not
 * valid.
 */
void client_certificate_reload(struct connection *c);
#endif
