/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targets of the log: their names, files and their owners, sockets that are full or exchanged.
 */
#include "base/log_sink.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char folder[64];
static char why[LOG_SINK_WHY];

static int set_up(void **state) {
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/websocksy-sink-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

/* "PREFIX/folder/NAME"; static. */
static const char *target(const char *prefix, const char *name) {
	static char text[256];
	snprintf(text, sizeof(text), "%s%s/%s", prefix, folder, name);
	return text;
}

static void test_names(void **state) {
	static const char *const valid[] = {"", "stderr", "syslog", "journal", "file:/var/log/x",
		"syslog:/run/log", "syslog:host:514", "syslog:127.0.0.1:514", "syslog:[::1]:514"};
	static const char *const invalid[] = {"stdout", "file", "file:", "file:x",
		"syslog:", "syslog:host", "syslog:host:", "syslog::514", "syslog:host:0",
		"syslog:host:65536", "syslog:::1:514", "syslog:[]:514", "journald", "Syslog",
		"/var/log/x"};
	char path[300] = "syslog:/";
	(void)state;
	for(size_t i = 0; i < COUNT(valid); i++) {
		assert_null(log_sink_check(valid[i]));
	}
	for(size_t i = 0; i < COUNT(invalid); i++) {
		assert_non_null(log_sink_check(invalid[i]));
	}
	memset(path + strlen(path), 'x', 200);
	assert_string_equal(log_sink_check(path), "has a path that is too long for a socket");
}

/* Behind what is there, readable for the group alone, and for the one who is to open it again. */
static void test_file(void **state) {
	const struct log_owner owner = {.set = true, .uid = 12345, .gid = 54321};
	struct log_sink sink;
	struct stat status;
	char text[64] = "";
	mode_t before = umask(0);
	(void)state;
	assert_int_equal(log_sink_open(&sink, target("file:", "log"), &owner, why), 0);
	umask(before);
	assert_true(log_sink_send(&sink, "one\n", 4));
	log_sink_close(&sink);
	assert_int_equal(log_sink_open(&sink, target("file:", "log"), NULL, why), 0);
	assert_true(log_sink_send(&sink, "two\n", 4));
	assert_int_equal(fstat(sink.fd, &status), 0);
	assert_true(fcntl(sink.fd, F_GETFD) & FD_CLOEXEC);
	log_sink_close(&sink);
	assert_int_equal(status.st_mode & 07777, 0640);
	assert_int_equal(status.st_uid, geteuid() == 0 ? 12345 : geteuid());
	int fd = open(target("", "log"), O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 8);
	close(fd);
	assert_string_equal(text, "one\ntwo\n");
}

static void test_file_errors(void **state) {
	struct log_sink sink;
	(void)state;
	assert_int_equal(symlink("/etc/passwd", target("", "link")), 0);
	assert_int_equal(log_sink_open(&sink, target("file:", "link"), NULL, why), -ELOOP);
	assert_string_equal(why, "is a symbolic link, which is not followed");
	assert_int_equal(symlink("nowhere", target("", "dangling")), 0);
	assert_int_equal(log_sink_open(&sink, target("file:", "dangling"), NULL, why), -ELOOP);
	assert_int_equal(log_sink_open(&sink, target("file:", "absent/log"), NULL, why), -ENOENT);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(log_sink_open(&sink, target("file:", ""), NULL, why), -EISDIR);
	assert_int_equal(mkfifo(target("", "fifo"), 0600), 0);
	assert_int_equal(log_sink_open(&sink, target("file:", "fifo"), NULL, why), -ENXIO);
}

/* It may be a file that the owner of the directory could not write to otherwise. */
static void test_hard_link(void **state) {
	struct log_sink sink;
	(void)state;
	close(open(target("", "first"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	char *first = strdup(target("", "first"));
	assert_int_equal(link(first, target("", "second")), 0);
	free(first);
	int result = log_sink_open(&sink, target("file:", "second"), NULL, why);
	if(geteuid() != 0) {
		assert_int_equal(result, 0);
		log_sink_close(&sink);
		return;
	}
	assert_int_equal(result, -EMLINK);
	assert_string_equal(why, "has several hard links (remove it)");
	assert_int_equal(unlink(target("", "first")), 0);
	assert_int_equal(log_sink_open(&sink, target("file:", "second"), NULL, why), 0);
	log_sink_close(&sink);
}

static void test_full_disk(void **state) {
	struct log_sink sink;
	(void)state;
	assert_int_equal(log_sink_open(&sink, "file:/dev/full", NULL, why), 0);
	assert_false(log_sink_send(&sink, "x\n", 2));
	assert_string_equal(log_sink_name(&sink), "the log file");
	log_sink_close(&sink);
}

static int receiver(const char *path) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A receiver that does not read: a line is refused, not waited for. */
static void test_full_socket(void **state) {
	struct log_sink sink;
	char text[16];
	(void)state;
	int fd = receiver(target("", "socket"));
	assert_int_equal(log_sink_open(&sink, target("syslog:", "socket"), NULL, why), 0);
	assert_int_equal(sink.envelope, LOG_ENVELOPE_LOCAL);
	alarm(600);
	int sent = 0;
	while(log_sink_send(&sink, "line", 4)) {
		sent++;
	}
	alarm(0);
	assert_true(sent > 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_true(log_sink_send(&sink, "line", 4));
	log_sink_close(&sink);
	close(fd);
}

static void test_exchanged_socket(void **state) {
	struct log_sink sink;
	char text[16] = "";
	(void)state;
	int fd = receiver(target("", "socket"));
	assert_int_equal(log_sink_open(&sink, target("syslog:", "socket"), NULL, why), 0);
	close(fd);
	assert_false(log_sink_send(&sink, "lost", 4));
	unlink(target("", "socket"));
	assert_false(log_sink_send(&sink, "lost", 4));
	fd = receiver(target("", "socket"));
	assert_true(log_sink_send(&sink, "line", 4));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "line");
	log_sink_close(&sink);
	close(fd);
	assert_int_equal(
		log_sink_open(&sink, target("syslog:", "socket"), NULL, why), -ECONNREFUSED);
	assert_non_null(strstr(why, "/socket: Connection refused"));
}

/* Nothing listens: that is an error of the line before, not of this one. */
static void test_udp(void **state) {
	struct log_sink sink;
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	char name[64], text[16] = "";
	(void)state;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(name, sizeof(name), "syslog:127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(log_sink_open(&sink, name, NULL, why), 0);
	assert_int_equal(sink.envelope, LOG_ENVELOPE_SYSLOG);
	assert_true(log_sink_send(&sink, "line", 4));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 4);
	close(fd);
	for(int i = 0; i < 4; i++) {
		assert_true(log_sink_send(&sink, "line", 4));
	}
	log_sink_close(&sink);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_file),
		TEST(test_file_errors),
		TEST(test_hard_link),
		TEST(test_full_disk),
		TEST(test_full_socket),
		TEST(test_exchanged_socket),
		TEST(test_udp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
