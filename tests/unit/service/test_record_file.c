/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files of recordings: templates, names, the next free number, what is not written to, full disks.
 */
#include "support.h"

#include "service/record.h"
#include "service/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/stat.h>

#define NAMES_MAX 10000 /* of the same template */

static char directory[] = "/tmp/websocksy-record-XXXXXX";

static int set_up(void **state) {
	(void)state;
	return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int tear_down(void **state) {
	(void)state;
	return rmdir(directory);
}

/* A connection at 2025-12-01 00:00:01.9 UTC. */
static struct record_about about_client(const char *client) {
	struct record_about about = {.id = 42, .begun_ns = UINT64_C(1764547201900000000)};
	if(client) {
		assert_int_equal(
			address_parse((struct slice){client, strlen(client)}, &about.client), 0);
	} else {
		about.client.any.sa_family = AF_UNIX;
	}
	return about;
}

static int open_file(struct record_file *file, const char *name, const char *client) {
	struct record_about about = about_client(client);
	char template[PATH_MAX];
	*file = (struct record_file){.fd = -1};
	snprintf(template, sizeof(template), "%s/%s", directory, name);
	assert_null(record_check_template(template));
	return record_file_open(file, template, &about);
}

static void assert_opens(const char *name, const char *client, const char *expected) {
	struct record_file file;
	struct stat opened, named;
	assert_int_equal(open_file(&file, name, client), 0);
	assert_int_equal(fstat(file.fd, &opened), 0);
	assert_int_equal(lstat(expected, &named), 0);
	assert_true(opened.st_ino == named.st_ino);
	assert_int_equal(named.st_mode, S_IFREG | 0600);
	assert_int_equal(fcntl(file.fd, F_GETFD), FD_CLOEXEC);
	record_file_close(&file);
	assert_int_equal(file.fd, -1);
}

static void test_templates(void **state) {
	char longest[PATH_MAX + 2];
	(void)state;
	static const struct {
		const char *template, *complaint;
	} rows[] = {
		{"", NULL},
		{"/a", NULL},
		{"/var/rec/%t-%i-%a-%%", NULL},
		{"/var/rec/..name", NULL},
		{"/var/rec/name..", NULL},
		{"/var/./rec/name", NULL},
		{"name", "is not an absolute path"},
		{"./name", "is not an absolute path"},
		{"../name", "is not an absolute path"},
		{"/var/%a/name", "has a % in its directory"},
		{"/%%/name", "has a % in its directory"},
		{"/../name", "has a .. in its path"},
		{"/var/..", "has a .. in its path"},
		{"/var/../name", "has a .. in its path"},
		{"/var//../name", "has a .. in its path"},
		{"/", "has no name for the file"},
		{"/var/", "has no name for the file"},
		{"/var/.", "has no name for the file"},
		{"/var/%", "has an unknown escape"},
		{"/var/%%%", "has an unknown escape"},
		{"/var/%s", "has an unknown escape"},
		{"/var/%I", "has an unknown escape"},
	};
	for(size_t i = 0; i < COUNT(rows); i++) {
		const char *got = record_check_template(rows[i].template);
		if(!rows[i].complaint) {
			assert_null(got);
		} else if(!got || strncmp(got, rows[i].complaint, strlen(rows[i].complaint)) != 0) {
			fail_msg("\"%s\": %s", rows[i].template, got ? got : "valid");
		}
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[PATH_MAX] = '\0';
	assert_string_equal(record_check_template(longest), "is not an absolute path");
}

/* No expansion has a slash, whichever the client is. */
static void test_names(void **state) {
	(void)state;
	static const struct {
		const char *template, *client, *expected;
	} rows[] = {
		{"%i", "192.0.2.1", "42"},
		{"%t", "192.0.2.1", "20251201T000001Z"},
		{"x%a.%i%%", "192.0.2.1", "x192.0.2.1.42%"},
		{"%a", "2001:db8::1", "2001:db8::1"},
		{"%a", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"%a", NULL, "unix"},
	};
	for(size_t i = 0; i < COUNT(rows); i++) {
		assert_opens(rows[i].template, rows[i].client, rows[i].expected);
		assert_int_equal(unlink(rows[i].expected), 0);
	}
}

static void test_next_free_number(void **state) {
	(void)state;
	assert_opens("name", NULL, "name");
	assert_opens("name", NULL, "name.1");
	assert_opens("name", NULL, "name.2");
	unlink("name.1");
	assert_opens("name", NULL, "name.1");
	unlink("name.1");
	unlink("name.2");
	unlink("name");
}

static off_t size_of(const char *path) {
	struct stat status;
	assert_int_equal(lstat(path, &status), 0);
	return status.st_size;
}

/* Whatever has the name stays as it is: a link, also one that leads nowhere, a FIFO, a directory. */
static void test_existing_files_are_not_touched(void **state) {
	(void)state;
	assert_int_equal(symlink("nowhere", "name"), 0);
	assert_int_equal(mkfifo("name.1", 0600), 0);
	assert_int_equal(mkdir("name.2", 0700), 0);
	assert_int_equal(symlink("/etc", "name.3"), 0);
	assert_opens("name", NULL, "name.4");
	assert_int_equal(access("nowhere", F_OK), -1);
	unlink("name");
	unlink("name.1");
	rmdir("name.2");
	unlink("name.3");
	unlink("name.4");
}

static void link_numbers(bool remove) {
	char name[32] = "name";
	for(int i = 0; i < NAMES_MAX; i++) {
		if(i > 0) {
			snprintf(name, sizeof(name), "name.%d", i);
		}
		assert_int_equal(remove ? unlink(name) : link("one", name), 0);
	}
}

static void test_too_many_of_a_name(void **state) {
	struct record_file file;
	(void)state;
	int fd = open("one", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	link_numbers(false);
	assert_int_equal(open_file(&file, "name", NULL), -EEXIST);
	assert_string_equal(recorder_error(-EEXIST), "too many files have this name");
	link_numbers(true);
	unlink("one");
}

static void test_what_cannot_be_opened(void **state) {
	struct record_file file;
	char name[NAME_MAX + 1];
	(void)state;
	memset(name, 'x', sizeof(name));
	name[NAME_MAX] = '\0';
	assert_int_equal(open_file(&file, name, NULL), -ENAMETOOLONG);
	assert_int_equal(file.fd, -1);
	assert_int_equal(open_file(&file, "missing/name", NULL), -ENOENT);
	assert_int_equal(file.fd, -1);
	record_file_close(&file);
}

static void test_write(void **state) {
	struct record_file file;
	char got[32] = "";
	(void)state;
	assert_int_equal(open_file(&file, "name", NULL), 0);
	assert_int_equal(record_file_write(&file, "first,", 6), 0);
	assert_int_equal(record_file_write(&file, "", 0), 0);
	assert_int_equal(record_file_write(&file, "second", 6), 0);
	/* A part of the third is in the file when the disk is full. */
	assert_int_equal(write(file.fd, "thi", 3), 3);
	record_file_cut(&file, "!", 1);
	record_file_close(&file);
	assert_int_equal(size_of("name"), 13);
	FILE *stream = fopen("name", "r");
	assert_non_null(stream);
	assert_non_null(fgets(got, sizeof(got), stream));
	fclose(stream);
	assert_string_equal(got, "first,second!");
	unlink("name");
}

/* A file of which not even the beginning could be written stays empty. */
static void test_full_disk(void **state) {
	struct record_file file = {.fd = open("/dev/full", O_WRONLY | O_CLOEXEC)};
	(void)state;
	assert_true(file.fd >= 0);
	assert_int_equal(record_file_write(&file, "x", 1), -ENOSPC);
	assert_int_equal(file.whole, 0);
	record_file_close(&file);
	assert_int_equal(open_file(&file, "name", NULL), 0);
	assert_int_equal(write(file.fd, "par", 3), 3);
	record_file_cut(&file, "trailer", 7);
	record_file_close(&file);
	assert_int_equal(size_of("name"), 0);
	unlink("name");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_next_free_number),
		cmocka_unit_test(test_existing_files_are_not_touched),
		cmocka_unit_test(test_too_many_of_a_name),
		cmocka_unit_test(test_what_cannot_be_opened),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_full_disk),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
