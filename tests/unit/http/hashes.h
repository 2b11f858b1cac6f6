/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Password hashes of each supported kind.
 */
#ifndef WEBSOCKSY_TESTS_HASHES_H
#define WEBSOCKSY_TESTS_HASHES_H
#include "support.h"

#include "http/passwords.h"

/* Made by crypt(3) with the salts that they show; all are of "secret" but the last. */
#define BCRYPT_Y "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define BCRYPT_A "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define BCRYPT_B "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA512                                                                                     \
	"$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/"                  \
	"Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"
#define SHA512_PLAIN                                                                               \
	"$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN."   \
	"Pq.H91p5hVO1"
#define SHA256 "$5$rounds=1000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2"
#define YESCRYPT "$y$j75$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1."
#define BCRYPT_COLONS "$2y$04$abcdefghijklmnopqrstuuZfw3O53z7Jym.he1ohiQi2CbtdlFmQO" /* p:a:ß€ */

static inline void no_mistake(void *ctx, const char *text) {
	(void)ctx;
	fail_msg("%s", text);
}

/* The users of a password file without mistakes. */
static inline struct passwords *parse_users(const char *text) {
	static const struct passwords_errors errors = {no_mistake, NULL};
	struct passwords *users = NULL;
	assert_int_equal(passwords_parse("users", text_slice(text), &users, &errors), 0);
	return users;
}
#endif
