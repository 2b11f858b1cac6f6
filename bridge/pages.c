/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From the options of pages to the site that serves them.
 *
 * Must not know: requests.
 */
#include "bridge/pages.h"

#include "base/log.h"

static int configure_site(struct site *site, const struct settings *settings) {
	const struct settings_texts *headers = &settings->web_header;
	const struct settings_texts *sites = &settings->frame_ancestors;
	int result = site_set_listing(site, settings->web_listing);
	return result
		? result
		: site_set_fields(site, (struct page_fields_values){headers->at, headers->count},
			  (struct page_fields_values){sites->at, sites->count});
}

int pages_open(const struct settings *settings, struct site **out) {
	const char *error;
	*out = NULL;
	if(!settings->web) {
		return 0;
	}
	int result = site_open(settings->web, out, &error);
	if(result == 0) {
		result = configure_site(*out, settings);
		error = "out of memory";
	}
	if(result) {
		log_write(LOG_ERROR, "web: \"%s\": %s", settings->web, error);
		site_close(*out);
		*out = NULL;
	}
	return result;
}
