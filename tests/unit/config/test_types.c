/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The values of options: every option in every place it can be given, and the text of every error.
 */
#include "reading.h"

#define TEN "0123456789"
#define LONG_PATH "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "012345" /* 107 bytes */

struct valid {
	const char *name;
	const char *letter; /* NULL: none */
	const char *value;
	const char *line; /* of the dump */
};

static const struct valid valid[] = {
	{"port", "-p", "8001", "port = 8001"},
	{"port", "-p", "0", "port = 0"},
	{"port", "-p", "65535", "port = 65535"},
	{"port", "-p", "080", "port = 80"},
	{"listen", "-l", "::", "listen = ::"},
	{"listen", "-l", "[::1]", "listen = ::1"},
	{"listen", "-l", "fe80::1%eth0", "listen = fe80::1%eth0"},
	{"listen", "-l", "0.0.0.0", "listen = 0.0.0.0"},
	{"listen", "-l", "localhost", "listen = localhost"},
	{"listen", "-l", "a-b.example.", "listen = a-b.example."},
	{"listen", "-l", "unix:/run/x", "listen = unix:/run/x"},
	{"listen", "-l", "unix:/run/a,b,mode=0660", "listen = unix:/run/a,b,mode=0660"},
	{"listen", "-l", "unix:/x,mode=777", "listen = unix:/x,mode=777"},
	{"listen", "-l", "unix:@name", "listen = unix:@name"},
	{"listen", "-l", "unix:" LONG_PATH, "listen = unix:" LONG_PATH},
	{"listen", "-l", "*", "listen = *"},
	{"origin", NULL, "https://Example.org", "origin = https://example.org:443"},
	{"origin", NULL, "http://[::1]:81", "origin = http://[::1]:81"},
	{"origin", NULL, "http://*.example.org:81", "origin = http://*.example.org:81"},
	{"origin", NULL, "app://x", "origin = app://x"},
	{"legacy", NULL, "", "legacy = none"},
	{"legacy", NULL, "none", "legacy = none"},
	{"legacy", NULL, "hixie", "legacy = hixie"},
	{"legacy", NULL, "flash , hybi", "legacy = hybi,flash"},
	{"legacy", NULL, "hixie,flash,hybi,hixie", "legacy = hixie,hybi,flash"},
	{"legacy-flash-domain", NULL, "*", "legacy-flash-domain = *"},
	{"legacy-flash-domain", NULL, "*.a-b.example", "legacy-flash-domain = *.a-b.example"},
	{"legacy-flash-ports", NULL, "*", "legacy-flash-ports = *"},
	{"legacy-flash-ports", NULL, "1,80-80,81-65535", "legacy-flash-ports = 1,80-80,81-65535"},
	{"origin", NULL, "same", "origin = same"},
	{"origin", NULL, "null", "origin = null"},
	{"origin", NULL, "*", "origin = *"},
	{"web", NULL, "/", "web = /"},
	{"web", NULL, "file", "web = @/file"},
	{"web", NULL, "", "web ="},
	{"auth-file", NULL, "users", "auth-file = @/users"},
	{"auth-file", NULL, "", "auth-file ="},
	{"web-auth", NULL, "yes", "web-auth = yes"},
	{"daemon", NULL, "yes", "daemon = yes"},
	{"daemon", NULL, "no", "daemon = no"},
	{"pid-file", NULL, "a/b", "pid-file = @/a/b"},
	{"pid-file", NULL, "/run/a.pid", "pid-file = /run/a.pid"},
	{"pid-file", NULL, "", "pid-file ="},
	{"user", NULL, "0", "user = 0"},
	{"user", NULL, "", "user ="},
	{"group", NULL, "", "group ="},
	{"chroot", NULL, "", "chroot ="},
	{"inetd", NULL, "yes", "inetd = yes"},
	{"run-once", NULL, "yes", "run-once = yes"},
	{"exit-after", NULL, "1h", "exit-after = 3600"},
	{"exit-idle", NULL, "0.5", "exit-idle = 500ms"},
	{"web-auth", NULL, "no", "web-auth = no"},
	{"trusted-proxy", NULL, "10.0.0.0/8", "trusted-proxy = 10.0.0.0/8"},
	{"trusted-proxy", NULL, "192.0.2.1", "trusted-proxy = 192.0.2.1/32"},
	{"trusted-proxy", NULL, "2001:DB8::/32", "trusted-proxy = 2001:db8::/32"},
	{"trusted-proxy", NULL, "unix", "trusted-proxy = unix"},
	{"trusted-proxy", NULL, "", "trusted-proxy ="},
	{"proxy-protocol", NULL, "no", "proxy-protocol = no"},
	{"web-listing", NULL, "yes", "web-listing = yes"},
	{"web-listing", NULL, "no", "web-listing = no"},
	{"health", NULL, "/healthz", "health = /healthz"},
	{"health", NULL, "/a%20b", "health = /a%20b"},
	{"health", NULL, "", "health ="},
	{"backend", "-b", "", "backend ="},
	{"plugin-path", NULL, "/nonexistent/plugins", "plugin-path = /nonexistent/plugins"},
	{"plugin-path", NULL, "/a b ", "plugin-path = \"/a b \""},
	{"resolver", NULL, "127.0.0.1", "resolver = 127.0.0.1"},
	{"resolver", NULL, "127.0.0.1:53,[::1]:5353,::1,[::2]",
		"resolver = 127.0.0.1:53,[::1]:5353,::1,[::2]"},
	{"resolver", NULL, "", "resolver ="},
	{"ping", "-k", "0", "ping = 0"},
	{"ping", "-k", "45", "ping = 45"},
	{"ping", "-k", "45s", "ping = 45"},
	{"ping", "-k", "1500ms", "ping = 1500ms"},
	{"ping", "-k", "1.5", "ping = 1500ms"},
	{"ping", "-k", "0.001s", "ping = 1ms"},
	{"ping", "-k", "1.5m", "ping = 90"},
	{"ping", "-k", "2m", "ping = 120"},
	{"ping", "-k", "1h", "ping = 3600"},
	{"ping", "-k", "4380h", "ping = 15768000"},
	{"pong-timeout", NULL, "auto", "pong-timeout = 60"},
	{"pong-timeout", NULL, "7", "pong-timeout = 7"},
	{"pong-timeout", NULL, "0", "pong-timeout = 0"},
	{"handshake-timeout", NULL, "1ms", "handshake-timeout = 1ms"},
	{"connect-timeout", NULL, "11", "connect-timeout = 11"},
	{"close-timeout", NULL, "12", "close-timeout = 12"},
	{"idle-timeout", NULL, "13", "idle-timeout = 13"},
	{"stall-timeout", NULL, "14", "stall-timeout = 14"},
	{"grace", NULL, "8760h", "grace = 31536000"},
	{"max-message", NULL, "1", "max-message = 1"},
	{"max-message", NULL, "1024", "max-message = 1K"},
	{"max-message", NULL, "1025", "max-message = 1025"},
	{"max-message", NULL, "3k", "max-message = 3K"},
	{"max-message", NULL, "1024K", "max-message = 1M"},
	{"max-message", NULL, "5m", "max-message = 5M"},
	{"max-message", NULL, "1g", "max-message = 1G"},
	{"max-message", NULL, "1G", "max-message = 1G"},
	{"max-clients", NULL, "0", "max-clients = 0"},
	{"max-clients", NULL, "10000000", "max-clients = 10000000"},
	{"max-clients-per-ip", NULL, "3", "max-clients-per-ip = 3"},
	{"buffer-high", NULL, "1M", "buffer-high = 1M"},
	{"buffer-low", NULL, "0", "buffer-low = 0"},
	{"log-level", NULL, "error", "log-level = error"},
	{"log-level", NULL, "debug", "log-level = debug"},
	{"log-target", NULL, "", "log-target = stderr"},
	{"log-target", NULL, "file:/x", "log-target = file:/x"},
	{"log-format", NULL, "json", "log-format = json"},
	{"access-log", NULL, "both", "access-log = both"},
	{"record", NULL, "/r/%t-%i-%a%%", "record = /r/%t-%i-%a%%"},
	{"traffic", NULL, "yes", "traffic = yes"},
	{"record-format", NULL, "pcapng", "record-format = pcapng"},
};

/* A directory that does not exist is reported, and the option is valid. */
static bool is_missing_directory(const struct valid *row) {
	return strcmp(row->name, "plugin-path") == 0;
}

/* The option in each of the ways to give it has this line in its dump. */
static void check_valid(const struct valid *row) {
	const char *const warnings[] = {
		is_missing_directory(row) ? "no plugins are loaded" : NULL, NULL};
	char joined[512], attached[512], file[512];
	snprintf(joined, sizeof(joined), "--%s=%s", row->name, row->value);
	snprintf(attached, sizeof(attached), "%s%s", row->letter ? row->letter : "", row->value);
	snprintf(file, sizeof(file), "[core]\n%s = \"%s\"\n", row->name, row->value);
	write_file("valid.conf", file);
	const char *const ways[][ARGUMENTS_MAX] = {
		{joined},
		{"-c", "host=tcp://x", "--config", "valid.conf"},
		{"valid.conf"},
		{"-q", "-v", row->letter ? row->letter : joined, row->letter ? row->value : NULL},
		{"-q", "-v", row->letter && row->value[0] ? attached : joined},
	};

	for(size_t way = 0; way < COUNT(ways); way++) {
		struct config config = read_warned(ways[way], warnings);
		dump(&config);
		assert_line(row->line);
		config_free(&config);
	}
	char long_name[64];
	snprintf(long_name, sizeof(long_name), "--%s", row->name);
	struct config config =
		read_warned((const char *const[]){long_name, row->value, NULL}, warnings);
	dump(&config);
	assert_line(row->line);
	config_free(&config);
}

static void test_valid(void **state) {
	(void)state;
	write_file("file", "");
	write_file("users", "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n");
	for(size_t at = 0; at < COUNT(valid); at++) {
		check_valid(&valid[at]);
	}
}

struct invalid {
	const char *name;
	const char *value;
	const char *part; /* of the message */
};

static const struct invalid invalid[] = {
	{"port", "", "\"\" is not a port number (use 0 to 65535)"},
	{"port", "abc", "\"abc\" is not a port number"},
	{"port", "80x", "\"80x\" is not a port number"},
	{"port", "-1", "\"-1\" is not a port number"},
	{"port", "+1", "\"+1\" is not a port number"},
	{"port", "0x50", "\"0x50\" is not a port number"},
	{"port", "1K", "\"1K\" is not a port number"},
	{"port", "1.0", "\"1.0\" is not a port number"},
	{"port", "65536", "\"65536\" is out of range (0 to 65535)"},
	{"port", "18446744073709551616", "out of range (0 to 65535)"},
	{"port", "18446744073709559617", "out of range (0 to 65535)"},
	{"legacy", ",", "\",\" must be a list such as hixie,hybi,flash"},
	{"legacy", "Hixie", "\"Hixie\" must be a list"},
	{"legacy", "hixie flash", "\"hixie flash\" must be a list"},
	{"legacy", "hixie,none", "\"hixie,none\" must be a list"},
	{"legacy-flash-domain", "a b", "\"a b\" must be a domain such as example.org"},
	{"legacy-flash-domain", "<x>", "\"<x>\" must be a domain"},
	{"legacy-flash-ports", "0", "\"0\" must be ports and ranges"},
	{"legacy-flash-ports", "80-", "\"80-\" must be ports"},
	{"legacy-flash-ports", "90-80", "\"90-80\" must be ports"},
	{"legacy-flash-ports", "80,,81", "\"80,,81\" must be ports"},
	{"legacy-flash-ports", "*,80", "\"*,80\" must be ports"},
	{"listen", "", "\"\" is not an address"},
	{"listen", "127.0.0.1:x", "\"127.0.0.1:x\" has an invalid port (use 0 to 65535)"},
	{"listen", "[::1]:65536", "\"[::1]:65536\" has an invalid port"},
	{"listen", "[::1]80", "\"[::1]80\" is not an address"},
	{"listen", "[localhost]", "is not an IPv6 address"},
	{"listen", "300.1.1.1", "\"300.1.1.1\" is not an address"},
	{"listen", "1:2", "\"1:2\" is not an address"},
	{"listen", "::g", "\"::g\" is not an address"},
	{"listen", "fe80::1%", "is not an address"},
	{"listen", "-x", "is not an address"},
	{"listen", "a..b", "is not an address"},
	{"listen", "a b", "is not an address"},
	{"listen", "unix:", "is not an absolute path"},
	{"listen", "unix:x", "is not an absolute path"},
	{"listen", "unix:/", "is not an absolute path"},
	{"listen", "unix:@", "is not an absolute path"},
	{"listen", "unix:/x,mode=", "has an invalid mode"},
	{"listen", "unix:/x,mode=0888", "has an invalid mode"},
	{"listen", "unix:/x,mode=1777", "has an invalid mode"},
	{"listen", "unix:/x,mode=0660x", "has an invalid mode"},
	{"listen", "unix:" LONG_PATH "6", "at most 107 bytes"},
	{"origin", "", "\"\": "},
	{"origin", "example.org", "\"example.org\": "},
	{"origin", "https://x/y", "\"https://x/y\": "},
	{"trusted-proxy", "localhost", "\"localhost\" is not a network (use 192.0.2.0/24"},
	{"trusted-proxy", "*", "is not a network"},
	{"trusted-proxy", "10.0.0.0/33", "\"10.0.0.0/33\" has an invalid prefix length"},
	{"trusted-proxy", "10.0.0.1/8", "\"10.0.0.1/8\" has bits behind its prefix"},
	{"proxy-protocol", "on", "\"on\" is neither yes nor no"},
	{"proxy-protocol", "", "\"\" is neither yes nor no"},
	{"proxy-protocol", "yes", "needs a trusted-proxy"},
	{"web", "/nonexistent/page",
		"\"/nonexistent/page\" does not exist (use a directory or a file)"},
	{"web", "/dev/null", "\"/dev/null\" is neither a directory nor a regular file"},
	{"auth-file", "/nonexistent/users", "/nonexistent/users: No such file or directory"},
	{"auth-file", "/", "/: Is a directory"},
	{"auth-file", "/dev/null", "/dev/null: Not a regular file"},
	{"web-auth", "", "\"\" is neither yes nor no"},
	{"web-auth", "true", "\"true\" is neither yes nor no"},
	{"web-listing", "1", "\"1\" is neither yes nor no"},
	{"web-listing", "", "\"\" is neither yes nor no"},
	{"health", "healthz", "\"healthz\" is not a path (it has to begin with /)"},
	{"health", "/a b", "\"/a b\" is not a URL path"},
	{"health", "/a?b", "\"/a?b\" is not a URL path"},
	{"health", "/\xc3\xa4", "is not a URL path"},
	{"backend", "../x", "\"../x\" is not the name of a backend (use letters, digits, _ and -)"},
	{"backend", "a b", "is not the name of a backend"},
	{"backend", "no_such", "backend_no_such.so"},
	{"plugin-path", "", "is not an absolute path (it has to begin with /)"},
	{"plugin-path", "plugins", "\"plugins\" is not an absolute path"},
	{"resolver", "localhost", "\"localhost\" is not a list of name servers (use ADDR[:PORT]"},
	{"resolver", "1.1.1.1:", "is not a list of name servers"},
	{"resolver", "1.1.1.1:0", "is not a list of name servers"},
	{"resolver", "1.1.1.1:65536", "is not a list of name servers"},
	{"resolver", "1.1.1.1:x", "is not a list of name servers"},
	{"resolver", "1.1.1.1,", "is not a list of name servers"},
	{"resolver", ",1.1.1.1", "is not a list of name servers"},
	{"resolver", "1.1.1.1, 1.1.1.2", "is not a list of name servers"},
	{"resolver", "[1.1.1.1]:53", "is not a list of name servers"},
	{"resolver", "[::1", "is not a list of name servers"},
	{"resolver", "[::1]x", "is not a list of name servers"},
	{"resolver", LONG_PATH, "is not a list of name servers"},
	{"ping", "", "\"\" is not a time (use seconds, or a number with ms, s, m or h)"},
	{"ping", "abc", "\"abc\" is not a time"},
	{"ping", "auto", "\"auto\" is not a time"},
	{"ping", "-1", "\"-1\" is not a time"},
	{"ping", "1 s", "\"1 s\" is not a time"},
	{"ping", "1S", "\"1S\" is not a time"},
	{"ping", "1d", "\"1d\" is not a time"},
	{"ping", "1sx", "\"1sx\" is not a time"},
	{"ping", ".5", "\".5\" is not a time"},
	{"ping", "1.", "\"1.\" is not a time"},
	{"ping", "1.2345", "\"1.2345\" is not a time"},
	{"ping", "0.5ms", "\"0.5ms\" is not a time"},
	{"ping", "1.18446744073709551617", "is not a time"},
	{"ping", "4381h", "\"4381h\" is out of range (0 to 15768000)"},
	{"ping", "18446744073709551615h", "is out of range"},
	{"ping", "5124095576030.432h", "is out of range"},
	{"pong-timeout", "Auto",
		"\"Auto\" is not a time (use seconds, or a number with ms, s, m or h, or auto)"},
	{"handshake-timeout", "0", "\"0\" is out of range (1ms to 31536000)"},
	{"connect-timeout", "0", "\"0\" is out of range"},
	{"close-timeout", "0", "\"0\" is out of range"},
	{"idle-timeout", "x", "\"x\" is not a time"},
	{"stall-timeout", "8761h", "\"8761h\" is out of range"},
	{"grace", "1e3", "\"1e3\" is not a time"},
	{"max-message", "0", "\"0\" is out of range (1 to 1G)"},
	{"max-message", "2G", "\"2G\" is out of range (1 to 1G)"},
	{"max-message", "17179869184G", "is out of range (1 to 1G)"},
	{"max-message", "1.5M", "\"1.5M\" is not a size (use bytes, or a number with K, M or G)"},
	{"max-message", "K", "\"K\" is not a size"},
	{"max-message", "1KB", "\"1KB\" is not a size"},
	{"max-message", "1T", "\"1T\" is not a size"},
	{"max-clients", "many", "\"many\" is not a number (use digits only)"},
	{"max-clients", "1K", "\"1K\" is not a number"},
	{"max-clients", "10000001", "is out of range (0 to 10000000)"},
	{"max-clients-per-ip", "-1", "\"-1\" is not a number"},
	{"buffer-high", "64K", "buffer-low (64K) has to be below buffer-high (64K)"},
	{"buffer-low", "1M", "buffer-low (1M) has to be below buffer-high (256K)"},
	{"log-level", "", "\"\" is not a level (use error, warning, notice, info or debug)"},
	{"log-level", "INFO", "\"INFO\" is not a level"},
	{"log-target", "/x", "\"/x\" is not a target of the log (use stderr, syslog"},
	{"log-format", "JSON", "\"JSON\" is none of text, json"},
	{"access-log", "on", "\"on\" is none of off, close, both"},
	{"record", "x", "\"x\" is not an absolute path"},
	{"record-format", "mp4", "\"mp4\" is none of novnc, jsonl, pcapng"},
};

static void check_invalid(const struct invalid *row) {
	char joined[512], file[512], place[512];

	snprintf(joined, sizeof(joined), "--%s=%s", row->name, row->value);
	snprintf(place, sizeof(place), "error: command line: --%s: ", row->name);
	if(strcmp(row->name, "backend") == 0 && strstr(row->part, ".so")) {
		snprintf(place, sizeof(place), "error: command line: backend: ");
	}
	BAD(1, row->part, joined);
	assert_non_null(strstr(output, place));
	snprintf(file, sizeof(file), "# test\n[core]\n%s = %s\n", row->name, row->value);
	write_file("invalid.conf", file);
	snprintf(place, sizeof(place), "error: invalid.conf:3: %s: ", row->name);
	BAD(1, row->part, "-v", "--config", "invalid.conf");
	assert_non_null(strstr(output, place));
}

static void test_invalid(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(invalid); at++) {
		check_invalid(&invalid[at]);
	}
}

static void test_help(void **state) {
	(void)state;
	struct capture capture = capture_start(STDOUT_FILENO);
	print_help();
	capture_stop(&capture);
	for(size_t at = 0; at < COUNT(valid); at++) {
		char name[64];
		snprintf(name, sizeof(name), "--%s", valid[at].name);
		const char *found = strstr(output, name);
		assert_non_null(found);
		assert_true(
			found[strlen(name)] == '=' || strncmp(found + strlen(name), "[=", 2) == 0);
	}
	static const char *const others[] = {"-c  KEY=VALUE", "--config=FILE", "-v, --verbose",
		"-q, --quiet", "-t, --test-config", "--dump-config", "-V, --version", "-h, --help",
		"(default: 8001)", "(default: 256K)"};
	for(size_t at = 0; at < COUNT(others); at++) {
		assert_non_null(strstr(output, others[at]));
	}
	for(const char *line = output; *line != '\0'; line += strcspn(line, "\n") + 1) {
		assert_in_range(strcspn(line, "\n"), 0, 80);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_help),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
