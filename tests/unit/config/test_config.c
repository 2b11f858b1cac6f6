/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading a configuration: defaults, files and their errors, the order of options, and that a dump
 * reads back as the configuration that was dumped.
 */
#include "reading.h"

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
	assert_int_equal(settings->drain_delay_ms, 0);
	assert_int_equal(settings->drain_time_ms, 0);
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
	{"[core]\nport = 1 # one\n", 0, 1, "broken.conf:2: port: \"1 # one\" is not a port"},
	{"[core]\nport = 1\0\n", 17, 1, "broken.conf:2: syntax: a NUL byte"},
	{"[core]\r\n\r\nport = x\r\n", 0, 1, "broken.conf:3: port: \"x\" is not a port number"},
	{"[core]\nport = x\nping = y\nz\n[backend]\nno = 1\n", 0, 4, "broken.conf:6: no: "},
	{"[backend]\nnope = 1\n", 0, 1,
		"broken.conf:2: nope: the backend (built in) has no such option"},
	{"[backend]\nframing = nope\nhost = x\n", 0, 1, "broken.conf:2: framing: "},
	{"[backend]\nframing=separator\nhost=x\nframing-config=\\xZZ\n", 0, 1,
		"broken.conf:4: framing-config: "},
	{"[core]\nbackend = nope\n[backend]\nhost = x\n", 0, 1, "broken.conf:2: backend: "},
	{"[core]\nbackend = nope\nbackend =\n[backend]\nhost = x\n", 0, 1,
		"broken.conf:2: backend: "},
};

static void test_broken_files(void **state) {
	(void)state;
	for(size_t at = 0; at < COUNT(broken); at++) {
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
	BAD(1, "cannot read \"fifo\": Not a regular file", "fifo");
	BAD(1, "cannot read \"/dev/zero\": Not a regular file", "/dev/zero");
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
	BAD(1, "command line: -c: \"host\" is not an option (use KEY=VALUE)", "-c", "host");
	BAD(1, "command line: -c: \"=x\" is not an option (use KEY=VALUE)", "-c=x");
	BAD(1, "command line: -c: \" a=x\" is not an option", "-c", " a=x");
	BAD(1, "command line: -c: \"#a=x\" is not an option", "-c", "#a=x");
	BAD(1, "command line: -c: the value contains a line break", "-c", "host=a\nb");
	BAD(1, "command line: --web: the value contains a line break", "--web", "a\n");
	BAD(1, "command line: -c: the value contains a line break or is too long", "-c", huge);
	BAD(1, "command line: -c nope: the backend (built in) has no such option", "-cnope=1");
	BAD(1, "command line: -c framing: ", "-c", "framing=nope");
	BAD(1, "command line: --verbose: takes no value", "--verbose=1");
	BAD(1, "command line: --: a program is missing", "-v", "--");
	BAD(1, "command line: --: \"/nonexistent\": there is no such program", "--wrap=stdio", "--",
		"/nonexistent");
	BAD(1, "command line: --: \"/etc\": this is not a program", "--wrap=stdio", "--", "/etc");
	BAD(1, "command line: --pty: needs wrap = stdio", "--pty=yes", "--wrap=unix", "--", "sh");
	BAD(1, "command line: --wrap-mode: has no effect", "--wrap-mode=ignore", "--wrap=stdio",
		"--", "sh");
	BAD(1, "command line: --wrap-port: needs wrap = port", "--wrap-port=1", "--wrap=unix", "--",
		"sh");
	BAD(1, "command line: host: contradicts the program", "-c", "host=echo://", "--wrap=unix",
		"--", "sh");
	BAD(1, "command line: FILE: cannot read \"x.conf\": No such file", "-v", "x.conf");
	BAD(2, "command line: y: no option (only one argument may be a configuration file", "x",
		"y");
	BAD(1, "command line: FILE: cannot read \"-\": No such file", "-v", "-");
	BAD(4, "command line: -k: \"y\" is not a time", "-px", "--foo", "-ky", "-b", "a/b");
}

static void test_flags(void **state) {
	static const struct {
		const char *argument;
		enum config_action action;
	} flags[] = {{"-h", CONFIG_HELP}, {"--help", CONFIG_HELP}, {"-V", CONFIG_VERSION},
		{"--version", CONFIG_VERSION}, {"-t", CONFIG_TEST}, {"--test-config", CONFIG_TEST},
		{"--dump-config", CONFIG_DUMP}, {"-vt", CONFIG_TEST}};

	(void)state;
	for(size_t at = 0; at < COUNT(flags); at++) {
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
	for(size_t at = 0; at < COUNT(rows); at++) {
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
static void check_dump(const char *text, const char *const *warnings) {
	write_file("dump.conf", text);
	struct config config = read_warned(
		(const char *const[]){"--dump-config", "--config", "dump.conf", NULL}, warnings);
	dump(&config);
	assert_string_equal(output, text);
	config_free(&config);
}

static void test_dump(void **state) {
	static char first[OUTPUT_MAX];
	static const char *const warnings[] = {
		"plugin-path: \"/ x \": ", "protocol: \"#;[\" is not the name", NULL};
	struct config config = GOOD("--dump-config");

	(void)state;
	dump(&config);
	config_free(&config);
	memcpy(first, output, sizeof(first));
	check_dump(first, warnings + COUNT(warnings) - 1);
	config = read_warned(
		(const char *const[]){"-p9", "-l::1", "-l", "unix:/x,mode=0600", "--origin=same",
			"--origin=null", "--origin=https://*.a.org", "--origin=http://b:8080",
			"--web=/", "-k1.234", "--pong-timeout=90m", "--plugin-path=/ x ",
			"--resolver=[::1]:5353", "--max-message=1000000", "--buffer-high=1025",
			"--buffer-low=1024", "-vv", "-c", "host=unix:///a:1 ", "-c",
			"framing=separator", "-cframing-config=\"\"", "-cprotocol=#;[", NULL},
		warnings);
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
	check_dump(first, warnings);
	config = read_warned((const char *const[]){"dump.conf", NULL}, warnings);
	assert_string_equal(config.backend_option[0], "host=unix:///a:1 ");
	assert_string_equal(config.backend_option[3], "framing-config=\"\"");
	assert_string_equal(config.settings.plugin_path, "/ x ");
	config_free(&config);
}

/* No prefix of a file does harm, and after each of them the whole file is read as ever. */
static void test_prefixes(void **state) {
	static const char text[] =
		"# x\n[core]\r\nport = 80\nlisten = ::1\nlisten = unix:/a,mode=0600\n"
		"origin = https://*.a.org:1\nping = 1.5m\nresolver = 1.1.1.1,[::1]:2\n"
		"buffer-low = 4K\nplugin-path = /\nlog-level = debug\n"
		"[backend]\nhost = a\nframing = newline\nframing-config = \"lf\"";
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
	write_file("path.conf", "[core]\nplugin-path = /proc\nport = 1\n");
	struct config running = GOOD("path.conf");
	struct capture capture = capture_start(STDERR_FILENO);
	assert_int_equal(config_read_again(&new, &running, 2, argv), 0);
	capture_stop(&capture);
	assert_string_equal(output, "");
	config_free(&new);
	write_file("path.conf", "[core]\nplugin-path = /sys\nport = 2\n");
	capture = capture_start(STDERR_FILENO);
	assert_int_equal(config_read_again(&new, &running, 2, argv), 0);
	capture_stop(&capture);
	assert_non_null(strstr(output, "notice: path.conf:2: plugin-path: changes only when"));
	assert_int_equal(count_lines(output), 1);
	assert_string_equal(new.settings.plugin_path, "/proc");
	assert_int_equal(new.settings.port, 2);
	config_free(&new);
	config_free(&running);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
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
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
