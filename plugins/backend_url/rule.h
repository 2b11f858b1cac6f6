/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The values of the option allow of the backend `url`: which targets clients may choose.
 */
#ifndef WEBSOCKSY_PLUGIN_URL_RULE_H
#define WEBSOCKSY_PLUGIN_URL_RULE_H
#include "plugins/backend_url/range.h"

#include <stddef.h>

#define RULE_NAME_MAX 256 /* bytes of a host name with its NUL */
#define RULE_FORM                                                                                  \
	"must be HOST, *.SUFFIX, an address or a range such as 192.0.2.0/24, each with :PORT "     \
	"or without (IPv6: [2001:db8::/32]:PORT)"

struct rule {
	bool named; /* `name`, otherwise `range` */
	bool suffix; /* names that end with `name`, which begins with a dot */
	unsigned port; /* 0: all */
	char name[RULE_NAME_MAX]; /* lower case, without a dot at the end */
	struct range range;
};

struct rules {
	struct rule *rule;
	size_t count;
};

/* The target of a request. */
struct rule_target {
	bool literal; /* `address` is set; otherwise the name has to be looked up */
	unsigned port;
	char name[RULE_NAME_MAX]; /* as in a rule */
	struct range address;
};

/* Reads `host` into a target. False: it is neither a host name nor an address. */
bool rule_read_host(const char *host, struct rule_target *target);

/* Adds a rule. 0, -ENOMEM, or -EINVAL: it has not RULE_FORM. */
int rules_add(struct rules *rules, const char *text);

/*
 * May the target be looked up, because some addresses could be allowed? A literal: is it allowed?
 */
bool rules_may_allow(const struct rules *rules, const struct rule_target *target);

/*
 * Is this address of the target allowed? A special one only by a rule with an address or a range
 * that is special itself.
 */
bool rules_allow(
	const struct rules *rules, const struct rule_target *target, const struct range *address);

void rules_free(struct rules *rules);
#endif
