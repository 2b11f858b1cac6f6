/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Limits for log lines that others can cause as often as they like. The lines of each kind are
 * counted for each client address, so that no client can suppress lines about another; the number
 * of suppressed lines is logged later, with their kind and address.
 */
#ifndef WEBSOCKSY_LOG_LIMIT_H
#define WEBSOCKSY_LOG_LIMIT_H
#include "base/address.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LIMIT_LINES 20 /* in one second */
/*
 * For LOG_KIND_PROXY: trusted proxies are few, and their health checks come every few seconds.
 */
#define LOG_LIMIT_PROXY_LINES 3
#define LOG_LIMIT_PROXY_PERIOD_S 600
#define LOG_LIMIT_ADDRESSES 128 /* that are counted at once for each kind */

/* ---- lines that belong to no client ---- */

/* Initialised by zero. */
struct log_limit {
	uint64_t second;
	uint32_t passed;
	uint32_t dropped;
};

/*
 * May the line be logged now (`now_ms`: a monotonic clock, milliseconds)? If lines were suppressed
 * before, their number is logged first: "`subject`: 3 more lines suppressed".
 */
bool log_limit_pass(struct log_limit *limit, const char *subject, uint64_t now_ms);

/* ---- lines about clients ---- */

enum log_kind {
	LOG_KIND_AUTHENTICATION, /* failures */
	LOG_KIND_LOGIN, /* successes */
	LOG_KIND_REQUEST,
	LOG_KIND_TLS,
	LOG_KIND_PROXY, /* connections of trusted proxies without a valid PROXY header */
	LOG_KIND_PEER,
	LOG_KIND_SESSION, /* events of open connections */
	LOG_KIND_PLUGIN, /* lines of plugins */
	LOG_KINDS
};

/* The lines of one kind and address, or of all other addresses. */
struct log_limit_entry {
	uint64_t key; /* the address, or the /64 of an IPv6 address */
	uint64_t period; /* the second, or a longer time */
	uint32_t passed; /* in this period */
	uint32_t dropped; /* not reported yet */
	enum log_level level; /* the most severe one of those */
	sa_family_t family;
};

/* Initialised by zero. */
struct log_limit_table {
	struct log_limit_kind {
		size_t count;
		struct log_limit_entry entry[LOG_LIMIT_ADDRESSES];
		struct log_limit_entry others;
	} kind[LOG_KINDS];
	uint64_t second; /* of the last report */
};

/*
 * May a line of this kind, level and client address be logged now? Numbers of suppressed lines of
 * earlier seconds are logged first: "TLS: 3 more lines for 192.0.2.1 suppressed". The family of the
 * address may be any; ports do not count. If more than LOG_LIMIT_ADDRESSES clients cause lines of a
 * kind in one second, the rest of them share one limit. LOG_KIND_AUTHENTICATION has no such limit:
 * then the address that was not logged for the longest time is forgotten.
 */
bool log_limit_client(struct log_limit_table *table, enum log_kind kind, enum log_level level,
	const union address *address, uint64_t now_ms);

/* Logs all numbers that have not been logged yet. */
void log_limit_report(struct log_limit_table *table);
#endif
