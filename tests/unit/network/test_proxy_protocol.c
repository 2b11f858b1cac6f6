/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proxy_protocol.c: headers split in every way, and headers that are formatted and parsed again.
 */
#include "addresses.h"
#include "support.h"

#include "network/proxy_protocol.h"

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
	{BYTES("proxy TCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "missing signature"},
	{BYTES("PROXYTCP4 192.0.2.9 198.51.100.1 4711 8001\r\n"), NULL, NULL, "missing signature"},
	{BYTES("GET / HTTP/1.1\r\n"), NULL, NULL, "missing signature"},
	{BYTES("PUT / HTTP/1.1\r\n"), NULL, NULL, "missing signature"},
	{BYTES("\r\n\r\nGET / HTTP/1.1\r\n"), NULL, NULL, "missing signature"},
	{BYTES("\x16\x03\x01"), NULL, NULL, "missing signature"},
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
		"malformed extensions"},
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\0\x07http/1.1"), NULL, NULL,
		"malformed extensions"},
	{BYTES(SIGNATURE "\x21\x11\0\x17" ADDRESSES_4 "\x01\xff\xffhttp/1.1"), NULL, NULL,
		"malformed extensions"},
	{BYTES(SIGNATURE "\x21\x11\0\x0d" ADDRESSES_4 "\x01"), NULL, NULL, "malformed extensions"},
	{BYTES(SIGNATURE "\x21\x11\0\x0e" ADDRESSES_4 "\x01\0"), NULL, NULL,
		"malformed extensions"},
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
	{BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c" ADDRESSES_4), NULL, NULL, "missing signature"},
};

/* Feeds one header in pieces, each time all that there is so far, at the end of readable memory. */
struct feeding {
	const struct header_case *one;
	enum proxy_protocol_result result;
	struct proxy_protocol_header header;
	size_t used;
	const char *why;
};

static void feed(void *ctx, size_t offset, size_t len) {
	struct feeding *feeding = ctx;
	if(feeding->result != PROXY_PROTOCOL_MORE) {
		return;
	}
	struct guard guard = guard_new(feeding->one->data, offset + len);
	feeding->result = proxy_protocol_parse(
		guard.data, offset + len, &feeding->header, &feeding->used, &feeding->why);
	guard_free(&guard);
}

static void check_header(const struct header_case *one, const struct feeding *got) {
	char source[SHOWN];
	char destination[SHOWN];
	if(!one->source) {
		if(got->result != PROXY_PROTOCOL_BAD || !strstr(got->why, one->why)) {
			fail_msg("%.40s: %d, %s", one->data, got->result, got->why);
		}
		return;
	}
	if(got->result != PROXY_PROTOCOL_DONE) {
		fail_msg("%.40s: %d, %s", one->data, got->result, got->why ? got->why : "");
	}
	assert_int_equal(got->used, one->len);
	address_show(&got->header.source, source);
	address_show(&got->header.destination, destination);
	assert_string_equal(source, one->source);
	assert_string_equal(destination, one->destination);
}

static void test_headers(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(header_cases); i++) {
		const struct header_case *one = &header_cases[i];
		for(size_t way = 0; way < cut_ways(one->len); way++) {
			struct feeding feeding = {.one = one, .result = PROXY_PROTOCOL_MORE};
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
		feeding.result = proxy_protocol_parse(
			guard.data, one->len + 7, &feeding.header, &feeding.used, &feeding.why);
		check_header(one, &feeding);
		guard_free(&guard);
		for(size_t len = 0; len < one->len; len++) {
			guard = guard_new(one->data, len);
			assert_int_equal(proxy_protocol_parse(guard.data, len, &feeding.header,
						 &feeding.used, &feeding.why),
				PROXY_PROTOCOL_MORE);
			guard_free(&guard);
		}
	}
}

static void test_longest(void **state) {
	static uint8_t data[PROXY_PROTOCOL_HEADER_MAX];
	struct proxy_protocol_header header;
	const char *why = NULL;
	size_t used = 0;
	size_t block = PROXY_PROTOCOL_HEADER_MAX - 16;
	size_t value = block - 12 - 3;
	(void)state;
	memcpy(data, SIGNATURE "\x21\x11\0\0" ADDRESSES_4 "\xe0", 29);
	data[14] = (uint8_t)(block >> 8);
	data[15] = (uint8_t)block;
	data[29] = (uint8_t)(value >> 8);
	data[30] = (uint8_t)value;
	assert_int_equal(proxy_protocol_parse(data, sizeof(data), &header, &used, &why),
		PROXY_PROTOCOL_DONE);
	assert_int_equal(used, PROXY_PROTOCOL_HEADER_MAX);
	assert_int_equal(proxy_protocol_parse(data, sizeof(data) - 1, &header, &used, &why),
		PROXY_PROTOCOL_MORE);
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
		union address source = make_address(cases[i].source, 4711);
		union address destination = make_address(cases[i].destination, 8001);
		struct guard guard = guard_new(NULL, PROXY_PROTOCOL_FORMAT_MAX);
		size_t len = proxy_protocol_format(
			PROXY_PROTOCOL_V1, &source.any, &destination.any, guard.data);
		assert_int_equal(len, strlen(cases[i].line));
		assert_memory_equal(guard.data, cases[i].line, len);
		len = proxy_protocol_format(
			PROXY_PROTOCOL_V2, &source.any, &destination.any, guard.data);
		if(cases[i].binary) {
			assert_int_equal(len, cases[i].binary_len);
			assert_memory_equal(guard.data, cases[i].binary, len);
		}
		struct proxy_protocol_header header;
		const char *why;
		size_t used;
		assert_int_equal(proxy_protocol_parse(guard.data, len, &header, &used, &why),
			PROXY_PROTOCOL_DONE);
		assert_int_equal(used, len);
		guard_free(&guard);
	}
}

/* Two wildcards of the longest kind and ports: the longest line there is. */
static void test_longest_line_fits(void **state) {
	union address address = make_address(LONG_6, 65535);
	uint8_t out[PROXY_PROTOCOL_FORMAT_MAX];
	(void)state;
	assert_int_equal(
		proxy_protocol_format(PROXY_PROTOCOL_V1, &address.any, &address.any, out), 104);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_what_follows),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_formatting),
		cmocka_unit_test(test_longest_line_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
