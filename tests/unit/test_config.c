/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration: every option in every place it can be given, the text of every error, the
 * order of options, and that a dump reads back as what was dumped.
 */
#include "builtins.h"
#include "config.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define OUTPUT_MAX 65536
#define ARGUMENTS_MAX 24

/* The working directory of all tests, so that file names in messages are short. */
static char directory[] = "/tmp/test_config.XXXXXX";

/* What the last call wrote to standard error or output. */
static char output[OUTPUT_MAX];

struct capture {
	int fd; /* that is captured */
	int saved;
	int file;
};

static struct capture capture_start(int fd) {
	struct capture capture = {fd, dup(fd), memfd_create("output", MFD_CLOEXEC)};
	fflush(NULL);
	assert_true(capture.saved >= 0 && capture.file >= 0);
	assert_int_equal(dup2(capture.file, fd), fd);
	return capture;
}

static void capture_stop(struct capture *capture) {
	fflush(NULL);
	dup2(capture->saved, capture->fd);
	ssize_t len = pread(capture->file, output, OUTPUT_MAX - 1, 0);
	assert_true(len >= 0);
	output[len] = '\0';
	close(capture->saved);
	close(capture->file);
}

/* Reads the arguments (NULL at the end, without the program's name); log lines are in `output`. */
static int read_arguments(struct config *config, const char *const *arguments) {
	char *argv[ARGUMENTS_MAX + 1] = {strdup("websocksy")};
	int argc = 1;

	for(; arguments[argc - 1]; argc++) {
		assert_true(argc < ARGUMENTS_MAX);
		argv[argc] = strdup(arguments[argc - 1]);
	}
	struct capture capture = capture_start(STDERR_FILENO);
	int result = config_read(config, argc, argv);
	capture_stop(&capture);
	while(argc > 0) {
		free(argv[--argc]);
	}
	return result;
}
#define READ(config, ...) read_arguments(config, (const char *const[]){__VA_ARGS__, NULL})

/* Reads what has to be right. */
static struct config read_good(const char *const *arguments) {
	struct config config;
	int result = read_arguments(&config, arguments);

	if(result) {
		print_error("%s", output);
	}
	assert_int_equal(result, 0);
	assert_string_equal(output, "");
	return config;
}
#define GOOD(...) read_good((const char *const[]){__VA_ARGS__, NULL})

static size_t count_lines(const char *text) {
	size_t lines = 0;

	for(; *text != '\0'; text++) {
		lines += *text == '\n';
	}
	return lines;
}

/* Reads what has to be wrong, with one line for each error; this must be part of one of them. */
static void read_bad(const char *const *arguments, size_t errors, const char *part) {
	struct config config;

	assert_int_equal(read_arguments(&config, arguments), -EINVAL);
	if(!strstr(output, part) || count_lines(output) != errors) {
		print_error("expected %zu lines and \"%s\" in:\n%s", errors, part, output);
	}
	assert_non_null(strstr(output, part));
	assert_int_equal(count_lines(output), errors);
	config_free(&config);
}
#define BAD(errors, part, ...) read_bad((const char *const[]){__VA_ARGS__, NULL}, errors, part)

static void write_bytes(const char *name, const char *text, size_t len) {
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void write_file(const char *name, const char *text) {
	write_bytes(name, text, strlen(text));
}

/* Leaves the dump in `output`. */
static void dump(const struct config *config) {
	struct capture capture = capture_start(STDOUT_FILENO);
	config_dump(config);
	capture_stop(&capture);
}

static bool has_line(const char *text, const char *line) {
	size_t len = strlen(line);

	for(const char *at = text; (at = strstr(at, line)); at++) {
		if((at == text || at[-1] == '\n') && at[len] == '\n') {
			return true;
		}
	}
	return false;
}

static void assert_line(const char *line) {
	if(!has_line(output, line)) {
		print_error("no line \"%s\" in:\n%s", line, output);
	}
	assert_true(has_line(output, line));
}

static void test_defaults(void **state) {
	struct config config;

	(void)state;
	assert_int_equal(read_arguments(&config, (const char *const[]){NULL}), 0);
	const struct settings *settings = &config.settings;
	assert_int_equal(config.action, CONFIG_RUN);
	assert_non_null(config.backend);
	assert_null(config.backend_name);
	assert_int_equal(config.backend_options, 0);
	assert_int_equal(settings->port, 8001);
	assert_int_equal(settings->listens, 0);
	assert_int_equal(settings->ping_ms, 30000);
	assert_true(settings->pong_timeout_ms == SETTINGS_PONG_TWICE_PING);
	assert_int_equal(settings->handshake_timeout_ms, 10000);
	assert_int_equal(settings->connect_timeout_ms, 10000);
	assert_int_equal(settings->close_timeout_ms, 5000);
	assert_int_equal(settings->idle_timeout_ms, 0);
	assert_int_equal(settings->stall_timeout_ms, 60000);
	assert_int_equal(settings->grace_ms, 10000);
	assert_int_equal(settings->max_message, 16 << 20);
	assert_int_equal(settings->max_clients, 0);
	assert_int_equal(settings->max_clients_per_ip, 0);
	assert_int_equal(settings->buffer_high, 256 << 10);
	assert_int_equal(settings->buffer_low, 64 << 10);
	assert_int_equal(settings->origins, 0);
	assert_int_equal(settings->trusted.count, 0);
	assert_false(settings->proxy_protocol);
	assert_null(settings->web);
	assert_null(settings->auth_file);
	assert_null(config.users);
	assert_true(settings->web_auth);
	assert_false(settings->web_listing);
	assert_null(settings->health);
	assert_null(settings->resolver);
	assert_int_equal(settings->plugin_path[0], '/');
	assert_int_equal(settings->log_level, LOG_INFO);
	config_free(&config);
}

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
	{"origin", NULL, "same", "origin = same"},
	{"origin", NULL, "null", "origin = null"},
	{"origin", NULL, "*", "origin = *"},
	{"web", NULL, "/", "web = /"},
	{"web", NULL, "file", "web = file"},
	{"web", NULL, "", "web ="},
	{"auth-file", NULL, "users", "auth-file = users"},
	{"auth-file", NULL, "", "auth-file ="},
	{"web-auth", NULL, "yes", "web-auth = yes"},
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
};

/* The option in each of the ways to give it has this line in its dump. */
static void check_valid(const struct valid *row) {
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

	for(size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		struct config config = read_good(ways[way]);
		dump(&config);
		assert_line(row->line);
		config_free(&config);
	}
	char long_name[64];
	snprintf(long_name, sizeof(long_name), "--%s", row->name);
	struct config config = GOOD(long_name, row->value);
	dump(&config);
	assert_line(row->line);
	config_free(&config);
}

static void test_valid(void **state) {
	(void)state;
	write_file("file", "");
	write_file("users", "alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n");
	for(size_t at = 0; at < sizeof(valid) / sizeof(valid[0]); at++) {
		check_valid(&valid[at]);
	}
}

struct invalid {
	const char *name;
	const char *value;
	const char *part; /* of the message */
};

static const struct invalid invalid[] = {
	{"port", "", "\"\" is no port number (use 0 to 65535)"},
	{"port", "abc", "\"abc\" is no port number"},
	{"port", "80x", "\"80x\" is no port number"},
	{"port", "-1", "\"-1\" is no port number"},
	{"port", "+1", "\"+1\" is no port number"},
	{"port", "0x50", "\"0x50\" is no port number"},
	{"port", "1K", "\"1K\" is no port number"},
	{"port", "1.0", "\"1.0\" is no port number"},
	{"port", "65536", "\"65536\" is out of range (0 to 65535)"},
	{"port", "18446744073709551616", "out of range (0 to 65535)"},
	{"port", "18446744073709559617", "out of range (0 to 65535)"},
	{"listen", "", "\"\" is not an address"},
	{"listen", "127.0.0.1:80",
		"\"127.0.0.1:80\" is not an address (the port is a separate option)"},
	{"listen", "[::1]:80", "\"[::1]:80\" is not an address"},
	{"listen", "[localhost]", "is no IPv6 address"},
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
	{"backend", "../x", "\"../x\" is no name of a backend (use letters, digits, _ and -)"},
	{"backend", "a b", "is no name of a backend"},
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
	{"ping", "", "\"\" is no time (use seconds, or a number with ms, s, m or h)"},
	{"ping", "abc", "\"abc\" is no time"},
	{"ping", "auto", "\"auto\" is no time"},
	{"ping", "-1", "\"-1\" is no time"},
	{"ping", "1 s", "\"1 s\" is no time"},
	{"ping", "1S", "\"1S\" is no time"},
	{"ping", "1d", "\"1d\" is no time"},
	{"ping", "1sx", "\"1sx\" is no time"},
	{"ping", ".5", "\".5\" is no time"},
	{"ping", "1.", "\"1.\" is no time"},
	{"ping", "1.2345", "\"1.2345\" is no time"},
	{"ping", "0.5ms", "\"0.5ms\" is no time"},
	{"ping", "1.18446744073709551617", "is no time"},
	{"ping", "4381h", "\"4381h\" is out of range (0 to 15768000)"},
	{"ping", "18446744073709551615h", "is out of range"},
	{"ping", "5124095576030.432h", "is out of range"},
	{"pong-timeout", "Auto",
		"\"Auto\" is no time (use seconds, or a number with ms, s, m or h, or auto)"},
	{"handshake-timeout", "0", "\"0\" is out of range (1ms to 31536000)"},
	{"connect-timeout", "0", "\"0\" is out of range"},
	{"close-timeout", "0", "\"0\" is out of range"},
	{"idle-timeout", "x", "\"x\" is no time"},
	{"stall-timeout", "8761h", "\"8761h\" is out of range"},
	{"grace", "1e3", "\"1e3\" is no time"},
	{"max-message", "0", "\"0\" is out of range (1 to 1G)"},
	{"max-message", "2G", "\"2G\" is out of range (1 to 1G)"},
	{"max-message", "17179869184G", "is out of range (1 to 1G)"},
	{"max-message", "1.5M", "\"1.5M\" is no size (use bytes, or a number with K, M or G)"},
	{"max-message", "K", "\"K\" is no size"},
	{"max-message", "1KB", "\"1KB\" is no size"},
	{"max-message", "1T", "\"1T\" is no size"},
	{"max-clients", "many", "\"many\" is no number (use digits only)"},
	{"max-clients", "1K", "\"1K\" is no number"},
	{"max-clients", "10000001", "is out of range (0 to 10000000)"},
	{"max-clients-per-ip", "-1", "\"-1\" is no number"},
	{"buffer-high", "64K", "buffer-low (64K) has to be below buffer-high (64K)"},
	{"buffer-low", "1M", "buffer-low (1M) has to be below buffer-high (256K)"},
	{"log-level", "", "\"\" is no level (use error, warning, notice, info or debug)"},
	{"log-level", "INFO", "\"INFO\" is no level"},
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
	for(size_t at = 0; at < sizeof(invalid) / sizeof(invalid[0]); at++) {
		check_invalid(&invalid[at]);
	}
}

/* Which of the two contradicting marks came later decides which line is named. */
static void test_marks(void **state) {
	(void)state;
	write_file("marks.conf", "[core]\nbuffer-high = 10K\nbuffer-low = 20K\n");
	BAD(1, "marks.conf:3: buffer-low: buffer-low (20K) has to", "marks.conf");
	write_file("marks.conf", "[core]\nbuffer-low = 300K\nbuffer-high = 200K\n");
	BAD(1, "marks.conf:3: buffer-high: buffer-low (300K) has to", "marks.conf");
	write_file("marks.conf", "[core]\nbuffer-low = 300K\n");
	BAD(1, "marks.conf:2: buffer-low: ", "--buffer-high=200K", "--config=marks.conf");
	BAD(1, "command line: --buffer-high: ", "--config=marks.conf", "--buffer-high=200K");
	struct config config = GOOD("--config=marks.conf", "--buffer-high=1M");
	config_free(&config);
}

struct broken {
	const char *text;
	size_t len; /* 0: strlen */
	size_t errors;
	const char *part;
};

static const struct broken broken[] = {
	{"port = 1\n", 0, 1, "broken.conf:1: syntax: an option before any section"},
	{"[core]\n[other]\nport = x\n", 0, 1,
		"broken.conf:2: other: unknown section (use [core] or"},
	{"[Core]\n", 0, 1, "broken.conf:1: Core: unknown section"},
	{"[core\nport = x\n", 0, 1, "broken.conf:1: syntax: the section name lacks"},
	{"[core] # c\n", 0, 1, "broken.conf:1: syntax: nothing may follow"},
	{"[core]\n\nport\n", 0, 1, "broken.conf:3: syntax: no \"=\" in this line"},
	{"[core]\n= 1\n", 0, 1, "broken.conf:2: syntax: no option name"},
	{"[core]\nprot = 1\n", 0, 1, "broken.conf:2: prot: unknown option in [core]"},
	{"[core]\nPort = 1\n", 0, 1, "broken.conf:2: Port: unknown option in [core]"},
	{"[core]\nhost = x\n", 0, 1, "broken.conf:2: host: unknown option in [core]"},
	{"[core]\nconfig = x\n", 0, 1, "broken.conf:2: config: not possible in a file"},
	{"[core]\nhelp = 1\n", 0, 1, "broken.conf:2: help: not possible in a file"},
	{"[core]\nport = 1 # one\n", 0, 1, "broken.conf:2: port: \"1 # one\" is no port"},
	{"[core]\nport = 1\0\n", 17, 1, "broken.conf:2: syntax: a NUL byte"},
	{"[core]\r\n\r\nport = x\r\n", 0, 1, "broken.conf:3: port: \"x\" is no port number"},
	{"[core]\nport = x\nping = y\nz\n[backend]\nno = 1\n", 0, 4, "broken.conf:6: no: "},
	{"[backend]\nnope = 1\n", 0, 1,
		"broken.conf:2: nope: \"1\" is refused by the backend (built in)"},
	{"[backend]\nframing = nope\nhost = x\n", 0, 1, "broken.conf:2: framing: "},
	{"[backend]\nframing=separator\nhost=x\nframing-config=\\xZZ\n", 0, 1,
		"broken.conf:4: framing-config: "},
	{"[core]\nbackend = nope\n[backend]\nhost = x\n", 0, 1, "broken.conf:2: backend: "},
	{"[core]\nbackend = nope\nbackend =\n[backend]\nhost = x\n", 0, 1,
		"broken.conf:2: backend: "},
};

static void test_broken_files(void **state) {
	(void)state;
	for(size_t at = 0; at < sizeof(broken) / sizeof(broken[0]); at++) {
		size_t len = broken[at].len ? broken[at].len : strlen(broken[at].text);
		write_bytes("broken.conf", broken[at].text, len);
		BAD(broken[at].errors, broken[at].part, "broken.conf");
	}
}

static void test_unreadable_files(void **state) {
	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	BAD(1, "command line: FILE: cannot read \"missing.conf\": No such file", "missing.conf");
	BAD(1, "command line: --config: cannot read \"missing.conf\": No such file", "--config",
		"missing.conf");
	BAD(1, "cannot read \"/\": Is a directory", "/");
	BAD(1, "cannot read \"fifo\": It is no regular file", "fifo");
	BAD(1, "cannot read \"/dev/zero\": It is no regular file", "/dev/zero");
	BAD(1, "cannot read \"\": No such file", "");
	write_file("huge.conf", "");
	assert_int_equal(truncate("huge.conf", ((off_t)1 << 20) + 1), 0);
	BAD(1, "cannot read \"huge.conf\": File too large", "huge.conf");
}

static void test_command_line_errors(void **state) {
	static char huge[70000];

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	memcpy(huge, "host=", 5);
	BAD(1, "command line: --prot: unknown option (--help lists all)", "--prot=1");
	BAD(1, "command line: -x: unknown option", "-x");
	BAD(1, "command line: -x: unknown option", "-vx");
	BAD(1, "command line: --backend-option: unknown option", "--backend-option=a=b");
	BAD(1, "command line: --por: unknown option", "--por=1");
	BAD(1, "command line: --port: a value is missing (PORT)", "--port");
	BAD(1, "command line: -p: a value is missing (PORT)", "-v", "-p");
	BAD(1, "command line: -c: a value is missing (KEY=VALUE)", "-c");
	BAD(1, "command line: -c: \"host\" is no option (use KEY=VALUE)", "-c", "host");
	BAD(1, "command line: -c: \"=x\" is no option (use KEY=VALUE)", "-c=x");
	BAD(1, "command line: -c: \" a=x\" is no option", "-c", " a=x");
	BAD(1, "command line: -c: \"#a=x\" is no option", "-c", "#a=x");
	BAD(1, "command line: -c: the value holds a line break", "-c", "host=a\nb");
	BAD(1, "command line: --web: the value holds a line break", "--web", "a\n");
	BAD(1, "command line: -c: the value holds a line break or is too long", "-c", huge);
	BAD(1, "command line: -c nope: \"1\" is refused by the backend (built in)", "-cnope=1");
	BAD(1, "command line: -c framing: ", "-c", "framing=nope");
	BAD(1, "command line: --verbose: takes no value", "--verbose=1");
	BAD(1, "command line: --: starting a program is not supported", "--", "cat");
	BAD(1, "command line: --: starting a program is not supported", "-v", "--");
	BAD(1, "command line: FILE: cannot read \"x.conf\": No such file", "-v", "x.conf");
	BAD(2, "command line: y: no option (only one argument may be a configuration file", "x",
		"y");
	BAD(1, "command line: FILE: cannot read \"-\": No such file", "-v", "-");
	BAD(4, "command line: -k: \"y\" is no time", "-px", "--foo", "-ky", "-b", "a/b");
}

static void test_flags(void **state) {
	static const struct {
		const char *argument;
		enum config_action action;
	} flags[] = {{"-h", CONFIG_HELP}, {"--help", CONFIG_HELP}, {"-V", CONFIG_VERSION},
		{"--version", CONFIG_VERSION}, {"-t", CONFIG_TEST}, {"--test-config", CONFIG_TEST},
		{"--dump-config", CONFIG_DUMP}, {"-vt", CONFIG_TEST}};

	(void)state;
	for(size_t at = 0; at < sizeof(flags) / sizeof(flags[0]); at++) {
		struct config config = GOOD(flags[at].argument, "-p1");
		bool stops = flags[at].action == CONFIG_HELP || flags[at].action == CONFIG_VERSION;
		assert_int_equal(config.action, flags[at].action);
		assert_int_equal(config.settings.port, stops ? 8001 : 1);
		assert_int_equal(config.backend == NULL, stops);
		config_free(&config);
	}
	struct config config = GOOD("-h", "--nonsense");
	config_free(&config);
	config = GOOD("-hx");
	config_free(&config);
}

static void test_levels(void **state) {
	static const struct {
		const char *argument[4];
		enum log_level level;
	} rows[] = {{{"-v"}, LOG_DEBUG}, {{"-vvv"}, LOG_DEBUG}, {{"-q"}, LOG_NOTICE},
		{{"-qq", "-q"}, LOG_ERROR}, {{"-qqqqq"}, LOG_ERROR},
		{{"-q", "--verbose"}, LOG_INFO}, {{"--quiet", "--log-level=error"}, LOG_ERROR},
		{{"--log-level=error", "-v"}, LOG_WARNING}, {{"-vp1", "-q"}, LOG_INFO}};

	(void)state;
	for(size_t at = 0; at < sizeof(rows) / sizeof(rows[0]); at++) {
		struct config config = read_good(rows[at].argument);
		assert_int_equal(config.settings.log_level, rows[at].level);
		config_free(&config);
	}
}

/* Later wins, wherever it stands; lists grow until "*" empties them. */
static void test_order(void **state) {
	(void)state;
	write_file("order.conf",
		"[core]\nport = 10\nlisten = ::1\nport = 11\norigin = null\n"
		"[backend]\nhost = tcp://b\n[core]\nping = 3\n");
	struct config config = GOOD("-p5", "-l", "127.0.0.1", "-c", "host=a", "--config=order.conf",
		"-k", "4", "-l", "::2", "-c", "port=1");
	assert_int_equal(config.settings.port, 11);
	assert_int_equal(config.settings.ping_ms, 4000);
	assert_int_equal(config.settings.listens, 3);
	assert_string_equal(config.settings.listen[0], "127.0.0.1");
	assert_string_equal(config.settings.listen[1], "::1");
	assert_string_equal(config.settings.listen[2], "::2");
	assert_int_equal(config.settings.origins, 1);
	assert_int_equal(config.backend_options, 3);
	assert_string_equal(config.backend_option[0], "host=a");
	assert_string_equal(config.backend_option[1], "host=tcp://b");
	assert_string_equal(config.backend_option[2], "port=1");
	config_free(&config);
	config = GOOD("-p6", "order.conf", "-k", "4");
	assert_int_equal(config.settings.port, 11);
	assert_int_equal(config.settings.ping_ms, 4000);
	config_free(&config);
	config = GOOD("--config=order.conf", "-p6", "--listen=*", "--origin=*", "--listen=::3");
	assert_int_equal(config.settings.port, 6);
	assert_int_equal(config.settings.origins, 0);
	assert_int_equal(config.settings.listens, 1);
	assert_string_equal(config.settings.listen[0], "::3");
	config_free(&config);
}

static void test_backend_drops_options(void **state) {
	struct config config = GOOD("-c", "host=a", "-b", "", "-c", "port=1");

	(void)state;
	assert_int_equal(config.backend_options, 1);
	assert_string_equal(config.backend_option[0], "port=1");
	config_free(&config);
	write_file("drop.conf", "[backend]\nhost = a\nport = 1\n[core]\nbackend =\n");
	assert_int_equal(READ(&config, "drop.conf"), 0);
	assert_int_equal(config.backend_options, 0);
	assert_non_null(
		strstr(output, "warning: drop.conf:5: backend: drops the 2 backend options above"));
	assert_int_equal(count_lines(output), 1);
	config_free(&config);
	write_file("fine.conf", "[core]\nbackend =\n[backend]\nhost = a\n");
	config = GOOD("-c", "host=b", "--config", "fine.conf", "--config=fine.conf");
	assert_int_equal(config.backend_options, 1);
	config_free(&config);
	/*
	 * The value that is refused belongs to a backend that is dropped afterwards: still a
	 * error.
	 */
	BAD(1, "command line: -c nope: ", "-c", "nope=1", "-b", "");
}

/* Reads `text` as a file and expects the same text from its dump. */
static void check_dump(const char *text) {
	write_file("dump.conf", text);
	struct config config = GOOD("--dump-config", "--config", "dump.conf");
	dump(&config);
	assert_string_equal(output, text);
	config_free(&config);
}

static void test_dump(void **state) {
	static char first[OUTPUT_MAX];
	struct config config = GOOD("--dump-config");

	(void)state;
	dump(&config);
	config_free(&config);
	memcpy(first, output, sizeof(first));
	check_dump(first);
	config = GOOD("-p9", "-l::1", "-l", "unix:/x,mode=0600", "--origin=same", "--origin=null",
		"--origin=https://*.a.org", "--origin=http://b:8080", "--web=/", "-k1.234",
		"--pong-timeout=90m", "--plugin-path=/ x ", "--resolver=[::1]:5353",
		"--max-message=1000000", "--buffer-high=1025", "--buffer-low=1024", "-vv", "-c",
		"host=unix:///a:1 ", "-c", "framing=separator", "-cframing-config=\"\"",
		"-cprotocol=#;[");
	dump(&config);
	config_free(&config);
	memcpy(first, output, sizeof(first));
	assert_line("ping = 1234ms");
	assert_line("pong-timeout = 5400");
	assert_line("plugin-path = \"/ x \"");
	assert_line("buffer-high = 1025");
	assert_line("buffer-low = 1K");
	assert_line("host = \"unix:///a:1 \"");
	assert_line("framing-config = \"\"\"\"");
	assert_line("protocol = #;[");
	check_dump(first);
	config = GOOD("dump.conf");
	assert_string_equal(config.backend_option[0], "host=unix:///a:1 ");
	assert_string_equal(config.backend_option[2], "framing-config=\"\"");
	assert_string_equal(config.settings.plugin_path, "/ x ");
	config_free(&config);
}

/* No prefix of a file does harm, and after each of them the whole file is read as ever. */
static void test_prefixes(void **state) {
	static const char text[] =
		"# x\n[core]\r\nport = 80\nlisten = ::1\nlisten = unix:/a,mode=0600\n"
		"origin = https://*.a.org:1\nping = 1.5m\nresolver = 1.1.1.1,[::1]:2\n"
		"buffer-low = 4K\nplugin-path = /nonexistent\nlog-level = debug\n"
		"[backend]\nhost = \" a\"\nframing = newline\nframing-config = lf";
	struct config config;

	(void)state;
	for(size_t len = 0; len < sizeof(text) - 1; len++) {
		write_bytes("prefix.conf", text, len);
		int result = READ(&config, "prefix.conf");
		assert_true(result == 0 || result == -EINVAL);
		assert_int_equal(result != 0, output[0] != '\0');
		config_free(&config);
	}
	write_file("prefix.conf", text);
	config = GOOD("prefix.conf");
	assert_int_equal(config.backend_options, 3);
	config_free(&config);
}

/*
 * A reload reads the same arguments: what the file says now counts, and nothing is left of before.
 */
static void test_reading_again(void **state) {
	write_file("again.conf",
		"[core]\nport = 1\nlisten = ::1\norigin = null\n[backend]\nhost = a\n");
	struct config old = GOOD("again.conf");

	(void)state;
	write_file("again.conf", "[core]\nport = x\n");
	BAD(1, "again.conf:2: port: ", "again.conf");
	write_file("again.conf", "[core]\nlisten = ::2\n");
	struct config new = GOOD("again.conf");
	assert_int_equal(old.settings.port, 1);
	assert_int_equal(new.settings.port, 8001);
	assert_int_equal(new.settings.listens, 1);
	assert_string_equal(new.settings.listen[0], "::2");
	assert_int_equal(new.settings.origins, 0);
	assert_int_equal(new.backend_options, 0);
	config_free(&old);
	config_free(&new);
}

/* The plugins in use stay where they came from. */
static void test_plugin_path_stays(void **state) {
	char *argv[] = {"websocksy", "path.conf", NULL};
	struct config new;

	(void)state;
	write_file("path.conf", "[core]\nplugin-path = /nonexistent/a\nport = 1\n");
	struct config running = GOOD("path.conf");
	struct capture capture = capture_start(STDERR_FILENO);
	assert_int_equal(config_read_again(&new, &running, 2, argv), 0);
	capture_stop(&capture);
	assert_string_equal(output, "");
	config_free(&new);
	write_file("path.conf", "[core]\nplugin-path = /nonexistent/b\nport = 2\n");
	capture = capture_start(STDERR_FILENO);
	assert_int_equal(config_read_again(&new, &running, 2, argv), 0);
	capture_stop(&capture);
	assert_non_null(strstr(output, "notice: path.conf:2: plugin-path: changes only when"));
	assert_int_equal(count_lines(output), 1);
	assert_string_equal(new.settings.plugin_path, "/nonexistent/a");
	assert_int_equal(new.settings.port, 2);
	config_free(&new);
	config_free(&running);
}

static void test_help(void **state) {
	(void)state;
	struct capture capture = capture_start(STDOUT_FILENO);
	config_print_help();
	capture_stop(&capture);
	for(size_t at = 0; at < sizeof(valid) / sizeof(valid[0]); at++) {
		char name[64];
		snprintf(name, sizeof(name), "--%s=", valid[at].name);
		assert_non_null(strstr(output, name));
	}
	static const char *const others[] = {"-c  KEY=VALUE", "--config=FILE", "-v, --verbose",
		"-q, --quiet", "-t, --test-config", "--dump-config", "-V, --version", "-h, --help",
		"(default: 8001)", "(default: 256K)"};
	for(size_t at = 0; at < sizeof(others) / sizeof(others[0]); at++) {
		assert_non_null(strstr(output, others[at]));
	}
	for(const char *line = output; *line != '\0'; line += strcspn(line, "\n") + 1) {
		assert_in_range(strcspn(line, "\n"), 0, 80);
	}
}

static int set_up(void **state) {
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? builtins_register() : -1;
}

static int tear_down(void **state) {
	static const char *const names[] = {"file", "users", "fifo", "valid.conf", "invalid.conf",
		"marks.conf", "broken.conf", "huge.conf", "order.conf", "drop.conf", "fine.conf",
		"dump.conf", "prefix.conf", "again.conf", "path.conf"};

	(void)state;
	plugin_shutdown();
	for(size_t at = 0; at < sizeof(names) / sizeof(names[0]); at++) {
		unlink(names[at]);
	}
	return rmdir(directory);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_broken_files),
		cmocka_unit_test(test_unreadable_files),
		cmocka_unit_test(test_command_line_errors),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_backend_drops_options),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_reading_again),
		cmocka_unit_test(test_plugin_path_stays),
		cmocka_unit_test(test_help),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
