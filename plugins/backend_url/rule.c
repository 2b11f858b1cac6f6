/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rules about targets.
 *
 * Must not know: requests, the core.
 * Invariants: names are compared in lower case and without the dot at their end. A name allows
 * public addresses only: the owner of a name decides which addresses it has.
 */
#include "plugins/backend_url/rule.h"

#include "plugins/common/target.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63

/* ---- host names ---- */

/*
 * Resolvers read "127.1", "0x7f.1" and "2130706433" as IPv4 addresses: a name whose last label is a
 * number is an address or an error (as in the URL standard).
 */
static bool ends_in_number(const char *name) {
	const char *dot = strrchr(name, '.');
	const char *label = dot ? dot + 1 : name;
	bool hex = label[0] == '0' && label[1] == 'x';
	return hex ? label[2 + strspn(label + 2, "0123456789abcdef")] == '\0'
		   : label[strspn(label, "0123456789")] == '\0';
}

static bool has_valid_labels(const char *name) {
	while(true) {
		size_t len = strcspn(name, ".");
		if(len == 0 || len > LABEL_MAX || name[0] == '-' || name[len - 1] == '-') {
			return false;
		}
		if(!name[len]) {
			return true;
		}
		name += len + 1;
	}
}

/* Writes the name in lower case, without a dot at its end. */
static bool read_name(const char *text, char out[RULE_NAME_MAX]) {
	size_t len = strlen(text);
	len -= len > 1 && text[len - 1] == '.';
	if(len == 0 || len >= RULE_NAME_MAX) {
		return false;
	}
	for(size_t i = 0; i < len; i++) {
		if(!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i])) {
			return false;
		}
		out[i] = (char)tolower((unsigned char)text[i]);
	}
	out[len] = '\0';
	return has_valid_labels(out) && !ends_in_number(out);
}

bool rule_read_host(const char *host, struct rule_target *target) {
	target->literal = range_parse_address(host, &target->address);
	return target->literal || read_name(host, target->name);
}

/* ---- reading rules ---- */

/*
 * Splits a port off. "[RANGE]:PORT"; of texts with several colons and no brackets, none is one of a
 * port.
 */
static bool split_port(char *text, char **rest, unsigned *port) {
	size_t len = strlen(text);
	*port = 0;
	*rest = text;
	if(text[0] == '[') {
		char *end = strchr(text, ']');
		if(!end || (end[1] && end[1] != ':')) {
			return false;
		}
		*rest = text + 1;
		*end = '\0';
		return strchr(*rest, ':') &&
			(!end[1] || target_read_port(end + 2, strlen(end + 2), port));
	}
	char *colon = memrchr(text, ':', len);
	if(!colon || strchr(text, ':') != colon) {
		return true;
	}
	*colon = '\0';
	return target_read_port(colon + 1, strlen(colon + 1), port);
}

static bool read_rule(char *text, struct rule *rule) {
	char *rest;
	*rule = (struct rule){.named = false};
	if(!split_port(text, &rest, &rule->port)) {
		return false;
	}
	if(range_parse(rest, &rule->range)) {
		return true;
	}
	rule->named = true;
	rule->suffix = rest[0] == '*' && rest[1] == '.';
	if(!rule->suffix) {
		return read_name(rest, rule->name);
	}
	char name[RULE_NAME_MAX];
	if(!read_name(rest + 2, name) || strlen(name) + 1 >= RULE_NAME_MAX) {
		return false;
	}
	rule->name[0] = '.';
	memcpy(rule->name + 1, name, strlen(name) + 1);
	return true;
}

int rules_add(struct rules *rules, const char *text) {
	struct rule *grown = realloc(rules->rule, (rules->count + 1) * sizeof(*grown));
	if(!grown) {
		return -ENOMEM;
	}
	rules->rule = grown;
	char *copy = strdup(text);
	if(!copy) {
		return -ENOMEM;
	}
	bool valid = read_rule(copy, &grown[rules->count]);
	free(copy);
	rules->count += valid;
	return valid ? 0 : -EINVAL;
}

void rules_free(struct rules *rules) {
	free(rules->rule);
	*rules = (struct rules){.count = 0};
}

/* ---- decisions ---- */

static bool has_port(const struct rule *rule, const struct rule_target *target) {
	return rule->port == 0 || rule->port == target->port;
}

static bool has_name(const struct rule *rule, const struct rule_target *target) {
	size_t len = strlen(target->name);
	size_t suffix = strlen(rule->name);
	if(target->literal || !rule->named) {
		return false;
	}
	return rule->suffix ? len > suffix && !strcmp(target->name + len - suffix, rule->name)
			    : !strcmp(target->name, rule->name);
}

/* A range that is not special itself, such as 0.0.0.0/0, does not mean the special ones in it. */
static bool has_address(const struct rule *rule, const struct range *address, bool special) {
	return !rule->named && range_contains(&rule->range, address) &&
		(!special || range_is_special(&rule->range));
}

bool rules_allow(
	const struct rules *rules, const struct rule_target *target, const struct range *address) {
	bool special = range_is_special(address);
	for(size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];
		if(has_port(rule, target) &&
			(has_address(rule, address, special) ||
				(!special && has_name(rule, target)))) {
			return true;
		}
	}
	return false;
}

bool rules_may_allow(const struct rules *rules, const struct rule_target *target) {
	if(target->literal) {
		return rules_allow(rules, target, &target->address);
	}
	for(size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];
		if(has_port(rule, target) && (!rule->named || has_name(rule, target))) {
			return true;
		}
	}
	return false;
}
