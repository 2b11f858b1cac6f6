/* SPDX-License-Identifier: BSD-2-Clause
 *
 * forwarded.c: the client's address in each kind of field, and of several kinds together.
 */
#include "addresses.h"
#include "support.h"

#include "http/forwarded.h"

#define F FORWARDED_STANDARD
#define X FORWARDED_X_FORWARDED_FOR
#define R FORWARDED_X_REAL_IP
#define LINES 3

/* Trusted are 10.0.0.0/8, fd00::/8 and unix. */
static const struct field_case {
	enum forwarded_field field;
	const char *lines[LINES];
	const char *shown; /* NULL: malformed; "": nothing; "hidden" */
} field_cases[] = {
	{X, {"203.0.113.9"}, "203.0.113.9 0"},
	{X, {"  203.0.113.9\t"}, "203.0.113.9 0"},
	{X, {"203.0.113.9:4711"}, "203.0.113.9 4711"},
	{X, {"2001:db8::9"}, "2001:db8::9 0"},
	{X, {"[2001:db8::9]"}, "2001:db8::9 0"},
	{X, {"[2001:db8::9]:4711"}, "2001:db8::9 4711"},
	{X, {"::ffff:203.0.113.9"}, "203.0.113.9 0"},
	{X, {"6.6.6.6, 203.0.113.9"}, "203.0.113.9 0"},
	{X, {"6.6.6.6,203.0.113.9, 10.0.0.1,10.0.0.2"}, "203.0.113.9 0"},
	{X, {"6.6.6.6, 203.0.113.9", "10.0.0.1", "fd00::1"}, "203.0.113.9 0"},
	{X, {"6.6.6.6", "203.0.113.9"}, "203.0.113.9 0"},
	{X, {"6.6.6.6, 203.0.113.9, unix:"}, "203.0.113.9 0"},
	{X, {"6.6.6.6, 203.0.113.9, ::ffff:10.0.0.1"}, "203.0.113.9 0"},
	{X, {"10.0.0.3, 10.0.0.1"}, "10.0.0.3 0"},
	{X, {"unix:"}, "unix"},
	{X, {"unix:, 10.0.0.1"}, "unix"},
	{X, {"nonsense, 203.0.113.9"}, "203.0.113.9 0"},
	{X, {"\"6.6.6.6, 203.0.113.9"}, "203.0.113.9 0"},
	{X, {"\"", "203.0.113.9"}, "203.0.113.9 0"},
	{X, {"203.0.113.9,"}, "203.0.113.9 0"},
	{X, {",, 203.0.113.9 , ,"}, "203.0.113.9 0"},
	{X, {"203.0.113.9", ""}, "203.0.113.9 0"},
	{X, {""}, ""},
	{X, {" , ,"}, ""},
	{X, {"unknown"}, "hidden"},
	{X, {"6.6.6.6, unknown, 10.0.0.1"}, "hidden"},
	{X, {"6.6.6.6, nonsense"}, NULL},
	{X, {"nonsense, 10.0.0.1"}, NULL},
	{X, {"\"203.0.113.9\""}, NULL},
	{X, {"203.0.113.9 10.0.0.1"}, NULL},
	{X, {"203.0.113"}, NULL},
	{X, {"203.0.113.256"}, NULL},
	{X, {"203.0.113.9:"}, NULL},
	{X, {"203.0.113.9:x"}, NULL},
	{X, {"203.0.113.9:65536"}, NULL},
	{X, {"203.0.113.9:000080"}, NULL},
	{X, {"203.0.113.9/32"}, NULL},
	{X, {"[203.0.113.9]"}, NULL},
	{X, {"[2001:db8::9"}, NULL},
	{X, {"[2001:db8::9]4711"}, NULL},
	{X, {"[2001:db8::9]:"}, NULL},
	{X, {"[]"}, NULL},
	{X, {"["}, NULL},
	{X, {":"}, NULL},
	{X, {"[unknown]"}, NULL},
	{X, {"2001:db8::9%eth0"}, NULL},
	{X, {"for=203.0.113.9"}, NULL},
	{X, {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}, NULL},
	{F, {"for=203.0.113.9"}, "203.0.113.9 0"},
	{F, {"For=203.0.113.9;proto=http;by=10.0.0.1"}, "203.0.113.9 0"},
	{F, {"proto=http; FOR=\"203.0.113.9:4711\""}, "203.0.113.9 4711"},
	{F, {"for=\"[2001:db8::9]\""}, "2001:db8::9 0"},
	{F, {"for=\"[2001:db8::9]:4711\""}, "2001:db8::9 4711"},
	{F, {"for=\"[2001:db8::9]:_port\""}, "2001:db8::9 0"},
	{F, {"for=\"203.0.113.9:_p.o-r_t\""}, "203.0.113.9 0"},
	{F, {"for=6.6.6.6, for=203.0.113.9, for=10.0.0.1"}, "203.0.113.9 0"},
	{F, {"for=6.6.6.6", "for=203.0.113.9, for=\"[fd00::1]:80\"", "for=10.0.0.1"},
		"203.0.113.9 0"},
	{F, {"for=10.0.0.2,for=10.0.0.1"}, "10.0.0.2 0"},
	{F, {"for=6.6.6.6;host=\"a,b;c\", for=203.0.113.9;host=\"x,for=7.7.7.7\""},
		"203.0.113.9 0"},
	{F, {"host=\"\\\", for=6.6.6.6\";for=203.0.113.9"}, "203.0.113.9 0"},
	{F, {"for=\"6.6.6.6, for=203.0.113.9"}, "203.0.113.9 0"},
	{F, {"\", for=203.0.113.9"}, "203.0.113.9 0"},
	{F, {"\"\\, for=203.0.113.9, for=\"10.0.0.1:5\""}, "203.0.113.9 0"},
	{F, {"nonsense, for=203.0.113.9"}, "203.0.113.9 0"},
	{F, {";for=203.0.113.9;;"}, "203.0.113.9 0"},
	{F, {"for=unknown"}, "hidden"},
	{F, {"for=\"unknown:80\""}, "hidden"},
	{F, {"for=_hidden"}, "hidden"},
	{F, {"for=6.6.6.6, for=_hidden, for=10.0.0.1"}, "hidden"},
	{F, {"for=6.6.6.6, proto=https"}, "hidden"},
	{F, {""}, ""},
	{F, {"203.0.113.9"}, NULL},
	{F, {"for"}, NULL},
	{F, {"for="}, NULL},
	{F, {"=203.0.113.9"}, NULL},
	{F, {"for =203.0.113.9"}, NULL},
	{F, {"for= 203.0.113.9"}, NULL},
	{F, {"for=203.0.113.9:80"}, NULL},
	{F, {"for=[2001:db8::9]"}, NULL},
	{F, {"for=\"2001:db8::9\""}, NULL},
	{F, {"for=\"203.0.113.9"}, NULL},
	{F, {"for=\""}, NULL},
	{F, {"for=\"\""}, NULL},
	{F, {"for=203.0.113.9\""}, NULL},
	{F, {"for=\"203.0.113.9\"x"}, NULL},
	{F, {"for=\"unix:\""}, NULL},
	{F, {"for=_"}, NULL},
	{F, {"for=\"_a b\""}, NULL},
	{F, {"for=203.0.113.9;for=203.0.113.9"}, NULL},
	{F, {"for=203.0.113.9;nonsense"}, NULL},
	{F, {"for=203.0.113.9;for=10.0.0.1"}, NULL},
	{F, {"for=nonsense, for=10.0.0.1"}, NULL},
	{R, {"203.0.113.9"}, "203.0.113.9 0"},
	{R, {" 2001:db8::9 "}, "2001:db8::9 0"},
	{R, {"10.0.0.1"}, "10.0.0.1 0"},
	{R, {"unix:"}, "unix"},
	{R, {""}, ""},
	{R, {"203.0.113.9", "203.0.113.9"}, NULL},
	{R, {"10.0.0.1", "203.0.113.9"}, NULL},
	{R, {"6.6.6.6, 203.0.113.9"}, NULL},
	{R, {"6.6.6.6, 10.0.0.1"}, NULL},
	{R, {"nonsense"}, NULL},
};

static struct cidr trusted_networks[3];

static struct cidr_list trusted_list(void) {
	static const char *const texts[] = {"10.0.0.0/8", "fd00::/8", "unix"};
	const char *why;
	for(size_t i = 0; i < COUNT(texts); i++) {
		assert_int_equal(cidr_parse(texts[i], &trusted_networks[i], &why), 0);
	}
	return (struct cidr_list){trusted_networks, COUNT(texts)};
}

static void test_fields(void **state) {
	struct cidr_list trusted = trusted_list();
	(void)state;
	for(size_t i = 0; i < COUNT(field_cases); i++) {
		const struct field_case *one = &field_cases[i];
		struct forwarded_chain chain = {0};
		for(size_t line = LINES; line > 0; line--) {
			const char *text = one->lines[line - 1];
			if(text) {
				struct guard guard = guard_new(text, strlen(text));
				forwarded_chain_add(&chain, one->field, (const char *)guard.data,
					strlen(text), trusted);
				guard_free(&guard);
			}
		}
		char shown[SHOWN] = "";
		if(chain.claim == FORWARDED_CLAIM_ADDRESS) {
			address_show(&chain.address, shown);
		} else if(chain.claim == FORWARDED_CLAIM_HIDDEN) {
			strcpy(shown, "hidden");
		}
		bool bad = chain.claim == FORWARDED_CLAIM_BAD;
		if(bad != !one->shown || (!bad && strcmp(shown, one->shown) != 0)) {
			fail_msg("%s: %s: %s%s", forwarded_field_name(one->field), one->lines[0],
				shown, bad ? "bad" : "");
		}
	}
}

/* Fields of several kinds, and their combined result: as above, "bad" or "disputed". */
static const struct join_case {
	const char *lines[FORWARDED_FIELDS]; /* Forwarded, X-Forwarded-For, X-Real-IP */
	const char *shown;
} join_cases[] = {
	{{NULL, NULL, NULL}, ""},
	{{"", ",", ""}, ""},
	{{"for=203.0.113.9", "203.0.113.9:80", "203.0.113.9"}, "203.0.113.9 0"},
	{{"for=203.0.113.9", NULL, "203.0.113.9:80"}, "203.0.113.9 0"},
	{{NULL, "2001:db8::9", "[2001:DB8:0::9]:80"}, "2001:db8::9 0"},
	{{NULL, "203.0.113.9", "::ffff:203.0.113.9"}, "203.0.113.9 0"},
	{{"for=203.0.113.9", "203.0.113.8", NULL}, "disputed"},
	{{"for=203.0.113.9", NULL, "203.0.113.8"}, "disputed"},
	{{NULL, "203.0.113.9", "2001:db8::9"}, "disputed"},
	{{NULL, "2001:db8::8", "2001:db8::9"}, "disputed"},
	{{"for=203.0.113.9", "203.0.113.8", "203.0.113.9"}, "disputed"},
	{{"for=203.0.113.9", "203.0.113.8", "nonsense"}, "disputed"},
	{{"for=unknown", "203.0.113.9", NULL}, "disputed"},
	{{NULL, "203.0.113.9", "unknown"}, "disputed"},
	{{"for=unknown", "unknown", NULL}, "hidden"},
	{{"for=203.0.113.9", "nonsense", NULL}, "bad"},
	{{"nonsense", "203.0.113.9", NULL}, "bad"},
	{{NULL, "203.0.113.9, 10.0.0.1", "10.0.0.1"}, "203.0.113.9 0"},
	{{"for=10.0.0.2", "203.0.113.9", "10.0.0.1"}, "203.0.113.9 0"},
	{{"for=10.0.0.2", NULL, "10.0.0.1"}, "10.0.0.2 0"},
	{{"for=10.0.0.2", NULL, "unknown"}, "hidden"},
	{{"for=10.0.0.2", "nonsense", NULL}, "bad"},
};

static void show_chain(const struct forwarded_chain *chain, char out[SHOWN]) {
	static const char *const words[] = {[FORWARDED_CLAIM_NONE] = "",
		[FORWARDED_CLAIM_HIDDEN] = "hidden",
		[FORWARDED_CLAIM_BAD] = "bad",
		[FORWARDED_CLAIM_DISPUTED] = "disputed"};
	if(chain->claim == FORWARDED_CLAIM_ADDRESS) {
		address_show(&chain->address, out);
	} else {
		strcpy(out, words[chain->claim]);
	}
}

static void test_joined_fields(void **state) {
	struct cidr_list trusted = trusted_list();
	(void)state;
	for(size_t i = 0; i < COUNT(join_cases); i++) {
		struct forwarded_chain all = {0};
		char before[SHOWN];
		char after[SHOWN];
		for(size_t field = 0; field < FORWARDED_FIELDS; field++) {
			const char *line = join_cases[i].lines[field];
			struct forwarded_chain told = {0};
			if(line) {
				forwarded_chain_add(&told, (enum forwarded_field)field, line,
					strlen(line), trusted);
			}
			show_chain(&all, before);
			bool changed = forwarded_chain_join(&all, &told, trusted);
			show_chain(&all, after);
			assert_int_equal(changed, strcmp(before, after) != 0);
		}
		if(strcmp(after, join_cases[i].shown) != 0) {
			fail_msg("case %zu: %s instead of %s", i, after, join_cases[i].shown);
		}
	}
}

/* No byte makes it read outside of the value; NUL does not end it. */
static void test_field_bytes(void **state) {
	struct cidr_list trusted = trusted_list();
	static const char start[] = "for=203.0.113.9";
	(void)state;
	for(int byte = 0; byte < 256; byte++) {
		for(size_t at = 0; at <= sizeof(start) - 1; at++) {
			char text[sizeof(start)];
			memcpy(text, start, at);
			text[at] = (char)byte;
			memcpy(text + at + 1, start + at, sizeof(start) - 1 - at);
			struct guard guard = guard_new(text, sizeof(text));
			for(int field = 0; field < FORWARDED_FIELDS; field++) {
				struct forwarded_chain chain = {0};
				forwarded_chain_add(&chain, (enum forwarded_field)field,
					(const char *)guard.data, sizeof(text), trusted);
				assert_true(byte || chain.claim == FORWARDED_CLAIM_BAD);
			}
			guard_free(&guard);
		}
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_joined_fields),
		cmocka_unit_test(test_field_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
