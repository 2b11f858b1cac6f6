/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The history of failed and successful logins: a delay that grows with the failures of an
 * address, and of a user name from that address, and decays; and from which addresses a user has
 * logged in.
 */
#ifndef WEBSOCKSY_LOGIN_LIMITS_H
#define WEBSOCKSY_LOGIN_LIMITS_H
#include "base/address.h"

#include <stdbool.h>
#include <stdint.h>

#define LOGIN_LIMITS_KEY 16

/* Failures without a delay, and how fast they are forgotten. */
#define LOGIN_LIMITS_FREE_ADDRESS 20 /* of one address, whatever the user name */
#define LOGIN_LIMITS_FREE_USER 5 /* of one user name from one address */
#define LOGIN_LIMITS_DECAY_MS 60000 /* one failure less after this time */
#define LOGIN_LIMITS_FIRST_MS 1000 /* the first delay; each further failure doubles it */
#define LOGIN_LIMITS_LAST_MS 60000 /* the longest delay */
#define LOGIN_LIMITS_KNOWN_MS (2 * 3600 * 1000) /* a login makes the address known to its user */

/* Where a login comes from: keyed digests, so that neither name nor address is kept. */
struct login_source {
	uint8_t address[LOGIN_LIMITS_KEY]; /* an IPv4 address, an IPv6 /64, or none */
	uint8_t user[LOGIN_LIMITS_KEY]; /* a user name */
	uint8_t pair[LOGIN_LIMITS_KEY]; /* the user name from that address */
};

/* A table of fixed size: the entry that has not changed for longest is replaced first. */
struct login_limits;

/* 0 or negative errno. */
int login_limits_open(struct login_limits **out);

/*
 * The same for several processes, before they are forked: each writes to a table of its own and reads
 * those of all, so that one that is killed leaves nothing locked. What it knew stays.
 */
int login_limits_share(struct login_limits **out, size_t workers);

/* In a worker: which of the tables is its own. The first is, before that. */
void login_limits_own(struct login_limits *limits, size_t worker);

/* NULL: nothing. */
void login_limits_close(struct login_limits *limits);

/* `address`: of any family; all that are not IP addresses count as one. */
void login_limits_identify(const struct login_limits *limits, const union address *address,
	const char *user, struct login_source *out);

/* Milliseconds before a login from there is verified again; 0: now. */
uint64_t login_limits_delay(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms);

/* Has the user logged in from this address lately? Then its failures delay only its own name. */
bool login_limits_known(
	const struct login_limits *limits, const struct login_source *source, uint64_t now_ms);

/* A password has been verified, with this result. */
void login_limits_failed(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms);
void login_limits_succeeded(
	struct login_limits *limits, const struct login_source *source, uint64_t now_ms);
#endif
