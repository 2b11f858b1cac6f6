/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The names that a host name may stand for: the search list of resolv.conf(5).
 */
#ifndef WEBSOCKSY_RESOLVE_SEARCH_H
#define WEBSOCKSY_RESOLVE_SEARCH_H
#include <stddef.h>

#define RESOLVE_NAME_MAX 256 /* a name with its final dot, and the NUL */

struct resolve_search {
	char **domain; /* those that are empty or the root have been left out */
	size_t domains;
	size_t ndots; /* a name with fewer dots is tried as it is only after the domains */
};

/*
 * Copies the domains without final dots, and leaves out empty ones. 0 or -ENOMEM;
 * resolve_search_free() in either case.
 */
int resolve_search_set(
	struct resolve_search *search, size_t count, char *const *domains, size_t ndots);

void resolve_search_free(struct resolve_search *search);

/*
 * Writes the name number `i` (from 0) that `host` may stand for, with a final dot. 0;
 * -ENAMETOOLONG: this one is not a valid name; -ENOENT: there are no more. A host with a final dot
 * stands for itself alone.
 */
int resolve_search_name(const struct resolve_search *search, const char *host, size_t i,
	char out[RESOLVE_NAME_MAX]);
#endif
