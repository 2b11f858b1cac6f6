/* SPDX-License-Identifier: BSD-2-Clause
 *
 * passwords.c: password files, each in memory that ends at an unreadable page.
 */
#include "hashes.h"
#include "support.h"

#include "http/passwords.h"

#include <errno.h>

static int interruptions; /* so many reads end with EINTR (--wrap in the Makefile) */

ssize_t __real_read(int fd, void *data, size_t cap);
ssize_t __wrap_read(int fd, void *data, size_t cap);

ssize_t __wrap_read(int fd, void *data, size_t cap) {
	if(interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	return __real_read(fd, data, cap);
}

/* What has been reported, one mistake a line. */
static char report[4096];

static void take_report(void *ctx, const char *text) {
	(void)ctx;
	size_t len = strlen(report);
	snprintf(report + len, sizeof(report) - len, "%s%s", len > 0 ? "\n" : "", text);
}

static const struct passwords_errors errors = {take_report, NULL};

static int parse_text(const char *text, size_t len, struct passwords **users) {
	report[0] = '\0';
	return passwords_parse("users", (struct slice){text, len}, users, &errors);
}

static int read_file(const char *path, struct passwords **users) {
	report[0] = '\0';
	return passwords_read(path, users, &errors);
}

static struct passwords *parse(const char *text) {
	struct guard guard = guard_new(text, strlen(text));
	struct passwords *users = NULL;
	int result = parse_text((const char *)guard.data, strlen(text), &users);
	guard_free(&guard);
	assert_string_equal(report, "");
	assert_int_equal(result, 0);
	return users;
}

static void test_file(void **state) {
	(void)state;
	struct passwords *users = parse("# comment\n\nbob:" BCRYPT_Y "\r\n  \nalice:" SHA512
					"\n#x:y\nzoé:" YESCRYPT " \ncarl:" SHA256);
	assert_int_equal(passwords_count(users), 4);
	static const char *const names[] = {"alice", "bob", "carl", "zoé"};
	for(size_t i = 0; i < COUNT(names); i++) {
		assert_true(passwords_has_user(users, names[i]));
	}
	static const char *const others[] = {"", "al", "alice2", "Alice", "#x", "# comment", "zoe"};
	for(size_t i = 0; i < COUNT(others); i++) {
		assert_false(passwords_has_user(users, others[i]));
	}
	passwords_free(users);
	users = parse("");
	assert_int_equal(passwords_count(users), 0);
	assert_false(passwords_has_user(users, "alice"));
	passwords_free(users);
}

static const struct {
	const char *text;
	const char *error;
} bad_files[] = {
	{"alice", "users:1: missing colon"},
	{"# x\n\nalice\n", "users:3: missing colon"},
	{":" BCRYPT_Y, "users:1: the user name is empty"},
	{"a\tb:" BCRYPT_Y, "users:1: the user name is empty, too long or not UTF-8 text"},
	{"zo\xe9:" BCRYPT_Y, "users:1: the user name is empty, too long or not UTF-8 text"},
	{"alice:", "users:1: unknown kind of hash"},
	{"alice:secret", "users:1: unknown kind of hash"},
	{"alice:$apr1$saltsalt$ZkiIMLfe7rNWaznG4FDsP.", "users:1: unknown kind of hash"},
	{"alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "users:1: unknown kind of hash"},
	{"alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIr",
		"users:1: this bcrypt hash is not complete"},
	{"alice:" BCRYPT_Y ":x", "users:1: this bcrypt hash is not complete"},
	{"alice:$2y$", "users:1: this bcrypt hash is not complete"},
	{"alice:$2y$16$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		"users:1: the hash takes too long"},
	{"alice:$2y$03$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
		"users:1: the cost of this bcrypt hash is invalid"},
	{"alice:$6$saltsalt", "users:1: this SHA hash is not complete"},
	{"alice:$6$", "users:1: this SHA hash is not complete"},
	{"alice:$5$rounds=99999999$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the hash takes too long"},
	{"alice:$5$rounds=x$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the number of rounds of this SHA hash is invalid"},
	{"alice:$5$rounds= 5000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the number of rounds of this SHA hash is invalid"},
	{"alice:$5$rounds=-1$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the number of rounds of this SHA hash is invalid"},
	{"alice:$5$rounds=999$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the number of rounds of this SHA hash is invalid"},
	{"alice:$5$rounds=05000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the number of rounds of this SHA hash is invalid"},
	{"alice:$5$rounds=5000$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$saltsaltsaltsalts$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$salt$salt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$sa lt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: crypt(3) does not support this hash"},
	{"alice:$y$j9$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: the parameters of this yescrypt hash are not supported"},
	{"alice:$y$j9zzzz$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: the parameters of this yescrypt hash are not supported"},
	{"alice:$y$j9T$F5!$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: crypt(3) does not support this hash"},
	{"alice:$y$", "users:1: this yescrypt hash is not complete"},
	{"alice:$y$j", "users:1: this yescrypt hash is not complete"},
	{"alice:$y$jFT$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: the hash takes too long"},
	{"alice:" BCRYPT_Y "\nbob:" SHA256 "\nalice:" SHA256,
		"users:3: this user is already on an earlier line"},
	{"a:" SHA256 "\na:" SHA256 "\na:" SHA256,
		"users:2: this user is already on an earlier line"},
};

static void test_interrupted_file(void **state) {
	static const char text[] = "alice:" BCRYPT_Y "\n";
	const char *base = getenv("TMPDIR");
	char path[256];
	struct passwords *users = NULL;
	(void)state;
	snprintf(path, sizeof(path), "%s/websocksy-unit-XXXXXX", base ? base : "/tmp");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	interruptions = 3;
	assert_int_equal(read_file(path, &users), 0);
	assert_int_equal(interruptions, 0);
	assert_true(passwords_has_user(users, "alice"));
	passwords_free(users);
	unlink(path);
}

static void test_bad_files(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(bad_files); i++) {
		struct passwords *users = NULL;
		size_t len = strlen(bad_files[i].text);
		struct guard guard = guard_new(bad_files[i].text, len);
		assert_int_equal(parse_text((const char *)guard.data, len, &users), -EINVAL);
		guard_free(&guard);
		if(strncmp(report, bad_files[i].error, strlen(bad_files[i].error)) != 0) {
			fail_msg("%zu: \"%s\"", i, report);
		}
		assert_null(users);
	}
}

/* Only the first mistake was reported. */
static void test_all_mistakes(void **state) {
	(void)state;
	struct passwords *users = NULL;
	static const char text[] =
		"a\nb:" SHA256 "\n:" SHA256 "\n# c\nb:" SHA256 "\nd:x\nb:" SHA256 "\n";
	assert_int_equal(parse_text(text, strlen(text), &users), -EINVAL);
	assert_string_equal(report,
		"users:1: missing colon (lines are name:hash)\n"
		"users:3: the user name is empty, too long or not UTF-8 text\n"
		"users:6: unknown kind of hash (use bcrypt, sha512, sha256 or yescrypt: htpasswd "
		"-B, mkpasswd)\n"
		"users:5: this user is already on an earlier line\n"
		"users:7: this user is already on an earlier line");
	char many[2 * (PASSWORDS_ERRORS_MAX + 5)];
	for(size_t i = 0; i < sizeof(many); i++) {
		many[i] = i % 2 ? '\n' : 'x';
	}
	assert_int_equal(parse_text(many, sizeof(many), &users), -EINVAL);
	assert_non_null(strstr(report, "users:20: missing colon"));
	assert_null(strstr(report, "users:21:"));
	assert_non_null(strstr(report, "users: 5 further lines have mistakes"));
	assert_null(users);
}

/* Every prefix of a valid file is accepted or rejected without reading past its end. */
static void test_cut_file(void **state) {
	(void)state;
	static const char text[] = "# c\nalice:" SHA512 "\r\nbob:" YESCRYPT "\nc:" BCRYPT_B;
	for(size_t len = 0; len < sizeof(text); len++) {
		struct guard guard = guard_new(text, len);
		struct passwords *users = NULL;
		if(parse_text((const char *)guard.data, len, &users) == 0) {
			passwords_free(users);
		} else {
			assert_null(users);
		}
		guard_free(&guard);
	}
}

static void test_no_text(void **state) {
	(void)state;
	struct passwords *users;
	assert_int_equal(parse_text("a\n\0b", 4, &users), -EINVAL);
	assert_string_equal(report, "users:2: not a text file (NUL byte)");
	assert_int_equal(read_file("/", &users), -EISDIR);
	assert_string_equal(report, "/: Is a directory");
	assert_int_equal(read_file("/dev/zero", &users), -EINVAL);
	assert_string_equal(report, "/dev/zero: Not a regular file");
	assert_int_equal(read_file("/nonexistent", &users), -ENOENT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_interrupted_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_all_mistakes),
		cmocka_unit_test(test_cut_file),
		cmocka_unit_test(test_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
