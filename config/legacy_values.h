/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Values of the options `legacy-flash-domain` and `legacy-flash-ports`. They become attributes of
 * XML.
 */
#ifndef WEBSOCKSY_LEGACY_VALUES_H
#define WEBSOCKSY_LEGACY_VALUES_H

/* NULL, or the rest of a sentence that begins with the quoted value. */
const char *legacy_values_check_domain(const char *text);
const char *legacy_values_check_ports(const char *text);
#endif
