/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whom proxies name: networks, header fields, and PROXY headers read in every way they can be cut and written so
 * that reading them gives the same again.
 */
#include "network/proxy.h"
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "192.0.2.1 80", "2001:db8::1 80", "unix", "none" */
#define SHOWN 80

static void show(const union proxy_address *address, char out[SHOWN]) {
	char host[PROXY_HOST_TEXT];
	proxy_format_host(&address->any, host);
	if(address->any.sa_family == AF_UNSPEC) {
		strcpy(out, "none");
	} else if(address->any.sa_family == AF_UNIX) {
		strcpy(out, host);
	} else {
		/* The port is at the same place in both. */
		snprintf(out, SHOWN, "%s %u", host, ntohs(address->in.sin_port));
	}
}

static union proxy_address address_of(const char *text, uint16_t port) {
	union proxy_address address = {0};
	if(inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
	} else if(inet_pton(AF_INET6, text, &address.in6.sin6_addr) == 1) {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
	} else {
		address.any.sa_family = strcmp(text, "unix") == 0 ? AF_UNIX : AF_UNSPEC;
	}
	return address;
}

/* ---- networks ---- */

static void test_networks(void **state) {
	static const struct network_case {
		const char *text;
		const char *shown;
		const char *inside[4];
		const char *outside[6];
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"},
			{"9.255.255.255", "11.0.0.0", "::10.1.2.3", "unix", "?"}},
		{"192.0.2.128/25", "192.0.2.128/25", {"192.0.2.128", "192.0.2.255"},
			{"192.0.2.127", "192.0.3.128"}},
		{"192.0.2.4/30", "192.0.2.4/30", {"192.0.2.4", "192.0.2.7"},
			{"192.0.2.3", "192.0.2.8"}},
		{"192.0.2.1", "192.0.2.1/32", {"192.0.2.1"}, {"192.0.2.0", "192.0.2.2"}},
		{"192.0.2.1/32", "192.0.2.1/32", {"192.0.2.1"}, {"192.0.2.0"}},
		{"0.0.0.0/0", "0.0.0.0/0", {"0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"},
			{"::1", "unix", "?"}},
		{"::/0", "::/0", {"::", "ffff::"}, {"1.2.3.4", "::ffff:1.2.3.4", "unix"}},
		{"2001:db8::/32", "2001:db8::/32", {"2001:db8::", "2001:db8:ffff::1"},
			{"2001:db9::", "2001:db7:ffff::", "32.1.13.184"}},
		{"2001:DB8::8000/113", "2001:db8::8000/113", {"2001:db8::8000", "2001:db8::ffff"},
			{"2001:db8::7fff"}},
		{"::1", "::1/128", {"::1"}, {"::", "::2", "127.0.0.1"}},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8", {"10.1.2.3"}, {"11.0.0.0"}},
		{"::ffff:10.0.0.1", "10.0.0.1/32", {"10.0.0.1"}, {"10.0.0.2"}},
		{"unix", "unix", {"unix"}, {"127.0.0.1", "::1", "?"}},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct proxy_network network;
		const char *why = NULL;
		char text[PROXY_NETWORK_TEXT];
		assert_int_equal(proxy_parse_network(cases[i].text, &network, &why), 0);
		proxy_format_network(&network, text);
		assert_string_equal(text, cases[i].shown);
		struct proxy_networks trusted = {&network, 1};
		for(size_t j = 0; j < COUNT(cases[i].inside) && cases[i].inside[j]; j++) {
			union proxy_address address = address_of(cases[i].inside[j], 5);
			if(!proxy_trusts(trusted, &address.any)) {
				fail_msg("%s is not in %s", cases[i].inside[j], text);
			}
		}
		for(size_t j = 0; j < COUNT(cases[i].outside) && cases[i].outside[j]; j++) {
			union proxy_address address = address_of(cases[i].outside[j], 5);
			if(proxy_trusts(trusted, &address.any)) {
				fail_msg("%s is in %s", cases[i].outside[j], text);
			}
		}
	}
}

static void test_network_errors(void **state) {
	static const struct error_case {
		const char *text;
		const char *why;
	} cases[] = {
		{"", "no network"},
		{"*", "no network"},
		{"localhost", "no network"},
		{"unix:", "no network"},
		{"Unix", "no network"},
		{"/8", "no network"},
		{"10.0.0/8", "no network"},
		{"10/8", "no network"},
		{"10.0.0.0.0/8", "no network"},
		{"10.0.0.256", "no network"},
		{" 10.0.0.0/8", "no network"},
		{"[::1]/128", "no network"},
		{"fe80::1%lo/64", "no network"},
		{"10.0.0.0/8,11.0.0.0/8", "no such prefix"},
		{"10.0.0.0/", "no such prefix"},
		{"10.0.0.0/33", "no such prefix"},
		{"10.0.0.0/-1", "no such prefix"},
		{"10.0.0.0/+8", "no such prefix"},
		{"10.0.0.0/08", "no such prefix"},
		{"10.0.0.0/8 ", "no such prefix"},
		{"10.0.0.0/8/8", "no such prefix"},
		{"10.0.0.0/255.0.0.0", "no such prefix"},
		{"10.0.0.0/65544", "no such prefix"},
		{"10.0.0.0/4294967304", "no such prefix"},
		{"2001:db8::/129", "no such prefix"},
		{"10.0.0.1/8", "bits behind"},
		{"10.0.0.1/31", "bits behind"},
		{"1.0.0.0/0", "bits behind"},
		{"2001:db8::1/64", "bits behind"},
		{"::1/127", "bits behind"},
		{"::ffff:10.0.0.1/104", "bits behind"},
		{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8", "no network"},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct proxy_network network;
		const char *why = NULL;
		if(proxy_parse_network(cases[i].text, &network, &why) != -EINVAL) {
			fail_msg("\"%s\" was taken", cases[i].text);
		}
		if(!strstr(why, cases[i].why)) {
			fail_msg("\"%s\": %s", cases[i].text, why);
		}
	}
}

static void test_no_networks_trust_nobody(void **state) {
	union proxy_address address = address_of("127.0.0.1", 1);
	(void)state;
	assert_false(proxy_trusts((struct proxy_networks){0}, &address.any));
}

/* ---- header fields ---- */

#define F PROXY_FORWARDED
#define X PROXY_X_FORWARDED_FOR
#define R PROXY_X_REAL_IP
#define LINES 3

/* Trusted are 10.0.0.0/8, fd00::/8 and unix. */
static const struct field_case {
	enum proxy_field field;
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

static struct proxy_network trusted_networks[3];

static struct proxy_networks trusted_list(void) {
	static const char *const texts[] = {"10.0.0.0/8", "fd00::/8", "unix"};
	const char *why;
	for(size_t i = 0; i < COUNT(texts); i++) {
		assert_int_equal(proxy_parse_network(texts[i], &trusted_networks[i], &why), 0);
	}
	return (struct proxy_networks){trusted_networks, COUNT(texts)};
}

static void test_fields(void **state) {
	struct proxy_networks trusted = trusted_list();
	(void)state;
	for(size_t i = 0; i < COUNT(field_cases); i++) {
		const struct field_case *one = &field_cases[i];
		struct proxy_chain chain = {0};
		for(size_t line = LINES; line > 0; line--) {
			const char *text = one->lines[line - 1];
			if(text) {
				struct guard guard = guard_new(text, strlen(text));
				proxy_chain_add(&chain, one->field, (const char *)guard.data,
					strlen(text), trusted);
				guard_free(&guard);
			}
		}
		char shown[SHOWN] = "";
		if(chain.claim == PROXY_CLAIM_ADDRESS) {
			show(&chain.address, shown);
		} else if(chain.claim == PROXY_CLAIM_HIDDEN) {
			strcpy(shown, "hidden");
		}
		bool bad = chain.claim == PROXY_CLAIM_BAD;
		if(bad != !one->shown || (!bad && strcmp(shown, one->shown) != 0)) {
			fail_msg("%s: %s: %s%s", proxy_field_name(one->field), one->lines[0], shown,
				bad ? "bad" : "");
		}
	}
}

/* Fields of several kinds; what they come to together, in the same words, "bad" or "disputed". */
static const struct join_case {
	const char *lines[PROXY_FIELDS]; /* Forwarded, X-Forwarded-For, X-Real-IP */
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

static void show_chain(const struct proxy_chain *chain, char out[SHOWN]) {
	static const char *const words[] = {[PROXY_CLAIM_NONE] = "",
		[PROXY_CLAIM_HIDDEN] = "hidden",
		[PROXY_CLAIM_BAD] = "bad",
		[PROXY_CLAIM_DISPUTED] = "disputed"};
	if(chain->claim == PROXY_CLAIM_ADDRESS) {
		show(&chain->address, out);
	} else {
		strcpy(out, words[chain->claim]);
	}
}

static void test_joined_fields(void **state) {
	struct proxy_networks trusted = trusted_list();
	(void)state;
	for(size_t i = 0; i < COUNT(join_cases); i++) {
		struct proxy_chain all = {0};
		char before[SHOWN];
		char after[SHOWN];
		for(size_t field = 0; field < PROXY_FIELDS; field++) {
			const char *line = join_cases[i].lines[field];
			struct proxy_chain told = {0};
			if(line) {
				proxy_chain_add(&told, (enum proxy_field)field, line, strlen(line),
					trusted);
			}
			show_chain(&all, before);
			bool changed = proxy_chain_join(&all, &told, trusted);
			show_chain(&all, after);
			assert_int_equal(changed, strcmp(before, after) != 0);
		}
		if(strcmp(after, join_cases[i].shown) != 0) {
			fail_msg("case %zu: %s instead of %s", i, after, join_cases[i].shown);
		}
	}
}

/* No byte can make it read outside of the value, and a NUL is no end. */
static void test_field_bytes(void **state) {
	struct proxy_networks trusted = trusted_list();
	static const char start[] = "for=203.0.113.9";
	(void)state;
	for(int byte = 0; byte < 256; byte++) {
		for(size_t at = 0; at <= sizeof(start) - 1; at++) {
			char text[sizeof(start)];
			memcpy(text, start, at);
			text[at] = (char)byte;
			memcpy(text + at + 1, start + at, sizeof(start) - 1 - at);
			struct guard guard = guard_new(text, sizeof(text));
			for(int field = 0; field < PROXY_FIELDS; field++) {
				struct proxy_chain chain = {0};
				proxy_chain_add(&chain, (enum proxy_field)field,
					(const char *)guard.data, sizeof(text), trusted);
				assert_true(byte || chain.claim == PROXY_CLAIM_BAD);
			}
			guard_free(&guard);
		}
	}
}

/* ---- PROXY headers ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define ADDRESSES_4 "\xc0\x00\x02\x09\xc6\x33\x64\x01\x12\x67\x1f\x41"
#define IP6(last) "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0" last
#define MAPPED(last) "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02" last
#define PORTS "\x12\x67\x1f\x41"
#define TEN "0123456789"
#define ZEROS_10 "\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_108                                                                                  \
	ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10  \
		"\0\0\0\0\0\0\0\0"
#define LONG_6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define BYTES(text) text, sizeof(text) - 1

static const struct header_case {
	const char *data;
	size_t len;
	const char *source; /* NULL: refused */
	const char *destination;
	const char *why;
} header_cases[] = {
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), "192.0.2.9 4711",
		"198.51.100.1 8001", NULL},
	{BYTES("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0 0",
		"255.255.255.255 65535", NULL},
	{BYTES("PROXY TCP6 2001:db8::9 2001:db8::1 4711 8001\r\n"), "2001:db8::9 4711",
		"2001:db8::1 8001", NULL},
	{BYTES("PROXY TCP6 " LONG_6 " " LONG_6 " 65535 65535\r\n"), LONG_6 " 65535",
		LONG_6 " 65535", NULL},
	{BYTES("PROXY TCP6 ::ffff:192.0.2.9 ::ffff:198.51.100.1 1 2\r\n"), "192.0.2.9 1",
		"198.51.100.1 2", NULL},
	{BYTES("PROXY UNKNOWN\r\n"), "none", "none", NULL},
	{BYTES("PROXY UNKNOWN " LONG_6 " " LONG_6 " 65535 65535\r\n"), "none", "none", NULL},
	{BYTES("PROXY UNKNOWN what ever\r\n"), "none", "none", NULL},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001\r \n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9\r198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9  198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY  TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001 \r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001 9\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 \r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY \r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY \n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 4711 65536\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 04711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 -1 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9 198.51.100.1 x 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 192.0.2.9\0 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP4 2001:db8::9 2001:db8::1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP6 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY TCP6 2001:db8::9 192.0.2.9 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY UDP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY tcp4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY UNKNOWNX\r\n"), NULL, NULL, "malformed"},
	{BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "0\r\n"), "none", "none", NULL},
	{BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "01\r\n"), NULL, NULL,
		"too long"},
	{BYTES("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\r\n"), NULL, NULL,
		"too long"},
	{BYTES("proxy TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "there is none"},
	{BYTES("PROXYTCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "there is none"},
	{BYTES("GET / HTTP/1.1\r\n"), NULL, NULL, "there is none"},
	{BYTES("PUT / HTTP/1.1\r\n"), NULL, NULL, "there is none"},
	{BYTES("\r\n\r\nGET / HTTP/1.1\r\n"), NULL, NULL, "there is none"},
	{BYTES("\x16\x03\x01"), NULL, NULL, "there is none"},
	{BYTES(SIGNATURE "\x21\x11\0\x0c" ADDRESSES_4), "192.0.2.9 4711", "198.51.100.1 8001",
		NULL},
	{BYTES(SIGNATURE "\x21\x12\0\x0c" ADDRESSES_4), "192.0.2.9 4711", "198.51.100.1 8001",
		NULL},
	{BYTES(SIGNATURE "\x21\x10\0\x0c" ADDRESSES_4), "192.0.2.9 4711", "198.51.100.1 8001",
		NULL},
	{BYTES(SIGNATURE "\x21\x21\0\x24" IP6("\x09") IP6("\x01") PORTS), "2001:db8::9 4711",
		"2001:db8::1 8001", NULL},
	{BYTES(SIGNATURE "\x21\x21\0\x24" MAPPED("\x09") MAPPED("\x01") PORTS), "192.0.2.9 4711",
		"192.0.2.1 8001", NULL},
	{BYTES(SIGNATURE "\x21\x31\0\xd8" ZEROS_108 ZEROS_108), "unix", "unix", NULL},
	{BYTES(SIGNATURE "\x21\0\0\0"), "none", "none", NULL},
	{BYTES(SIGNATURE "\x21\0\0\x0c" ADDRESSES_4), "none", "none", NULL},
	{BYTES(SIGNATURE "\x20\0\0\0"), "none", "none", NULL},
	{BYTES(SIGNATURE "\x20\x11\0\x0c" ADDRESSES_4), "none", "none", NULL},
	{BYTES(SIGNATURE "\x20\x11\0\x03xyz"), "none", "none", NULL},
	{BYTES(SIGNATURE "\x20\xff\0\0"), "none", "none", NULL},
	/* extensions: ALPN, and a no-op of no length */
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\0\x08http/1.1"), "192.0.2.9 4711",
		"198.51.100.1 8001", NULL},
	{BYTES(SIGNATURE "\x21\x11\0\x1a" ADDRESSES_4 "\x01\0\x08http/1.1\x04\0\0"),
		"192.0.2.9 4711", "198.51.100.1 8001", NULL},
	{BYTES(SIGNATURE "\x21\x21\0\x2a" IP6("\x09") IP6("\x01") PORTS "\x05\0\x03"
									"abc"),
		"2001:db8::9 4711", "2001:db8::1 8001", NULL},
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\0\x09http/1.1"), NULL, NULL,
		"does not fit"},
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\0\x07http/1.1"), NULL, NULL,
		"does not fit"},
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\xff\xffhttp/1.1"), NULL, NULL,
		"does not fit"},
	{BYTES(SIGNATURE "\x21\x11\0\x0d" ADDRESSES_4 "\x01"), NULL, NULL, "does not fit"},
	{BYTES(SIGNATURE "\x21\x11\0\x0e" ADDRESSES_4 "\x01\0"), NULL, NULL, "does not fit"},
	{BYTES(SIGNATURE "\x21\x11\0\x0b" ADDRESSES_4), NULL, NULL, "too short"},
	{BYTES(SIGNATURE "\x21\x11\0\0"), NULL, NULL, "too short"},
	{BYTES(SIGNATURE "\x21\x21\0\x23"), NULL, NULL, "too short"},
	{BYTES(SIGNATURE "\x21\x21\0\x0c" ADDRESSES_4), NULL, NULL, "too short"},
	{BYTES(SIGNATURE "\x21\x31\0\xd7"), NULL, NULL, "too short"},
	{BYTES(SIGNATURE "\x21\x11\xff\xff"), NULL, NULL, "too long"},
	{BYTES(SIGNATURE "\x20\0\x3f\xf1"), NULL, NULL, "too long"},
	{BYTES(SIGNATURE "\x21\x41\0\x0c" ADDRESSES_4), NULL, NULL, "family or protocol"},
	{BYTES(SIGNATURE "\x21\x13\0\x0c" ADDRESSES_4), NULL, NULL, "family or protocol"},
	{BYTES(SIGNATURE "\x21\xf1\0\x0c" ADDRESSES_4), NULL, NULL, "family or protocol"},
	{BYTES(SIGNATURE "\x22\x11\0\x0c" ADDRESSES_4), NULL, NULL, "version or command"},
	{BYTES(SIGNATURE "\x2f\x11\0\x0c" ADDRESSES_4), NULL, NULL, "version or command"},
	{BYTES(SIGNATURE "\x11\x11\0\x0c" ADDRESSES_4), NULL, NULL, "version or command"},
	{BYTES(SIGNATURE "\x01\x11\0\x0c" ADDRESSES_4), NULL, NULL, "version or command"},
	{BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" ADDRESSES_4), NULL, NULL, "there is none"},
};

/* Feeds one header in pieces, each time all that there is so far, at the end of readable memory. */
struct feeding {
	const struct header_case *one;
	enum proxy_result result;
	struct proxy_header header;
	size_t used;
	const char *why;
};

static void feed(void *ctx, size_t offset, size_t len) {
	struct feeding *feeding = ctx;
	if(feeding->result != PROXY_MORE) {
		return;
	}
	struct guard guard = guard_new(feeding->one->data, offset + len);
	feeding->result = proxy_parse_header(
		guard.data, offset + len, &feeding->header, &feeding->used, &feeding->why);
	guard_free(&guard);
}

static void check_header(const struct header_case *one, const struct feeding *got) {
	char source[SHOWN];
	char destination[SHOWN];
	if(!one->source) {
		if(got->result != PROXY_BAD || !strstr(got->why, one->why)) {
			fail_msg("%.40s: %d, %s", one->data, got->result, got->why);
		}
		return;
	}
	if(got->result != PROXY_DONE) {
		fail_msg("%.40s: %d, %s", one->data, got->result, got->why ? got->why : "");
	}
	assert_int_equal(got->used, one->len);
	show(&got->header.source, source);
	show(&got->header.destination, destination);
	assert_string_equal(source, one->source);
	assert_string_equal(destination, one->destination);
}

static void test_headers(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(header_cases); i++) {
		const struct header_case *one = &header_cases[i];
		for(size_t way = 0; way < cut_ways(one->len); way++) {
			struct feeding feeding = {.one = one, .result = PROXY_MORE};
			cut_feed(one->len, way, feed, &feeding);
			check_header(one, &feeding);
		}
	}
}

/* What follows is not looked at, and a header that lacks its last byte is not complete. */
static void test_what_follows(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(header_cases); i++) {
		const struct header_case *one = &header_cases[i];
		char data[600];
		struct feeding feeding = {.one = one};
		if(!one->source) {
			continue;
		}
		memcpy(data, one->data, one->len);
		memcpy(data + one->len, "PROXY \n", 7);
		struct guard guard = guard_new(data, one->len + 7);
		feeding.result = proxy_parse_header(
			guard.data, one->len + 7, &feeding.header, &feeding.used, &feeding.why);
		check_header(one, &feeding);
		guard_free(&guard);
		for(size_t len = 0; len < one->len; len++) {
			guard = guard_new(one->data, len);
			assert_int_equal(proxy_parse_header(guard.data, len, &feeding.header,
						 &feeding.used, &feeding.why),
				PROXY_MORE);
			guard_free(&guard);
		}
	}
}

static void test_longest(void **state) {
	static uint8_t data[PROXY_HEADER_MAX];
	struct proxy_header header;
	const char *why = NULL;
	size_t used = 0;
	size_t block = PROXY_HEADER_MAX - 16;
	size_t value = block - 12 - 3;
	(void)state;
	memcpy(data, SIGNATURE "\x21\x11\0\0" ADDRESSES_4 "\xe0", 29);
	data[14] = (uint8_t)(block >> 8);
	data[15] = (uint8_t)block;
	data[29] = (uint8_t)(value >> 8);
	data[30] = (uint8_t)value;
	assert_int_equal(proxy_parse_header(data, sizeof(data), &header, &used, &why), PROXY_DONE);
	assert_int_equal(used, PROXY_HEADER_MAX);
	assert_int_equal(
		proxy_parse_header(data, sizeof(data) - 1, &header, &used, &why), PROXY_MORE);
}

static void test_formatting(void **state) {
	static const struct format_case {
		const char *source;
		const char *destination;
		const char *line;
		const char *binary;
		size_t binary_len;
	} cases[] = {
		{"192.0.2.9", "198.51.100.1", "PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n",
			BYTES(SIGNATURE "\x21\x11\0\x0c" ADDRESSES_4)},
		{"2001:db8::9", "2001:db8::1", "PROXY TCP6 2001:db8::9 2001:db8::1 4711 8001\r\n",
			BYTES(SIGNATURE "\x21\x21\0\x24" IP6("\x09") IP6("\x01") PORTS)},
		{"::ffff:192.0.2.9", "198.51.100.1",
			"PROXY TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n",
			BYTES(SIGNATURE "\x21\x11\0\x0c" ADDRESSES_4)},
		{"192.0.2.9", "2001:db8::1",
			"PROXY TCP6 ::ffff:192.0.2.9 2001:db8::1 4711 8001\r\n",
			BYTES(SIGNATURE "\x21\x21\0\x24" MAPPED("\x09") IP6("\x01") PORTS)},
		{"2001:db8::9", "192.0.2.1",
			"PROXY TCP6 2001:db8::9 ::ffff:192.0.2.1 4711 8001\r\n",
			BYTES(SIGNATURE "\x21\x21\0\x24" IP6("\x09") MAPPED("\x01") PORTS)},
		{"192.0.2.9", "unix", "PROXY TCP4 192.0.2.9 0.0.0.0 4711 0\r\n",
			BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\x00\x02\x09\0\0\0\0\x12\x67\0\0")},
		{"2001:db8::9", "?", "PROXY TCP6 2001:db8::9 :: 4711 0\r\n", NULL, 0},
		{LONG_6, LONG_6, "PROXY TCP6 " LONG_6 " " LONG_6 " 4711 8001\r\n", NULL, 0},
		{"unix", "192.0.2.1", "PROXY UNKNOWN\r\n", BYTES(SIGNATURE "\x20\0\0\0")},
		{"?", "?", "PROXY UNKNOWN\r\n", BYTES(SIGNATURE "\x20\0\0\0")},
	};
	(void)state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		union proxy_address source = address_of(cases[i].source, 4711);
		union proxy_address destination = address_of(cases[i].destination, 8001);
		struct guard guard = guard_new(NULL, PROXY_FORMAT_MAX);
		size_t len =
			proxy_format_header(PROXY_V1, &source.any, &destination.any, guard.data);
		assert_int_equal(len, strlen(cases[i].line));
		assert_memory_equal(guard.data, cases[i].line, len);
		len = proxy_format_header(PROXY_V2, &source.any, &destination.any, guard.data);
		if(cases[i].binary) {
			assert_int_equal(len, cases[i].binary_len);
			assert_memory_equal(guard.data, cases[i].binary, len);
		}
		struct proxy_header header;
		const char *why;
		size_t used;
		assert_int_equal(
			proxy_parse_header(guard.data, len, &header, &used, &why), PROXY_DONE);
		assert_int_equal(used, len);
		guard_free(&guard);
	}
}

/* Two wildcards of the longest kind and ports: the longest line there is. */
static void test_longest_line_fits(void **state) {
	union proxy_address address = address_of(LONG_6, 65535);
	uint8_t out[PROXY_FORMAT_MAX];
	(void)state;
	assert_int_equal(proxy_format_header(PROXY_V1, &address.any, &address.any, out), 104);
}

static void test_hosts(void **state) {
	static const char *const hosts[][2] = {{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"}, {"2001:DB8:0::1", "2001:db8::1"},
		{"unix", "unix"}, {"?", "unknown"}, {LONG_6, LONG_6}};
	(void)state;
	for(size_t i = 0; i < COUNT(hosts); i++) {
		union proxy_address address = address_of(hosts[i][0], 80);
		char text[PROXY_HOST_TEXT];
		proxy_format_host(&address.any, text);
		assert_string_equal(text, hosts[i][1]);
	}
}

/* Every number in every place, against the C library. */
static void test_ipv4_as_inet_ntop(void **state) {
	(void)state;
	for(uint32_t at = 0; at < 4 * 256; at++) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		in.sin_addr.s_addr = htonl(0xc80a0963u ^ (at & 255) << 8 * (at / 256));
		char wanted[INET_ADDRSTRLEN];
		char text[PROXY_HOST_TEXT];
		inet_ntop(AF_INET, &in.sin_addr, wanted, sizeof(wanted));
		proxy_format_host((const struct sockaddr *)&in, text);
		assert_string_equal(text, wanted);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_network_errors),
		cmocka_unit_test(test_no_networks_trust_nobody),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_joined_fields),
		cmocka_unit_test(test_field_bytes),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_what_follows),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_formatting),
		cmocka_unit_test(test_longest_line_fits),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_ipv4_as_inet_ntop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
