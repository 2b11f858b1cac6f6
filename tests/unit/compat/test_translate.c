/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Command lines of websockify and wsproxy, and the options that they are translated to, or the
 * error. A word is what is between spaces; "@" is the working directory.
 */
#include "compat/translate.h"
#include "support.h"

#include "http/passwords.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_MAX 32
#define LINE_MAX 2048
#define PROTOCOL " -c protocol=binary,base64 -c framing=binary"
#define TARGET PROTOCOL " -c host=tcp://localhost:5900"

static char directory[] = "/tmp/test_compat.XXXXXX";

struct row {
	const char *given;
	const char *expected;
};

static const struct row valid[] = {
	/* the four forms, options before and behind the positional arguments */
	{"6080 localhost:5900", "--port=6080" TARGET},
	{":6080 localhost:5900", "--port=6080" TARGET},
	{"0.0.0.0:6080 localhost:5900", "--listen=0.0.0.0:6080 --port=6080" TARGET},
	{"[::1]:6080 localhost:5900", "--listen=[::1]:6080 --port=6080" TARGET},
	{"6080 [::1]:5900", "--port=6080" PROTOCOL " -c host=tcp://[::1]:5900"},
	{"6080 ::1:5900", "--port=6080" PROTOCOL " -c host=tcp://[::1]:5900"},
	{"6080 :5900", "--port=6080" TARGET},
	{"6080 --heartbeat 30 localhost:5900", "--port=6080 --ping=30" TARGET},
	{"6080 localhost:5900 --heartbeat=30", "--port=6080 --ping=30" TARGET},
	{"--unix-target=s 6080", "--port=6080" PROTOCOL " -c host=unix://@/s"},
	{"6080 --unix-target /run/s", "--port=6080" PROTOCOL " -c host=unix:///run/s"},
	{"6080 -- cat -n", "--port=6080" PROTOCOL " --wrap-mode=exit -- cat -n"},
	{"6080 --wrap-mode=respawn -- cat -v",
		"--port=6080" PROTOCOL " --wrap-mode=respawn -- cat -v"},
	{"--target-config tokens 6080", "--port=6080 --backend=token -c file=@/tokens" PROTOCOL},
	/* where it listens */
	{"--unix-listen l localhost:5900", "--listen=unix:@/l,mode=0600" TARGET},
	{"--unix-listen /l --unix-listen-mode 660 localhost:5900",
		"--listen=unix:/l,mode=0660" TARGET},
	{"--inetd localhost:5900", "--inetd=yes" TARGET},
	{"--inetd -- cat", "--inetd=yes" PROTOCOL " --wrap-mode=exit -- cat"},
	/* TLS */
	{"--cert cert 6080 localhost:5900", "--port=6080 --cert=@/cert" TARGET},
	{"--cert cert --key key --ssl-only 6080 localhost:5900",
		"--port=6080 --cert=@/cert --key=@/key --tls=required" TARGET},
	{"--cert missing 6080 localhost:5900", "--port=6080" TARGET},
	{"--cert cert --ssl-version tlsv1_3 6080 localhost:5900",
		"--port=6080 --cert=@/cert --tls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.3" TARGET},
	{"--cert cert --ssl-version tlsv1_1 6080 localhost:5900",
		"--port=6080 --cert=@/cert --tls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:"
		"+VERS-TLS1.2:+VERS-TLS1.1" TARGET},
	{"--cert cert --ssl-version default 6080 localhost:5900",
		"--port=6080 --cert=@/cert" TARGET},
	{"--cert cert --verify-client --cafile ca 6080 localhost:5900",
		"--port=6080 --cert=@/cert --tls=required --client-ca=@/ca "
		"--client-verify=required" TARGET},
	{"--ssl-target 6080 localhost:5900",
		"--port=6080" PROTOCOL " -c host=tls://localhost:5900"},
	/* pages */
	{"--web pages 6080 localhost:5900",
		"--port=6080 --web=@/pages --web-listing=yes --frame-ancestors=*" TARGET},
	{"--file-only --web /pages 6080 localhost:5900",
		"--port=6080 --web=/pages --web-listing=no --frame-ancestors=*" TARGET},
	/* running */
	{"-D 6080 localhost:5900", "--port=6080 --daemon=yes" TARGET},
	{"-vD 6080 localhost:5900", "--port=6080 --daemon=yes --log-level=debug" TARGET},
	{"--run-once --timeout 5 --idle-timeout 6 6080 localhost:5900",
		"--port=6080 --run-once=yes --exit-after=5 --exit-idle=6" TARGET},
	{"--timeout 0 --idle-timeout 0 6080 localhost:5900", "--port=6080" TARGET},
	{"--heartbeat 5 6080 localhost:5900", "--port=6080 --ping=5 --pong-timeout=60" TARGET},
	{"--heartbeat 0 6080 localhost:5900", "--port=6080 --ping=0 --pong-timeout=60" TARGET},
	{"--record dir/%x 6080 localhost:5900",
		"--port=6080 --record=@/dir/%%x.%i --record-format=novnc" TARGET},
	{"--syslog log.example:514 6080 localhost:5900",
		"--port=6080 --log-target=syslog:log.example:514" TARGET},
	{"--syslog /dev/log --legacy-syslog 6080 localhost:5900",
		"--port=6080 --log-target=syslog:/dev/log" TARGET},
	{"--log-file log 6080 localhost:5900", "--port=6080 --log-target=file:@/log" TARGET},
	{"--libserver -6 6080 localhost:5900", "--port=6080" TARGET},
	{"--traffic 6080 localhost:5900", "--port=6080 --traffic=yes" TARGET},
	{"-v 6080 localhost:5900", "--port=6080 --log-level=debug --traffic=yes" TARGET},
	{"--traffic -D 6080 localhost:5900", "--port=6080 --daemon=yes" TARGET},
	{"-v --inetd localhost:5900", "--inetd=yes --log-level=debug" TARGET},
	{"--dump-config 6080 localhost:5900", "--port=6080 --dump-config" TARGET},
	/* abbreviations, as optparse has them */
	{"--heart 30 6080 localhost:5900", "--port=6080 --ping=30" TARGET},
	/* classes */
	{"--token-plugin TokenFile --token-source tokens 6080",
		"--port=6080 --backend=token -c file=@/tokens" PROTOCOL},
	{"--token-plugin websockify.token_plugins.ReadOnlyTokenFile --token-source pages 6080",
		"--port=6080 --backend=token -c directory=@/pages" PROTOCOL},
	{"--token-plugin TokenFileName --token-source pages --host-token 6080",
		"--port=6080 --backend=token -c names=@/pages -c from=host" PROTOCOL},
	{"--token-plugin UnixDomainSocketDirectory --token-source /run 6080",
		"--port=6080 --backend=token -c sockets=/run" PROTOCOL},
	{"--token-plugin JSONTokenApi --token-source http://a/%s 6080",
		"--port=6080 --backend=http -c url=http://a/%s" PROTOCOL},
	{"--token-plugin JWTTokenApi --token-source key 6080",
		"--port=6080 --backend=jwt -c key=@/key -c alg=HS256 -c alg=HS384 "
		"-c alg=HS512" PROTOCOL},
	{"--token-plugin TokenRedis --token-source r 6080",
		"--port=6080 --backend=redis -c server=r" PROTOCOL},
	{"--token-plugin TokenRedis --token-source r:::secret 6080",
		"--port=6080 --backend=redis -c server=r -c password=secret" PROTOCOL},
	{"--token-plugin TokenRedis --token-source r:6380:1:p:\"a:b\" 6080",
		"--port=6080 --backend=redis -c server=r:6380 -c db=1 -c password=p "
		"-c namespace=a:b" PROTOCOL},
	{"--auth-plugin ClientCertCNAuth --auth-source a --cert cert --verify-client --cafile ca "
	 "6080 localhost:5900",
		"--port=6080 --cert=@/cert --tls=required --client-ca=@/ca "
		"--client-verify=required --client-name=a --web-auth=no" TARGET},
	{"--auth-plugin ExpectOrigin --auth-source https://a.example 6080 localhost:5900",
		"--port=6080 --origin=https://a.example" TARGET},
};

static const struct row wsproxy[] = {
	{"6080 localhost:5900", "--port=6080 --daemon=yes --legacy=hixie,hybi,flash" TARGET},
	{"-f 6080 localhost:5900", "--port=6080 --legacy=hixie,hybi,flash" TARGET},
	{"--foreground -v --cert cert 6080 localhost:5900",
		"--port=6080 --cert=@/cert --legacy=hixie,hybi,flash --log-level=debug "
		"--traffic=yes" TARGET},
	{"-D 6080 localhost:5900", "usage: no such option: -D"},
	{"--web . 6080 localhost:5900", "usage: no such option: --web"},
	{"6080 -- cat", "usage: Error parsing target"},
};

/* Errors of usage have the words of websockify. */
static const struct row invalid[] = {
	{"", "usage: Too few arguments"},
	{"6080", "usage: Too few arguments"},
	{"6080 --", "usage: Too few arguments"},
	{"6080 localhost:5900 x", "usage: Too many arguments"},
	{"6080 localhost:5900 -- cat", "usage: Too many arguments"},
	{"--unix-listen l 6080 localhost:5900", "usage: Too many arguments"},
	{"--target-config tokens 6080 localhost:5900", "usage: Too many arguments"},
	{"x localhost:5900", "usage: Error parsing listen port"},
	{"localhost: localhost:5900", "usage: Error parsing listen port"},
	{"6080 localhost", "usage: Error parsing target"},
	{"6080 localhost:", "usage: Error parsing target port"},
	{"6080 localhost:70000", "usage: Error parsing target port"},
	{"--unix-listen l --unix-listen-mode 9 localhost:5900",
		"usage: Error parsing listen unix socket mode"},
	{"--syslog a:b 6080 localhost:5900", "usage: Error parsing syslog port"},
	{"--token-source x 6080 a:1", "usage: You must use --token-plugin to use --token-source"},
	{"--host-token 6080 a:1", "usage: You must use --token-plugin to use --host-token"},
	{"--auth-source x 6080 a:1", "usage: You must use --auth-plugin to use --auth-source"},
	{"--web . --web-auth 6080 a:1", "usage: You must use --auth-plugin to use --web-auth"},
	{"--auth-plugin X --web-auth 6080 a:1", "usage: You must use --web to use --web-auth"},
	{"--legacy-syslog 6080 a:1", "usage: You must use --syslog to use --legacy-syslog"},
	{"--ssl-only 6080 a:1", "usage: SSL only and self.pem not found"},
	{"--verify-client --cert x 6080 a:1", "usage: SSL only and x not found"},
	{"--bogus 6080 a:1", "usage: no such option: --bogus"},
	{"-x 6080 a:1", "usage: no such option: -x"},
	{"-f 6080 a:1", "usage: no such option: -f"},
	{"--t 6080 a:1", "usage: ambiguous option: --t"},
	{"--daemon=yes 6080 a:1", "usage: --daemon option does not take a value"},
	{"6080 a:1 --cert", "usage: --cert option requires 1 argument"},
	{"--timeout x 6080 a:1", "usage: option --timeout: invalid integer value: 'x'"},
	{"--timeout= 6080 a:1", "usage: option --timeout: invalid integer value: ''"},
	{"--wrap-mode x 6080 -- cat",
		"usage: option --wrap-mode: invalid choice: 'x' (choose from 'exit', 'ignore', "
		"'respawn')"},
	{"--ssl-version exit 6080 a:1",
		"usage: option --ssl-version: invalid choice: 'exit' (choose from 'default', "
		"'tlsv1_1', 'tlsv1_2', 'tlsv1_3')"},
	{"--cert cert --key-password= 6080 a:1",
		"--key-password: has to be one line that is not empty"},
	{"--cert cert --ssl-ciphers HIGH:x 6080 a:1",
		"--ssl-ciphers: \"x\" is not known here (see ciphers(1), or use websocksy with "
		"tls-priority)"},
	{"--cert cert --ssl-ciphers RC4-SHA:!aNULL 6080 a:1",
		"--ssl-ciphers: no algorithm of \"RC4-SHA:!aNULL\" is supported"},
	{"--cert cert --ssl-version tlsv1_3 --ssl-ciphers AES128-SHA 6080 a:1",
		"--ssl-ciphers: no algorithm of \"AES128-SHA\" is one of TLS 1.3"},
	{"--unix-target s 6080 -- cat",
		"--unix-target: the arguments of the program have to contain \"s\", so that the "
		"daemon can pass it the socket"},
	{"--token-plugin my.Class 6080",
		"--token-plugin: \"my.Class\" is not one of the classes that come with "
		"websockify, and Python classes cannot be loaded; write a backend "
		"(docs/plugins.md)"},
	{"--token-plugin TokenFile 6080", "--token-plugin TokenFile needs --token-source"},
	{"--token-plugin TokenFile --token-source missing 6080",
		"--token-source: \"missing\": No such file or directory"},
	{"--token-plugin JWTTokenApi --token-source missing 6080",
		"--token-source: \"missing\": No such file or directory"},
	{"--token-plugin TokenRedis --token-source :1 6080",
		"--token-source: the form of TokenRedis is "
		"HOST[:PORT[:DB[:PASSWORD[:NAMESPACE]]]]"},
	{"--token-plugin TokenRedis --token-source a:b:c:d:e:f 6080",
		"--token-source: the form of TokenRedis is "
		"HOST[:PORT[:DB[:PASSWORD[:NAMESPACE]]]]"},
	{"--auth-plugin my.Class 6080 a:1",
		"--auth-plugin: \"my.Class\" is not one of the classes that come with websockify, "
		"and Python classes cannot be loaded"},
	{"--auth-plugin BasicHTTPAuth 6080 a:1",
		"--auth-source: the form of BasicHTTPAuth is USER:PASSWORD"},
	{"--auth-plugin BasicHTTPAuth --auth-source x 6080 a:1",
		"--auth-source: the form of BasicHTTPAuth is USER:PASSWORD"},
	{"--auth-plugin BasicHTTPAuth --auth-source :x 6080 a:1",
		"--auth-source: the form of BasicHTTPAuth is USER:PASSWORD"},
	{"--auth-plugin ClientCertCNAuth --cert cert --verify-client 6080 a:1",
		"--auth-plugin ClientCertCNAuth needs names in --auth-source"},
	{"--auth-plugin ClientCertCNAuth --auth-source a --cert cert 6080 a:1",
		"--auth-plugin ClientCertCNAuth needs --verify-client"},
	{"--auth-plugin ExpectOrigin 6080 a:1",
		"--auth-plugin ExpectOrigin needs origins in --auth-source"},
	{"--auth-plugin ExpectOrigin --auth-source * 6080 a:1",
		"--auth-source: \"*\" is not an origin (the form is scheme://host[:port])"},
	{"--web . --web-auth --auth-plugin ExpectOrigin --auth-source http://a 6080 a:1",
		"--web-auth: requests for pages have no Origin, ExpectOrigin would refuse all of "
		"them"},
};

/* Appends `text`, with `directory` replaced by "@". */
static void append(char out[LINE_MAX], const char *text) {
	size_t len = strlen(out);
	const char *at = strstr(text, directory);
	int before = at ? (int)(at - text) : (int)strlen(text);
	snprintf(out + len, LINE_MAX - len, "%s%.*s%s%s", len > 0 ? " " : "", before, text,
		at ? "@" : "", at ? at + strlen(directory) : "");
}

static void check_row(const struct row *row, bool is_wsproxy) {
	char line[LINE_MAX], got[LINE_MAX] = "";
	char *word[WORDS_MAX + 1] = {NULL};
	char *position;
	size_t words = 0;
	snprintf(line, sizeof(line), "%s", row->given);
	for(char *at = strtok_r(line, " ", &position); at; at = strtok_r(NULL, " ", &position)) {
		assert_true(words < WORDS_MAX);
		word[words++] = at;
	}
	struct compat compat = {0};
	struct given given = {.wsproxy = is_wsproxy};
	given_read(&given, &compat, word);
	if(!compat.error[0]) {
		translate(&compat, &given);
	}
	for(size_t i = 0; !compat.error[0] && i < compat.arguments.count; i++) {
		append(got, compat.arguments.at[i]);
	}
	if(compat.error[0]) {
		snprintf(got, sizeof(got), "%s%s", compat.usage ? "usage: " : "", compat.error);
		assert_int_equal(compat.status, compat.usage ? COMPAT_USAGE_STATUS : 1);
	}
	assert_false(compat.arguments.no_memory);
	if(strcmp(got, row->expected) != 0) {
		fail_msg("\"%s\":\n  %s\nexpected:\n  %s", row->given, got, row->expected);
	}
	compat_free(&compat);
}

static void test_options_are_translated(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(valid); i++) {
		check_row(&valid[i], false);
	}
}

static void test_wsproxy_is_a_daemon_by_default(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(wsproxy); i++) {
		check_row(&wsproxy[i], true);
	}
}

static void test_errors(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(invalid); i++) {
		check_row(&invalid[i], false);
	}
}

/* Reads the command line and returns the start-up lines, with line ends. */
static void check_lines(char **words, const char *expected) {
	char got[LINE_MAX] = "";
	struct compat compat = {0};
	struct given given = {0};
	given_read(&given, &compat, words);
	translate(&compat, &given);
	for(size_t i = 0; i < compat.lines.count; i++) {
		strcat(got, compat.lines.at[i]);
		strcat(got, "\n");
	}
	assert_string_equal(got, expected);
	compat_free(&compat);
}

static void test_lines_that_scripts_search_for(void **state) {
	(void)state;
	check_lines((char *[]){"--web", "/w", "127.0.0.1:6080", "localhost:5900", NULL},
		"WebSocket server settings:\n"
		"  - Listen on 127.0.0.1:6080\n"
		"  - Web server. Web root: /w\n"
		"  - No SSL/TLS support (no cert file)\n"
		"  - proxying from 127.0.0.1:6080 to localhost:5900\n");
	check_lines((char *[]){"-D", "--file-only", "--web=/w", "--ssl-only", "--cert=cert",
			    "--ssl-target", "--record=/r", "6080", "localhost:5900", NULL},
		"WebSocket server settings:\n"
		"  - Listen on :6080\n"
		"  - Web server (no directory listings). Web root: /w\n"
		"  - SSL/TLS support\n"
		"  - Deny non-SSL/TLS connections\n"
		"  - Backgrounding (daemon)\n"
		"  - Recording to '/r.*'\n"
		"  - proxying from :6080 to localhost:5900 (using SSL)\n");
	check_lines((char *[]){"--inetd", "--", "cat", "-n", NULL},
		"WebSocket server settings:\n"
		"  - Listen for inetd connections\n"
		"  - No SSL/TLS support (no cert file)\n"
		"  - proxying from inetd to 'cat -n'\n");
	check_lines((char *[]){"--unix-listen", "/l", "--target-config", "tokens", NULL},
		"WebSocket server settings:\n"
		"  - Listen on unix socket /l\n"
		"  - No SSL/TLS support (no cert file)\n"
		"  - proxying from /l to targets generated by TokenFile\n");
}

static void report_unexpected(void *ctx, const char *text) {
	(void)ctx;
	fail_msg("%s", text);
}

/* A file that only this process can open, and its name. */
static void check_private(int fd, char path[64]) {
	struct stat status;
	assert_true(fd > 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static void test_password_is_in_a_private_file(void **state) {
	(void)state;
	char *words[] = {"--auth-plugin", "BasicHTTPAuth", "--auth-source", "user:a:b c", "6080",
		"localhost:5900", NULL};
	struct compat compat = {0};
	struct given given = {0};
	struct passwords *users;
	const struct passwords_errors errors = {.fn = report_unexpected};
	char path[64];
	given_read(&given, &compat, words);
	translate(&compat, &given);
	assert_string_equal(compat.error, "");
	assert_int_equal(compat.secrets, 1);
	check_private(compat.secret_fd[0], path);
	assert_int_equal(passwords_read(path, &users, &errors), 0);
	assert_int_equal(passwords_count(users), 1);
	passwords_free(users);
	compat_free(&compat);
}

static void test_passphrase_of_the_key_is_too(void **state) {
	(void)state;
	char *words[] = {"--cert=cert", "--key-password=a b", "--auth-plugin=BasicHTTPAuth",
		"--auth-source=user:c", "6080", "localhost:5900", NULL};
	struct compat compat = {0};
	struct given given = {0};
	char path[64], option[128], text[8] = "";
	given_read(&given, &compat, words);
	translate(&compat, &given);
	assert_string_equal(compat.error, "");
	assert_int_equal(compat.secrets, 2);
	assert_true(compat.secret_fd[0] < compat.secret_fd[1]);
	check_private(compat.secret_fd[1], path);
	check_private(compat.secret_fd[0], path);
	snprintf(option, sizeof(option), "--key-password-file=%s", path);
	bool found = false;
	for(size_t i = 0; i < compat.arguments.count; i++) {
		found |= strcmp(compat.arguments.at[i], option) == 0;
	}
	assert_true(found);
	assert_int_equal(pread(compat.secret_fd[0], text, sizeof(text), 0), 3);
	assert_string_equal(text, "a b");
	compat_free(&compat);
}

/* Only the last part of the path counts. */
static void test_program_names(void **state) {
	(void)state;
	static const struct {
		const char *path, *name;
	} rows[] = {
		{"websocksy", NULL},
		{"/usr/lib/websocksy/compat/websockify", "websockify"},
		{"./run", "run"},
		{"wsproxy", "wsproxy"},
		{"websockify.py", NULL},
		{"/websockify/websocksy", NULL},
	};
	for(size_t i = 0; i < COUNT(rows); i++) {
		char *argv[] = {
			(char *)rows[i].path, "--dump-config", "6080", "localhost:5900", NULL};
		struct compat compat;
		assert_true(compat_begin(&compat, 4, argv));
		assert_int_equal(compat.argv == argv, rows[i].name == NULL);
		if(rows[i].name) {
			assert_string_equal(compat.name, rows[i].name);
			assert_string_equal(compat.argv[0], rows[i].path);
			assert_null(compat.argv[compat.argc]);
		}
		compat_free(&compat);
	}
}

static int make_directory(void **state) {
	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(mkdir("pages", 0700), 0);
	static const char *const files[] = {"cert", "key", "tokens"};
	for(size_t i = 0; i < 3; i++) {
		FILE *file = fopen(files[i], "w");
		assert_non_null(file);
		fputs("secret\n", file);
		fclose(file);
	}
	return 0;
}

static int remove_directory(void **state) {
	(void)state;
	static const char *const files[] = {"cert", "key", "tokens"};
	for(size_t i = 0; i < 3; i++) {
		unlink(files[i]);
	}
	rmdir("pages");
	return rmdir(directory);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_are_translated),
		cmocka_unit_test(test_wsproxy_is_a_daemon_by_default),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_lines_that_scripts_search_for),
		cmocka_unit_test(test_password_is_in_a_private_file),
		cmocka_unit_test(test_passphrase_of_the_key_is_too),
		cmocka_unit_test(test_program_names),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
