/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend: options, opening files, the order of expressions.
 */
#include "plugins/backend_file_bench.h"

/* A file that cannot be read: neither 404 nor the next expression. */
static void expect_unavailable(const char *endpoint) {
	const struct ask ask = {.endpoint = endpoint};
	struct fake_query query = query_for(&ask);
	assert_int_equal(query.state, FAKE_REFUSED);
	assert_int_equal(query.status, 503);
	assert_string_equal(query.text, "the file with the peer of this request cannot be read");
}

static void test_options(void **unused) {
	(void)unused;
	char file[PATH_MAX];
	const struct file *state = fake.state;
	assert_int_equal(set_option("path", "/no/such/directory"), -EINVAL);
	assert_string_equal(fake.why, "must be an existing directory");
	assert_int_equal(set_option("path", in_root("secret", file)), -EINVAL);
	assert_string_equal(state->path, in_root("routes", file));
}

static void expect_missing(const char *option) {
	const struct ask ask = {.endpoint = "/x"};
	struct fake_query query = query_for(&ask);
	assert_int_equal(query.state, FAKE_REFUSED);
	assert_int_equal(query.status, 500);
	assert_non_null(strstr(query.text, option));
	assert_int_equal(file_check(fake.state, fake.why), WEBSOCKSY_REFUSES_ALL);
	assert_memory_equal(fake.why, option, strlen(option));
}

static void test_missing_options_are_named(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	expect_missing("expression");
	file_close(fake.state);
	assert_int_equal(file_open(&fake_core, &fake.state), 0);
	assert_int_equal(set_expression("x"), 0);
	expect_missing("path");
	assert_int_equal(set_option("path", in_root("routes", path)), 0);
	assert_int_equal(file_check(fake.state, fake.why), 0);
}

/* A symbolic link that stays inside is fine, and so is a path that is one. */
static void test_links_inside(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	write_text("routes/real", "tcp://real *\n");
	assert_int_equal(symlink("real", in_root("routes/alias", path)), 0);
	set_expression("%endpoint%");
	expect_endpoint("/alias", "tcp://real");
	assert_int_equal(symlink("routes", in_root("link", path)), 0);
	assert_int_equal(set_option("path", path), 0);
	expect_endpoint("/real", "tcp://real");
}

static void test_expressions_in_order(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	assert_int_equal(mkdir(in_root("routes/users", path), 0700), 0);
	set_expression("/users/%cookie:id%/%endpoint%.txt");
	set_expression("%endpoint%");
	set_expression("default");
	write_text("routes/one", "tcp://one *\n");
	write_text("routes/default", "tcp://default *\n");
	assert_int_equal(mkdir(in_root("routes/users/ann", path), 0700), 0);
	write_text("routes/users/ann/one.txt", "tcp://ann *\n");
	const struct ask ann = {.endpoint = "/one", .field = {"Cookie", "id=ann"}};
	expect_host(&ann, "tcp://ann");
	expect_endpoint("/one", "tcp://one");
	expect_endpoint("/two", "tcp://default");
	expect_endpoint("/", "tcp://default");
}

static void test_other_than_regular_files(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	set_expression("%endpoint%");
	assert_int_equal(mkfifo(in_root("routes/fifo", path), 0600), 0);
	assert_int_equal(mkdir(in_root("routes/directory", path), 0700), 0);
	alarm(600);
	expect_endpoint("/fifo", NULL);
	expect_endpoint("/directory", NULL);
	struct text text = {NULL, 0, 0};
	int fd = open_beneath(in_root("routes", path), "directory");
	assert_true(fd >= 0);
	assert_int_equal(read_all(fd, &text), -ENOENT);
	close(fd);
	alarm(0);
}

static void test_size_limit(void **unused) {
	(void)unused;
	size_t size = (size_t)1 << 20;
	char *data = malloc(size + 1);
	set_expression("big");
	memset(data, '\n', size + 1);
	memcpy(data, "tcp://big *", 11);
	write_bytes("routes/big", data, size);
	expect_endpoint("/", "tcp://big");
	write_bytes("routes/big", data, size + 1);
	expect_unavailable("/");
	free(data);
}

/* Alice's own file cannot be opened for a moment: she must not reach everybody's peer. */
static void test_failure_is_no_absence(void **unused) {
	(void)unused;
	static const int errors[] = {EMFILE, ENFILE, ENOMEM, EIO, EACCES, ESTALE};
	set_expression("private/%endpoint%");
	set_expression("default");
	write_text("routes/default", "tcp://default *\n");
	char path[PATH_MAX];
	assert_int_equal(mkdir(in_root("routes/private", path), 0700), 0);
	write_text("routes/private/alice", "tcp://alice *\n");
	for(size_t i = 0; i < COUNT(errors); i++) {
		fake.error = errors[i];
		fake.failures = 1;
		expect_unavailable("/alice");
		expect_endpoint("/alice", "tcp://alice");
	}
	fake.error = ENOENT;
	fake.failures = 1;
	expect_endpoint("/alice", "tcp://default");
}

/* Asked again a few times, as openat2(2) says; then it is a failure as any other. */
static void test_open_is_tried_again(void **unused) {
	(void)unused;
	static const int errors[] = {EAGAIN, EINTR};
	set_expression("mine");
	set_expression("default");
	write_text("routes/mine", "tcp://mine *\n");
	write_text("routes/default", "tcp://default *\n");
	for(size_t i = 0; i < COUNT(errors); i++) {
		fake.error = errors[i];
		fake.failures = OPEN_TRIES - 1;
		expect_endpoint("/", "tcp://mine");
		fake.failures = OPEN_TRIES;
		expect_unavailable("/");
	}
}

/* A file without a line for the offer is skipped as one that is not there. */
static void test_no_line_tries_the_next(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/", .protocols = "y"};
	set_expression("f");
	set_expression("g");
	write_text("routes/f", "tcp://a x\n");
	write_text("routes/g", "tcp://b y\n");
	expect_host(&ask, "tcp://b");
}

int main(void) {
	const struct CMUnitTest tests[] = {
		TEST(test_options),
		TEST(test_missing_options_are_named),
		TEST(test_expressions_in_order),
		TEST(test_links_inside),
		TEST(test_other_than_regular_files),
		TEST(test_size_limit),
		TEST(test_failure_is_no_absence),
		TEST(test_open_is_tried_again),
		TEST(test_no_line_tries_the_next),
	};
	return cmocka_run_group_tests_name("backend_file", tests, NULL, NULL);
}
