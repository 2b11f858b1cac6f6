/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The search list.
 *
 * Must not know: how names are looked up.
 * Invariants: every name has exactly one final dot; there are at most `domains` + 1 of them.
 */
#include "network/resolve_search.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t length_without_dots(const char *domain) {
	size_t len = strlen(domain);
	while(len > 0 && domain[len - 1] == '.') {
		len--;
	}
	return len;
}

int resolve_search_set(
	struct resolve_search *search, size_t count, char *const *domains, size_t ndots) {
	*search = (struct resolve_search){.ndots = ndots};
	search->domain = calloc(count + 1, sizeof(*search->domain));
	if(!search->domain) {
		return -ENOMEM;
	}
	for(size_t i = 0; i < count; i++) {
		size_t len = length_without_dots(domains[i]);
		if(len == 0) {
			continue; /* "search .": the name as it is, which is tried anyway */
		}
		search->domain[search->domains] = strndup(domains[i], len);
		if(!search->domain[search->domains]) {
			return -ENOMEM;
		}
		search->domains++;
	}
	return 0;
}

void resolve_search_free(struct resolve_search *search) {
	for(size_t i = 0; i < search->domains; i++) {
		free(search->domain[i]);
	}
	free(search->domain);
	*search = (struct resolve_search){0};
}

static size_t count_dots(const char *host) {
	size_t dots = 0;
	for(; *host; host++) {
		dots += *host == '.';
	}
	return dots;
}

int resolve_search_name(const struct resolve_search *search, const char *host, size_t i,
	char out[RESOLVE_NAME_MAX]) {
	size_t len = strlen(host);
	bool absolute = len > 0 && host[len - 1] == '.';
	size_t last = absolute ? 0 : search->domains;
	size_t as_it_is = count_dots(host) >= search->ndots ? 0 : last;
	int written;
	if(i > last) {
		return -ENOENT;
	}
	if(i == as_it_is) {
		written = snprintf(out, RESOLVE_NAME_MAX, "%s%s", host, absolute ? "" : ".");
	} else {
		const char *domain = search->domain[as_it_is == 0 ? i - 1 : i];
		written = snprintf(out, RESOLVE_NAME_MAX, "%s.%s.", host, domain);
	}
	return written < RESOLVE_NAME_MAX ? 0 : -ENAMETOOLONG;
}
