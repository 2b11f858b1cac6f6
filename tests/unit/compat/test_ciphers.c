/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cipher lists of OpenSSL, and the parts of a priority string that they are translated to.
 */
#include "compat/ciphers.h"
#include "support.h"

#include <gnutls/gnutls.h>

#define EC "+ECDHE-ECDSA:+ECDHE-RSA"
#define NO_DH ":-GROUP-DH-ALL"

/* Key exchanges, ciphers and MACs; "" of the first: the list is an error. */
static const struct {
	const char *list, *kx, *ciphers, *macs;
} rows[] = {
	/* names */
	{"ECDHE-RSA-AES128-GCM-SHA256", "+ECDHE-RSA", "+AES-128-GCM", "+AEAD"},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", "+ECDHE-ECDSA", "+CHACHA20-POLY1305", "+AEAD"},
	{"DHE-RSA-AES256-SHA256", "+DHE-RSA", "+AES-256-CBC", "+SHA256"},
	{"AES128-SHA", "+RSA", "+AES-128-CBC", "+SHA1"},
	/* the order is that of the list; separators */
	{"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384", "+ECDHE-RSA",
		"+AES-128-GCM:+AES-256-GCM", "+AEAD"},
	{"ECDHE-RSA-AES256-GCM-SHA384,AES128-SHA ; :", "+ECDHE-RSA:+RSA",
		"+AES-256-GCM:+AES-128-CBC", "+AEAD:+SHA1"},
	/* words; DHE only if it is named */
	{"HIGH:!aNULL:!RSA", EC,
		"+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-CBC:"
		"+AES-128-CBC",
		"+AEAD:+SHA384:+SHA256:+SHA1"},
	{"ECDHE+AESGCM", EC, "+AES-256-GCM:+AES-128-GCM", "+AEAD"},
	{"EDH+AES128+SHA1", "+DHE-RSA", "+AES-128-CBC", "+SHA1"},
	{"AESGCM+aRSA", "+ECDHE-RSA:+RSA", "+AES-256-GCM:+AES-128-GCM", "+AEAD"},
	{"kRSA+AES256+SHA", "+RSA", "+AES-256-CBC", "+SHA1"},
	{"CHACHA20+ECDSA", "+ECDHE-ECDSA", "+CHACHA20-POLY1305", "+AEAD"},
	{"TLSv1.2+kEECDH+SHA384", EC, "+AES-256-CBC", "+SHA384"},
	/* rules */
	{"ECDHE:!SHA1:!SHA256:-SHA384:-CHACHA20:!ECDSA", "+ECDHE-RSA", "+AES-256-GCM:+AES-128-GCM",
		"+AEAD"},
	{"!AES256:ECDHE+AESGCM", EC, "+AES-128-GCM", "+AEAD"},
	{"-AES256:ECDHE+AESGCM", EC, "+AES-256-GCM:+AES-128-GCM", "+AEAD"},
	{"ECDHE+AESGCM:+AES256", EC, "+AES-128-GCM:+AES-256-GCM", "+AEAD"},
	{"AES128-GCM-SHA256:AES256-GCM-SHA384:@STRENGTH", "+RSA", "+AES-256-GCM:+AES-128-GCM",
		"+AEAD"},
	{"@SECLEVEL=1:AES128-SHA", "+RSA", "+AES-128-CBC", "+SHA1"},
	/* algorithms that are never offered select nothing, in lists that were recommended once */
	{"ECDHE-RSA-AES128-GCM-SHA256:DES-CBC3-SHA:ECDHE-ARIA256-GCM-SHA384:!KRB5-DES-CBC3-SHA:"
	 "!PSK:!DSS:!MD5:!EXP:!LOW:RC4+ECDHE:CAMELLIA",
		"+ECDHE-RSA", "+AES-128-GCM", "+AEAD"},
	/* errors */
	{"", "", "", ""},
	{"RC4", "", "", ""},
	{"AES128-SHA:!ALL", "", "", ""},
	{"NONSENSE", "", "", ""},
	{"HIGH:!NONSENSE", "", "", ""},
	{"HIGH+NONSENSE", "", "", ""},
	{"HIGH:TLS_AES_128_GCM_SHA256", "", "", ""},
	{"HIGH:@SECLEVEL=3", "", "", ""},
	{"HIGH:!", "", "", ""},
	{"HIGH:high", "", "", ""},
	{"ECDHE-RSA-AES128-GCM", "", "", ""},
};

static void test_lists(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(rows); i++) {
		struct compat compat = {0};
		char got[CIPHERS_MAX], expected[CIPHERS_MAX];
		bool tls13;
		bool fine = ciphers_translate(&compat, rows[i].list, got, &tls13);
		if(fine != (rows[i].kx[0] != '\0') || fine == (compat.error[0] != '\0')) {
			fail_msg("\"%s\": %s", rows[i].list, compat.error);
		}
		bool dhe = strstr(rows[i].kx, "+DHE");
		snprintf(expected, sizeof(expected),
			":-KX-ALL:%s:-CIPHER-ALL:%s:-MAC-ALL:%s%s:%%SERVER_PRECEDENCE", rows[i].kx,
			rows[i].ciphers, rows[i].macs, dhe ? "" : NO_DH);
		if(fine && strcmp(got, expected) != 0) {
			fail_msg("\"%s\":\n%s\nexpected:\n%s", rows[i].list, got, expected);
		}
		assert_true(!fine || tls13 == (strstr(rows[i].macs, "AEAD") != NULL));
		compat_free(&compat);
	}
}

/* The number of suites of a priority string. */
static size_t count_suites(const char *string) {
	gnutls_priority_t priority;
	size_t count = 0;
	int result = 0;
	assert_int_equal(gnutls_priority_init(&priority, string, NULL), 0);
	for(unsigned i = 0; result != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
		unsigned suite;
		result = gnutls_priority_get_cipher_suite_index(priority, i, &suite);
		count += result == 0;
	}
	gnutls_priority_deinit(priority);
	return count;
}

/* One suite of OpenSSL is one of GnuTLS. */
static void test_gnutls_has_the_suites(void **state) {
	(void)state;
	static const char *const lists[] = {"ECDHE-ECDSA-AES256-GCM-SHA384",
		"ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256",
		"ECDHE-RSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA",
		"DHE-RSA-CHACHA20-POLY1305", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-SHA256",
		"AES256-GCM-SHA384", "AES256-SHA256", "AES128-SHA"};
	for(size_t i = 0; i < COUNT(lists); i++) {
		struct compat compat = {0};
		char ciphers[CIPHERS_MAX], string[CIPHERS_MAX + 64];
		bool tls13;
		assert_true(ciphers_translate(&compat, lists[i], ciphers, &tls13));
		snprintf(string, sizeof(string), "NORMAL:-VERS-ALL:+VERS-TLS1.2%s", ciphers);
		if(count_suites(string) != 1) {
			fail_msg("\"%s\": %zu suites", string, count_suites(string));
		}
		compat_free(&compat);
	}
}

/* GnuTLS combines the parts of different suites. */
static void test_further_suites_are_named(void **state) {
	(void)state;
	struct compat compat = {0};
	char ciphers[CIPHERS_MAX];
	bool tls13;
	assert_true(ciphers_translate(&compat,
		"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384", ciphers, &tls13));
	assert_int_equal(compat.notices.count, 2);
	assert_non_null(strstr(compat.notices.at[0], ": ECDHE-ECDSA-AES128-GCM-SHA256 is"));
	assert_non_null(strstr(compat.notices.at[1], ": ECDHE-RSA-AES256-GCM-SHA384 is"));
	compat_free(&compat);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_gnutls_has_the_suites),
		cmocka_unit_test(test_further_suites_are_named),
	};
	return cmocka_run_group_tests_name("ciphers", tests, NULL, NULL);
}
