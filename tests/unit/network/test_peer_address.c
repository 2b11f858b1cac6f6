/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The syntax of peer addresses: what is accepted, as what, what is refused and with which reason.
 */
#include "network/peer.h"
#include "support.h"

#include <assert.h>
#include <errno.h>

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define PATH_107 "/" HUNDRED "abcdef"
#define ABSTRACT_107 "@" HUNDRED "abcdef"

/*
 * `text`: what peer_address_format() makes of it; NULL: refused with a reason that contains `why`.
 */
struct address_case {
	peer_transport transport;
	const char *host;
	const char *port;
	const char *text;
	const char *why;
	bool guessed;
};

#define DETECT peer_transport_detect

static const struct address_case cases[] = {
	/* tcp */
	{DETECT, "tcp://localhost:5900", NULL, "tcp://localhost:5900", NULL, false},
	{DETECT, "tcp://localhost", "5900", "tcp://localhost:5900", NULL, false},
	{DETECT, "tcp://localhost:80", "5900", "tcp://localhost:80", NULL, false},
	{DETECT, "TCP://localhost:80", NULL, "tcp://localhost:80", NULL, false},
	{DETECT, "tcp://localhost:80/", NULL, "tcp://localhost:80", NULL, false},
	{DETECT, "tcp://localhost/", "80", "tcp://localhost:80", NULL, false},
	{DETECT, "tcp://127.0.0.1:1", NULL, "tcp://127.0.0.1:1", NULL, false},
	{DETECT, "tcp://127.0.0.1:65535", NULL, "tcp://127.0.0.1:65535", NULL, false},
	{DETECT, "tcp://a.b-c.example:080", NULL, "tcp://a.b-c.example:80", NULL, false},
	{DETECT, "tcp://localhost:00080", NULL, "tcp://localhost:80", NULL, false},
	{DETECT, "tcp://localhost:0", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:65536", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:99999", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:18446744073709551617", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:-1", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:+80", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost: 80", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:80 ", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:80x", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:0x50", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:", NULL, NULL, "port", false},
	{DETECT, "tcp://localhost:", "80", NULL, "port", false},
	{DETECT, "tcp://localhost", NULL, NULL, "port is missing", false},
	{DETECT, "tcp://localhost", "", NULL, "port", false},
	{DETECT, "tcp://localhost", "no-such-service", NULL, "port", false},
	{DETECT, "tcp://localhost:80/path", NULL, NULL, "port", false},
	{DETECT, "tcp://:80", NULL, NULL, "host is missing", false},
	{DETECT, "tcp://db/path:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "tcp://user@db:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "tcp://a b:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "tcp://d..b:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "tcp://127.0.0.256:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "udp://b\303\274cher:80", NULL, NULL, "neither a host name nor an address", false},
	{DETECT, "tcp:////db:80", NULL, NULL, "unix:///path", false},
	{DETECT, "/run/service.sock", "80", NULL, "unix:///path", true},
	{DETECT, "tcp://my_db.example.:80", NULL, "tcp://my_db.example.:80", NULL, false},
	{DETECT, "tcp://", "80", NULL, "host is missing", false},
	{DETECT, "tcp:///", "80", NULL, "host is missing", false},
	{DETECT, "", "80", NULL, "host is missing", true},
	/* IPv6 literals */
	{DETECT, "tcp://[::1]:80", NULL, "tcp://[::1]:80", NULL, false},
	{DETECT, "tcp://[::1]", "80", "tcp://[::1]:80", NULL, false},
	{DETECT, "tcp://[::1]/", "80", "tcp://[::1]:80", NULL, false},
	{DETECT, "tcp://::1", "80", "tcp://[::1]:80", NULL, false},
	{DETECT, "tcp://[2001:db8::192.0.2.1]:80", NULL, "tcp://[2001:db8::192.0.2.1]:80", NULL,
		false},
	{DETECT, "tcp://[fe80::1%lo]:80", NULL, "tcp://[fe80::1%lo]:80", NULL, false},
	{DETECT, "tcp://[::ffff:127.0.0.1]:80", NULL, "tcp://[::ffff:127.0.0.1]:80", NULL, false},
	{DETECT, "tcp://[::1", "80", NULL, "]", false},
	{DETECT, "tcp://[::1:80", NULL, NULL, "]", false},
	{DETECT, "tcp://[::1]80", NULL, NULL, "]", false},
	{DETECT, "tcp://[::1]:", NULL, NULL, "port", false},
	{DETECT, "tcp://[]:80", NULL, NULL, "host is missing", false},
	{DETECT, "tcp://[::1]", NULL, NULL, "port is missing", false},
	{DETECT, "tcp://[::zz]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://[localhost]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://[127.0.0.1]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://[1:2:3:4:5:6:7:8:9]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://[%lo]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://[::1%]:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://a:b:80", NULL, NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://localhost:80:81", "82", NULL, "not a valid IPv6 address", false},
	{DETECT, "tcp://::1:80:", "80", NULL, "not a valid IPv6 address", false},
	/* no scheme, or a wrong one */
	{DETECT, "localhost:80", NULL, "tcp://localhost:80", NULL, true},
	{DETECT, "localhost", "80", "tcp://localhost:80", NULL, true},
	{DETECT, "[::1]:80", NULL, "tcp://[::1]:80", NULL, true},
	{DETECT, "::1", "80", "tcp://[::1]:80", NULL, true},
	{DETECT, "http://localhost:80", NULL, NULL, "transport is unknown", true},
	{DETECT, "ssl://localhost:80", NULL, NULL, "transport is unknown", true},
	{DETECT, "://localhost:80", NULL, NULL, "transport is unknown", true},
	{DETECT, " tcp://localhost:80", NULL, NULL, "transport is unknown", true},
	{DETECT, "unix-stream:///run/x", NULL, NULL, "transport is unknown", true},
	/* udp */
	{DETECT, "udp://localhost:53", NULL, "udp://localhost:53", NULL, false},
	{DETECT, "udp://[::1]:53", NULL, "udp://[::1]:53", NULL, false},
	{DETECT, "udp://localhost", NULL, NULL, "port is missing", false},
	/* unix and unix-dgram */
	{DETECT, "unix:///run/x.sock", NULL, "unix:///run/x.sock", NULL, false},
	{DETECT, "unix:///run/x.sock", "5900", "unix:///run/x.sock", NULL, false},
	{DETECT, "UNIX:///Run/X", NULL, "unix:///Run/X", NULL, false},
	{DETECT, "unix:///with:colon[and]", NULL, "unix:///with:colon[and]", NULL, false},
	{DETECT, "unix://" PATH_107, NULL, "unix://" PATH_107, NULL, false},
	{DETECT, "unix://" PATH_107 "g", NULL, NULL, "too long", false},
	{DETECT, "unix://@name", NULL, "unix://@name", NULL, false},
	{DETECT, "unix://" ABSTRACT_107, NULL, "unix://" ABSTRACT_107, NULL, false},
	{DETECT, "unix://" ABSTRACT_107 "g", NULL, NULL, "too long", false},
	{DETECT, "unix://@", NULL, NULL, "path", false},
	{DETECT, "unix://", NULL, NULL, "path", false},
	{DETECT, "unix://relative/x", NULL, NULL, "path", false},
	{DETECT, "unix-dgram:///run/log", NULL, "unix-dgram:///run/log", NULL, false},
	{DETECT, "unix-dgram://@log", NULL, "unix-dgram://@log", NULL, false},
	{DETECT, "unix-dgram://" PATH_107 "g", NULL, NULL, "too long", false},
	/* parameters */
	{DETECT, "tcp://localhost:80?proxy=v1", NULL, "tcp://localhost:80?proxy=v1", NULL, false},
	{DETECT, "tcp://localhost:80/?proxy=v2", NULL, "tcp://localhost:80?proxy=v2", NULL, false},
	{DETECT, "tcp://[::1]?proxy=v2", "80", "tcp://[::1]:80?proxy=v2", NULL, false},
	{DETECT, "localhost?proxy=v2", "80", "tcp://localhost:80?proxy=v2", NULL, true},
	{peer_tcp_client, "localhost?proxy=v1", "80", "tcp://localhost:80?proxy=v1", NULL, false},
	{DETECT, "unix:///run/x?proxy=v1", NULL, "unix:///run/x?proxy=v1", NULL, false},
	{DETECT, "unix://@x?proxy=v2", NULL, "unix://@x?proxy=v2", NULL, false},
	{DETECT, "tcp://localhost:80?", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80??proxy=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?proxy", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?Proxy=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?prox=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?proxyy=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?proxy=v1&", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?&proxy=v1", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?proxy=v1&x=y", NULL, NULL, "unknown parameter", false},
	{DETECT, "tcp://localhost:80?proxy=v1&proxy=v2", NULL, NULL, "given twice", false},
	{DETECT, "tcp://localhost:80?proxy=", NULL, NULL, "has no value", false},
	{DETECT, "tcp://localhost:80?proxy=v3", NULL, NULL, "proxy: invalid value", false},
	{DETECT, "tcp://localhost:80?proxy=V1", NULL, NULL, "proxy: invalid value", false},
	{DETECT, "tcp://localhost:80?proxy=v1=v2", NULL, NULL, "proxy: invalid value", false},
	{DETECT, "tcp://?proxy=v1", "80", NULL, "host is missing", false},
	{DETECT, "tcp://localhost?proxy=v1", NULL, NULL, "port is missing", false},
	{DETECT, "udp://localhost:53?proxy=v1", NULL, NULL, "does not support the parameter",
		false},
	{DETECT, "unix-dgram:///x?proxy=v1", NULL, NULL, "does not support the parameter", false},
	{DETECT, "fifotx:///x?proxy=v1", NULL, NULL, "does not support the parameter", false},
	{DETECT, "fiforx:///x?proxy=v1", NULL, NULL, "does not support the parameter", false},
	{DETECT, "echo://?proxy=v1", NULL, NULL, "does not support the parameter", false},
	{DETECT, "unix:///run/x?y", NULL, NULL, "%3F", false},
	{DETECT, "unix:///run/x%3Fy", NULL, "unix:///run/x%3Fy", NULL, false},
	{DETECT, "unix:///run/x%3fy?proxy=v2", NULL, "unix:///run/x%3Fy?proxy=v2", NULL, false},
	{DETECT, "unix:///run/%253F%2541%41%", NULL, "unix:///run/%253F%41%41%", NULL, false},
	{DETECT, "fifotx:///run/a&b%26", NULL, "fifotx:///run/a&b&", NULL, false},
	{DETECT,
		"unix://"
		"%2F" PATH_107,
		NULL, NULL, "path", false},
	{DETECT, "unix:///%3F" HUNDRED "abcde", NULL, "unix:///%3F" HUNDRED "abcde", NULL, false},
	{DETECT, "unix:///%3F" HUNDRED "abcdef", NULL, NULL, "too long", false},
	/* tls */
	{DETECT, "tls://localhost:443", NULL, "tls://localhost:443", NULL, false},
	{DETECT, "TLS://localhost/", "443", "tls://localhost:443", NULL, false},
	{DETECT, "tls://[::1]:443", NULL, "tls://[::1]:443", NULL, false},
	{DETECT, "tls://localhost", NULL, NULL, "port is missing", false},
	{DETECT, "tls://", "443", NULL, "host is missing", false},
	{DETECT, "tls://a:443?ca=/a/b.pem", NULL, "tls://a:443?ca=/a/b.pem", NULL, false},
	{DETECT, "tls://a:443?sni=b.example", NULL, "tls://a:443?sni=b.example", NULL, false},
	{DETECT, "tls://a:443?cert=/c", NULL, "tls://a:443?cert=/c", NULL, false},
	{DETECT, "tls://a:443?key=/k&cert=/c", NULL, "tls://a:443?cert=/c&key=/k", NULL, false},
	{DETECT, "tls://a:443?verify=off", NULL, "tls://a:443?verify=off", NULL, false},
	{DETECT, "tls://a:443?proxy=v2", NULL, "tls://a:443?proxy=v2", NULL, false},
	{DETECT, "tls://[::1]?verify=off&key=k&cert=c&sni=s&ca=a&proxy=v1", "443",
		"tls://[::1]:443?proxy=v1&ca=a&sni=s&cert=c&key=k&verify=off", NULL, false},
	{DETECT, "tls://a:443?ca=/x?y%3Fz%26=%253f%", NULL, "tls://a:443?ca=/x%3Fy%3Fz%26=%253f%",
		NULL, false},
	{DETECT, "tls://a:443?ca=", NULL, NULL, "has no value", false},
	{DETECT, "tls://a:443?sni=&ca=/a", NULL, NULL, "has no value", false},
	{DETECT, "tls://a:443?sni", NULL, NULL, "unknown parameter", false},
	{DETECT, "tls://a:443?CA=/a", NULL, NULL, "unknown parameter", false},
	{DETECT, "tls://a:443?ca=/a&ca=/b", NULL, NULL, "given twice", false},
	{DETECT, "tls://a:443?key=/k", NULL, NULL, "key= without cert=", false},
	{DETECT, "tls://a:443?verify=on", NULL, NULL, "only \"off\" is supported", false},
	{DETECT, "tls://a:443?verify=OFF", NULL, NULL, "only \"off\" is supported", false},
	{DETECT, "tls://a:443?verify=off&verify=off", NULL, NULL, "given twice", false},
	{DETECT, "tcp://a:443?verify=off", NULL, NULL, "does not support the parameter", false},
	{DETECT, "a:443?ca=/a", NULL, NULL, "does not support the parameter", true},
	{DETECT, "unix:///a?sni=a", NULL, NULL, "does not support the parameter", false},
	{DETECT, "udp://a:443?cert=/a", NULL, NULL, "does not support the parameter", false},
	{DETECT, "echo://?key=/a", NULL, NULL, "does not support the parameter", false},
	{peer_tcp_client, "tls://a:443", NULL, NULL, "not a valid IPv6 address", false},
	/* fifos */
	{DETECT, "fifotx:///run/in", NULL, "fifotx:///run/in", NULL, false},
	{DETECT, "fiforx:///run/out", NULL, "fiforx:///run/out", NULL, false},
	{DETECT, "fifotx://" PATH_107 "ghi", NULL, "fifotx://" PATH_107 "ghi", NULL, false},
	{DETECT, "fifotx://@name", NULL, NULL, "absolute", false},
	{DETECT, "fiforx://relative", NULL, NULL, "absolute", false},
	/* echo */
	{DETECT, "echo://", NULL, "echo://", NULL, false},
	{DETECT, "echo://", "5900", "echo://", NULL, false},
	{DETECT, "echo://x", NULL, NULL, "echo", false},
	/*
	 * the transport is named by the backend: what would be a scheme is a part of the host then
	 */
	{peer_tcp_client, "localhost", "80", "tcp://localhost:80", NULL, false},
	{peer_tcp_client, "localhost:81", "80", "tcp://localhost:81", NULL, false},
	{peer_tcp_client, "::1", "80", "tcp://[::1]:80", NULL, false},
	{peer_tcp_client, "tcp://localhost:80", NULL, NULL, "not a valid IPv6 address", false},
	{peer_udp_client, "127.0.0.1", "53", "udp://127.0.0.1:53", NULL, false},
	{peer_unix_stream, "/run/x", NULL, "unix:///run/x", NULL, false},
	{peer_unix_stream, "@x", "80", "unix://@x", NULL, false},
	{peer_unix_stream, "run/x", NULL, NULL, "path", false},
	{peer_unix_dgram, "/run/x", NULL, "unix-dgram:///run/x", NULL, false},
	{peer_fifo_tx, "/run/x", NULL, "fifotx:///run/x", NULL, false},
	{peer_fifo_rx, "/run/x", NULL, "fiforx:///run/x", NULL, false},
	{(peer_transport)7, "localhost", "80", NULL, "transport is unknown", false},
	{(peer_transport)-1, "localhost", "80", NULL, "transport is unknown", false},
};
static_assert(COUNT(cases) >= 60, "the table covers the syntax");

/* Copies of the strings that end at an unreadable page. */
static int parse_guarded(
	const struct address_case *at, struct peer_address *address, const char **why) {
	struct guard host = guard_new(at->host, strlen(at->host) + 1);
	struct guard port = guard_new(at->port, at->port ? strlen(at->port) + 1 : 1);
	int result = peer_parse(at->transport, (const char *)host.data,
		at->port ? (const char *)port.data : NULL, address, why);
	guard_free(&host);
	guard_free(&port);
	return result;
}

/* One line that tells everything: the address, or why there is none. */
static void describe(const struct address_case *at, char *out, size_t cap) {
	char text[512];
	const char *why = NULL;
	struct peer_address address;
	int result = parse_guarded(at, &address, &why);
	if(result == 0) {
		peer_address_format(&address, text, sizeof(text));
		snprintf(out, cap, "%s%s", text, address.guessed ? " (guessed)" : "");
	} else if(result == -EINVAL && why && !address.host) {
		bool expected = !at->text && strstr(why, at->why);
		snprintf(out, cap, "refused: %s", expected ? at->why : why);
	} else {
		snprintf(out, cap, "result %d", result);
	}
	peer_address_free(&address);
}

static void check_case(const struct address_case *at) {
	char got[600];
	char want[600];
	describe(at, got, sizeof(got));
	if(at->text) {
		snprintf(want, sizeof(want), "%s%s", at->text, at->guessed ? " (guessed)" : "");
	} else {
		snprintf(want, sizeof(want), "refused: %s", at->why);
	}
	if(strcmp(got, want) != 0) {
		fail_msg("\"%s\", port %s: \"%s\" instead of \"%s\"", at->host,
			at->port ? at->port : "none", got, want);
	}
}

static void test_table(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		check_case(&cases[i]);
	}
}

/* What peer_address_format() writes reads back as the same address. */
static void test_round_trip(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(cases); i++) {
		if(!cases[i].text) {
			continue;
		}
		struct address_case again = {
			DETECT, cases[i].text, NULL, cases[i].text, NULL, false};
		check_case(&again);
	}
}

static void test_fields(void **unused) {
	(void)unused;
	const char *why = NULL;
	struct peer_address address;
	assert_int_equal(peer_parse(DETECT, "udp://[::1]:53", NULL, &address, &why), 0);
	assert_string_equal(address.kind->scheme, "udp://");
	assert_int_equal(address.port, 53);
	assert_string_equal(address.host, "::1");
	peer_address_free(&address);
	assert_int_equal(peer_parse(DETECT, "unix://@name", "99", &address, &why), 0);
	assert_string_equal(address.kind->scheme, "unix://");
	assert_int_equal(address.port, 0);
	assert_string_equal(address.host, "@name");
	peer_address_free(&address);
	assert_int_equal(peer_parse(DETECT,
				 "tls://a:1?ca=/a%26b&sni=n&cert=/c&key=/k%25&verify=off&proxy=v2",
				 NULL, &address, &why),
		0);
	assert_string_equal(address.kind->scheme, "tls://");
	assert_string_equal(address.tls.ca, "/a&b");
	assert_string_equal(address.tls.sni, "n");
	assert_string_equal(address.tls.cert, "/c");
	assert_string_equal(address.tls.key, "/k%");
	assert_true(address.tls.insecure);
	assert_int_equal(address.proxy, PROXY_PROTOCOL_V2);
	peer_address_free(&address);
	assert_int_equal(peer_parse(DETECT, "tls://a:1", NULL, &address, &why), 0);
	assert_null(address.tls.ca);
	assert_null(address.tls.sni);
	assert_null(address.tls.cert);
	assert_null(address.tls.key);
	/* Certificates are verified unless the address says otherwise. */
	assert_false(address.tls.insecure);
	peer_address_free(&address);
	assert_int_equal(peer_parse(DETECT, "echo://", NULL, &address, &why), 0);
	assert_string_equal(address.kind->scheme, "echo://");
	assert_null(address.host);
	peer_address_free(&address);
}

/* A name or path of any length is kept whole; formatting cuts it at the room there is. */
static void test_long_host(void **unused) {
	(void)unused;
	static const char prefix[] = "tcp://";
	char host[5000];
	char text[64];
	const char *why = NULL;
	struct peer_address address;
	memset(host, 'x', sizeof(host));
	memcpy(host, prefix, sizeof(prefix) - 1);
	host[sizeof(host) - 1] = '\0';
	assert_int_equal(peer_parse(DETECT, host, "80", &address, &why), -EINVAL);
	assert_non_null(strstr(why, "neither a host name nor an address"));
	peer_address_free(&address);
	host[sizeof(prefix) - 1 + 200] = '\0';
	assert_int_equal(peer_parse(DETECT, host, "80", &address, &why), 0);
	assert_int_equal(strlen(address.host), 200);
	struct guard room = guard_new(NULL, sizeof(text));
	peer_address_format(&address, (char *)room.data, sizeof(text));
	assert_int_equal(strlen((char *)room.data), sizeof(text) - 1);
	guard_free(&room);
	peer_address_free(&address);
}

/* Every row of the table is complete, and each transport of the plugin interface has one. */
static void test_kinds(void **unused) {
	(void)unused;
	static const char *const messages[] = {"udp://", "unix-dgram://", "echo://"};
	unsigned transports = 0;
	for(size_t i = 0; i < PEER_KINDS; i++) {
		const struct peer_kind *kind = &peer_kinds[i];
		bool expected = false;
		for(size_t k = 0; k < COUNT(messages); k++) {
			expected = expected || strcmp(kind->scheme, messages[k]) == 0;
		}
		assert_true(kind->messages == expected);
		assert_non_null(kind->parse);
		assert_true(kind->loopback == !kind->connect);
		bool chosen = strcmp(kind->scheme, "program://") == 0 || kind->program;
		assert_true((kind->loopback || chosen) == !kind->ops);
		assert_true(kind->program == (strcmp(kind->scheme, "exec://") == 0));
		assert_true(kind->tls == (strcmp(kind->scheme, "tls://") == 0));
		assert_false(transports & (1u << kind->transport) &&
			kind->transport != peer_transport_detect);
		transports |= 1u << kind->transport;
	}
	assert_int_equal(transports, (1u << (peer_unix_dgram + 1)) - 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_kinds),
	};
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
