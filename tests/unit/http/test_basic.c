/* SPDX-License-Identifier: BSD-2-Clause
 *
 * basic.c: credentials of requests, each in memory that ends at an unreadable page.
 */
#include "support.h"

#include "http/basic.h"

#include <errno.h>

static const struct {
	const char *value;
	int result;
	const char *user;
	const char *password;
} headers[] = {
	{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"}, /* RFC 7617, 2 */
	{"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"},
	{"BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"},
	{"Basic dGVzdDoxMjPCow==", 0, "test", "123\xc2\xa3"}, /* RFC 7617, 2.1 */
	{"Basic YTpiOmM6", 0, "a", "b:c:"}, {"Basic Og==", 0, "", ""}, {"Basic YTo=", 0, "a", ""},
	{"Basic OmI=", 0, "", "b"}, {"", -EPROTONOSUPPORT, NULL, NULL},
	{"Basic", -EPROTONOSUPPORT, NULL, NULL}, {"Basi", -EPROTONOSUPPORT, NULL, NULL},
	{"Bearer abc", -EPROTONOSUPPORT, NULL, NULL},
	{"Basics QWxhZGRpbjpvcGVuIHNlc2FtZQ==", -EPROTONOSUPPORT, NULL, NULL},
	{"Basic ", -EINVAL, NULL, NULL}, {"Basic =", -EINVAL, NULL, NULL},
	{"Basic ====", -EINVAL, NULL, NULL}, {"Basic YQ==", -EINVAL, NULL, NULL}, /* no colon */
	{"Basic YTo", -EINVAL, NULL, NULL}, /* no padding */
	{"Basic YTo=x", -EINVAL, NULL, NULL}, {"Basic YTo= ", -EINVAL, NULL, NULL},
	{"Basic Y To=", -EINVAL, NULL, NULL}, {"Basic a:b", -EINVAL, NULL, NULL},
	{"Basic dGVzdDoxMjOj", -EILSEQ, NULL, NULL}, /* ISO 8859-1 */
	{"Basic YTpiAGM=", -EINVAL, NULL, NULL}, /* NUL */
	{"Basic YQo6Yg==", -EINVAL, NULL, NULL}, /* line feed in the name */
};

static void test_basic(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(headers); i++) {
		struct basic_credentials credentials;
		size_t len = strlen(headers[i].value);
		struct guard guard = guard_new(headers[i].value, len);
		int result = basic_parse((const char *)guard.data, len, &credentials);
		guard_free(&guard);
		if(result != headers[i].result) {
			fail_msg("%s: %d", headers[i].value, result);
		}
		if(result == 0) {
			assert_string_equal(credentials.user, headers[i].user);
			assert_string_equal(credentials.password, headers[i].password);
		}
	}
}

static void test_cut_basic(void **state) {
	(void)state;
	static const char value[] = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZTEy";
	for(size_t len = 0; len < strlen(value); len++) {
		struct basic_credentials credentials;
		struct guard guard = guard_new(value, len);
		int result = basic_parse((const char *)guard.data, len, &credentials);
		guard_free(&guard);
		/* Whole groups of four characters are a shorter password. */
		bool good = len >= 18 && (len - 6) % 4 == 0;
		assert_int_equal(result == 0, good);
	}
}

/* Writes "Basic " and the base64 form of `user` times 'A' ("AAA" is "QUFB"), ':' and the rest. */
static int parse_long(size_t groups, const char *tail, struct basic_credentials *out) {
	char value[2048] = "Basic ";
	size_t at = 6;
	for(size_t i = 0; i < groups; i++, at += 4) {
		memcpy(value + at, "QUFB", 4);
	}
	strcpy(value + at, tail);
	struct guard guard = guard_new(value, strlen(value));
	int result = basic_parse((const char *)guard.data, strlen(value), out);
	guard_free(&guard);
	return result;
}

static void test_long_basic(void **state) {
	(void)state;
	struct basic_credentials credentials;
	assert_int_equal(parse_long(85, "OkFB", &credentials), 0); /* 255 * A, ":AA" */
	assert_int_equal(strlen(credentials.user), 255);
	assert_string_equal(credentials.password, "AA");
	assert_int_equal(parse_long(85, "QTpB", &credentials), -E2BIG); /* 256 */
	assert_int_equal(parse_long(400, "OkFB", &credentials), -E2BIG);
	char tail[BASIC_PASSWORD_MAX * 2] = "OkFB"; /* ":AA" and more of them */
	for(size_t i = 0; i < BASIC_PASSWORD_MAX / 3; i++) {
		strcat(tail, "QUFB");
	}
	assert_int_equal(parse_long(1, tail, &credentials), 0);
	assert_int_equal(strlen(credentials.password), BASIC_PASSWORD_MAX);
	strcat(tail, "QQ==");
	assert_int_equal(parse_long(1, tail, &credentials), -E2BIG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_cut_basic),
		cmocka_unit_test(test_long_basic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
