/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Limits for log lines that others can cause.
 *
 * Must not know: connections, the text of the lines.
 * Invariants: the memory is fixed; each suppressed line is counted in one number that is logged,
 * also when its entry is used for another address; lines of one kind or address never count for
 * another.
 */
#include "base/log_limit.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t lines; /* for each address in one period */
	uint32_t period_s;
} kinds[] = {
	[LOG_KIND_AUTHENTICATION] = {"authentication", LOG_LIMIT_LINES, 1},
	[LOG_KIND_LOGIN] = {"logins", LOG_LIMIT_LINES, 1},
	[LOG_KIND_REQUEST] = {"requests", LOG_LIMIT_LINES, 1},
	[LOG_KIND_TLS] = {"TLS", LOG_LIMIT_LINES, 1},
	[LOG_KIND_PROXY] = {"trusted proxies", LOG_LIMIT_PROXY_LINES, LOG_LIMIT_PROXY_PERIOD_S},
	[LOG_KIND_PEER] = {"peers", LOG_LIMIT_LINES, 1},
	[LOG_KIND_SESSION] = {"connections", LOG_LIMIT_LINES, 1},
	[LOG_KIND_PLUGIN] = {"plugins", LOG_LIMIT_LINES, 1},
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == LOG_KINDS, "one row for each kind");

static const char *plural(uint32_t count) {
	return count == 1 ? "" : "s";
}

bool log_limit_pass(struct log_limit *limit, const char *subject, uint64_t now_ms) {
	uint64_t second = now_ms / 1000;
	if(limit->second != second) {
		if(limit->dropped > 0) {
			log_write(LOG_NOTICE, "%s: %" PRIu32 " more line%s suppressed", subject,
				limit->dropped, plural(limit->dropped));
		}
		*limit = (struct log_limit){.second = second};
	}
	if(limit->passed < LOG_LIMIT_LINES) {
		limit->passed++;
		return true;
	}
	limit->dropped++;
	return false;
}

/* ---- entries ---- */

/* An IPv4 address, or the network of an IPv6 address: one customer has a /64. */
static void set_key(struct log_limit_entry *entry, const union address *address) {
	union address plain;
	size_t len;
	if(address->any.sa_family == AF_INET) { /* most often */
		*entry = (struct log_limit_entry){.family = AF_INET};
		memcpy(&entry->key, &address->in.sin_addr, sizeof(address->in.sin_addr));
		return;
	}
	plain = *address;
	address_unmap(&plain);
	const uint8_t *bytes = address_bytes(&plain, &len);
	*entry = (struct log_limit_entry){.family = plain.any.sa_family};
	memcpy(&entry->key, bytes, len > 8 ? 8 : len);
}

static bool is_same(const struct log_limit_entry *a, const struct log_limit_entry *b) {
	return a->key == b->key && a->family == b->family;
}

/* "192.0.2.1", "2001:db8::/64", "unix". */
static void format_key(const struct log_limit_entry *entry, char out[ADDRESS_HOST_TEXT + 4]) {
	union address address = {.any = {.sa_family = entry->family}};
	if(entry->family == AF_INET) {
		memcpy(&address.in.sin_addr, &entry->key, 4);
	} else if(entry->family == AF_INET6) {
		memcpy(&address.in6.sin6_addr, &entry->key, 8);
	}
	address_format_host(&address.any, out);
	if(entry->family == AF_INET6) {
		memcpy(out + strlen(out), "/64", sizeof("/64"));
	}
}

static void report_entry(enum log_kind kind, struct log_limit_entry *entry, bool others) {
	char host[ADDRESS_HOST_TEXT + 4] = "other addresses";
	if(entry->dropped == 0) {
		return;
	}
	if(!others) {
		format_key(entry, host);
	}
	log_write(entry->level, "%s: %" PRIu32 " more line%s for %s suppressed", kinds[kind].name,
		entry->dropped, plural(entry->dropped), host);
	entry->dropped = 0;
}

static bool entry_pass(struct log_limit_entry *entry, uint32_t lines, enum log_level level) {
	if(entry->passed < lines) {
		entry->passed++;
		return true;
	}
	if(entry->dropped == 0 || level < entry->level) {
		entry->level = level;
	}
	entry->dropped += entry->dropped < UINT32_MAX;
	return false;
}

/* ---- the table ---- */

void log_limit_report(struct log_limit_table *table) {
	for(int kind = 0; kind < LOG_KINDS; kind++) {
		struct log_limit_kind *of = &table->kind[kind];
		for(size_t i = 0; i < of->count; i++) {
			report_entry((enum log_kind)kind, &of->entry[i], false);
		}
		report_entry((enum log_kind)kind, &of->others, true);
	}
}

/* Reports the numbers of periods that are over. */
static void begin_second(struct log_limit_table *table, uint64_t second) {
	for(int kind = 0; kind < LOG_KINDS; kind++) {
		struct log_limit_kind *of = &table->kind[kind];
		uint64_t period = second / kinds[kind].period_s;
		for(size_t i = 0; i < of->count; i++) {
			if(of->entry[i].period != period) {
				report_entry((enum log_kind)kind, &of->entry[i], false);
			}
		}
		if(of->others.period != period) {
			report_entry((enum log_kind)kind, &of->others, true);
		}
	}
	table->second = second;
}

/* The entry of the address, or the one that was used least recently. */
static struct log_limit_entry *find_entry(
	struct log_limit_kind *of, const struct log_limit_entry *key) {
	struct log_limit_entry *oldest = &of->entry[0];
	for(size_t i = 0; i < of->count; i++) {
		struct log_limit_entry *entry = &of->entry[i];
		if(is_same(entry, key)) {
			return entry;
		}
		if(entry->period < oldest->period) {
			oldest = entry;
		}
	}
	if(of->count < LOG_LIMIT_ADDRESSES) {
		oldest = &of->entry[of->count++];
		*oldest = *key;
	}
	return oldest;
}

static struct log_limit_entry *choose_entry(
	struct log_limit_table *table, enum log_kind kind, const struct log_limit_entry *key) {
	struct log_limit_kind *of = &table->kind[kind];
	struct log_limit_entry *entry = find_entry(of, key);
	if(is_same(entry, key)) {
		return entry;
	}
	if(entry->period == key->period && kind != LOG_KIND_AUTHENTICATION) {
		return &of->others;
	}
	report_entry(kind, entry, false);
	*entry = *key;
	return entry;
}

bool log_limit_client(struct log_limit_table *table, enum log_kind kind, enum log_level level,
	const union address *address, uint64_t now_ms) {
	struct log_limit_entry key;
	assert(kind < LOG_KINDS);
	if(table->second != now_ms / 1000) {
		begin_second(table, now_ms / 1000);
	}
	set_key(&key, address);
	key.period = table->second / kinds[kind].period_s;
	struct log_limit_entry *entry = choose_entry(table, kind, &key);
	if(entry->period != key.period) {
		entry->period = key.period;
		entry->passed = 0;
	}
	return entry_pass(entry, kinds[kind].lines, level);
}
