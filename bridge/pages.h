/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the options of pages to the site that serves them.
 */
#ifndef WEBSOCKSY_PAGES_H
#define WEBSOCKSY_PAGES_H
#include "config/settings.h"
#include "http/site.h"

/*
 * Opens the site that `web` names; NULL without that option. 0; or negative errno after a line in
 * the log.
 */
int pages_open(const struct settings *settings, struct site **out);
#endif
