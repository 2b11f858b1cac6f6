/* SPDX-License-Identifier: BSD-2-Clause
 *
 * login_cookie.c: what is accepted, and each way in which a cookie can be wrong.
 */
#include "hashes.h"
#include "support.h"

#include "http/login_cookie.h"

#define LIFE_MS 600000
#define NOW_MS 5000

static const uint8_t key[LOGIN_COOKIE_KEY] = "key";

/* The value of a Cookie field from that of a Set-Cookie field. */
static void make(const struct login_cookies *cookies, const char *user, char out[1024]) {
	char field[LOGIN_COOKIE_FIELD];
	size_t len = login_cookie_format(cookies, "c", user, LIFE_MS, false, field);
	const char *start = field + strlen("Set-Cookie: ");
	const char *end = strchr(field, ';');
	assert_int_equal(strlen(field), len);
	memcpy(out, start, (size_t)(end - start));
	out[end - start] = '\0';
}

static bool check(const struct login_cookies *cookies, const char *field, const char *user) {
	char found[BASIC_USER_MAX + 1];
	struct slice slice = {.at = field, .len = strlen(field)};
	bool valid = login_cookie_check(cookies, slice, "c", found);
	if(valid) {
		assert_string_equal(found, user);
	}
	return valid;
}

static void test_field(void **state) {
	(void)state;
	struct passwords *users = parse_users("alice:" BCRYPT_Y);
	struct login_cookies cookies = {.key = key, .users = users, .now_ms = NOW_MS};
	char name[LOGIN_COOKIE_NAME];
	char field[LOGIN_COOKIE_FIELD];
	login_cookie_name(8001, name);
	assert_true(login_cookie_format(&cookies, name, "alice", LIFE_MS, true, field) > 0);
	assert_ptr_equal(strstr(field, "Set-Cookie: websocksy-login-8001=YWxpY2U=.605000."), field);
	assert_non_null(
		strstr(field, "; Path=/; Max-Age=600; HttpOnly; SameSite=Strict; Secure\r\n"));
	assert_true(login_cookie_format(&cookies, name, "alice", LIFE_MS, false, field) > 0);
	assert_null(strstr(field, "Secure"));
	assert_int_equal(login_cookie_format(&cookies, name, "bob", LIFE_MS, false, field), 0);
	passwords_free(users);
}

static void test_lifetime(void **state) {
	(void)state;
	struct passwords *users = parse_users("alice:" BCRYPT_Y "\nbob:" BCRYPT_Y);
	struct login_cookies cookies = {.key = key, .users = users, .now_ms = NOW_MS};
	char value[1024];
	make(&cookies, "alice", value);
	assert_true(check(&cookies, value, "alice"));
	cookies.now_ms += LIFE_MS - 1;
	assert_true(check(&cookies, value, "alice"));
	cookies.now_ms++;
	assert_false(check(&cookies, value, "alice"));
	passwords_free(users);
}

/* A changed hash, a removed user and another key end it. */
static void test_revoked(void **state) {
	(void)state;
	struct passwords *users = parse_users("alice:" BCRYPT_Y);
	struct passwords *changed = parse_users("alice:" BCRYPT_A);
	struct passwords *removed = parse_users("bob:" BCRYPT_Y);
	static const uint8_t other[LOGIN_COOKIE_KEY] = "other";
	struct login_cookies cookies = {.key = key, .users = users, .now_ms = NOW_MS};
	char value[1024];
	make(&cookies, "alice", value);
	cookies.users = changed;
	assert_false(check(&cookies, value, "alice"));
	cookies.users = removed;
	assert_false(check(&cookies, value, "alice"));
	cookies.users = users;
	cookies.key = other;
	assert_false(check(&cookies, value, "alice"));
	passwords_free(users);
	passwords_free(changed);
	passwords_free(removed);
}

/* Each character counts, and no part may be missing. */
static void test_forged(void **state) {
	(void)state;
	struct passwords *users = parse_users("alice:" BCRYPT_Y "\nalicf:" BCRYPT_Y);
	struct login_cookies cookies = {.key = key, .users = users, .now_ms = NOW_MS};
	char value[1024];
	make(&cookies, "alice", value);
	size_t len = strlen(value);
	for(size_t i = 2; i < len; i++) {
		char before = value[i];
		value[i] = before == '5' ? '6' : '5';
		assert_false(check(&cookies, value, "alice"));
		value[i] = before;
	}
	for(size_t cut = 0; cut < len; cut++) {
		struct guard guard = guard_new(value, cut);
		struct slice slice = {.at = (const char *)guard.data, .len = cut};
		char user[BASIC_USER_MAX + 1];
		assert_false(login_cookie_check(&cookies, slice, "c", user));
		guard_free(&guard);
	}
	assert_true(check(&cookies, value, "alice"));
	passwords_free(users);
}

static void test_among_others(void **state) {
	(void)state;
	struct passwords *users = parse_users("alice:" BCRYPT_Y);
	struct login_cookies cookies = {.key = key, .users = users, .now_ms = NOW_MS};
	char value[1024];
	char field[2048];
	make(&cookies, "alice", value);
	static const char *const around[][2] = {
		{"a=b; ", ""}, {"", "; a=b"}, {"cc=1;", ";d"}, {"; ; ", " ;"}, {"xc=c=; ", ""}};
	for(size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		sprintf(field, "%s%s%s", around[i][0], value, around[i][1]);
		/* A space behind the value is a part of it. */
		assert_int_equal(check(&cookies, field, "alice"), around[i][1][0] != ' ');
	}
	assert_false(check(&cookies, "", "alice"));
	assert_false(check(&cookies, "c", "alice"));
	assert_false(check(&cookies, "c=", "alice"));
	passwords_free(users);
}

static void test_strip(void **state) {
	(void)state;
	static const struct {
		const char *field;
		const char *expected;
	} cases[] = {
		{"", ""},
		{"a=b", "a=b"},
		{"c=x", ""},
		{"a=b; c=x", "a=b"},
		{"c=x;a=b", "a=b"},
		{"a=b;c=x;d=e", "a=b; d=e"},
		{"cc=1; c=x; C=2", "cc=1; C=2"},
		{"a;b;c;d", "a; b; c; d"},
	};
	for(size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[64];
		struct slice field = {.at = cases[i].field, .len = strlen(cases[i].field)};
		size_t len = login_cookie_strip(field, "c", out);
		assert_true(len <= 2 * field.len);
		out[len] = '\0';
		assert_string_equal(out, cases[i].expected);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_among_others),
		cmocka_unit_test(test_strip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
