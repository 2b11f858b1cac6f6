/* SPDX-License-Identifier: BSD-2-Clause
 *
 * auth.c: password files, credentials of requests (each in memory that ends at an unreadable page), hashes of
 * each kind on the thread, and what is remembered for how long.
 */
#include "support.h"

#include "http/auth.h"

#include <errno.h>

#define COUNT(table) (sizeof(table) / sizeof(*(table)))

/* Made by crypt(3) with the salts that they show; all are of "secret" but the last. */
#define BCRYPT_Y "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define BCRYPT_A "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define BCRYPT_B "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA512                                                                                     \
	"$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/"                  \
	"Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"
#define SHA512_PLAIN                                                                               \
	"$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN."   \
	"Pq.H91p5hVO1"
#define SHA256 "$5$rounds=1000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2"
#define YESCRYPT "$y$j75$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1."
#define BCRYPT_COLONS "$2y$04$abcdefghijklmnopqrstuuZfw3O53z7Jym.he1ohiQi2CbtdlFmQO" /* p:a:ß€ */

/* ---- the file ---- */

static int interruptions; /* so many reads end with EINTR (the linker puts ours in front, see the Makefile) */

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

static struct auth_users *parse(const char *text) {
	struct guard guard = guard_new(text, strlen(text));
	struct auth_users *users = NULL;
	char error[AUTH_ERROR_MAX] = "";
	int result = auth_users_parse(
		"users", (const char *)guard.data, strlen(text), &users, error);
	guard_free(&guard);
	assert_string_equal(error, "");
	assert_int_equal(result, 0);
	return users;
}

static void test_file(void **state) {
	(void)state;
	struct auth_users *users = parse("# comment\n\nbob:" BCRYPT_Y "\r\n  \nalice:" SHA512
					 "\n#x:y\nzoé:" YESCRYPT " \ncarl:" SHA256);
	assert_int_equal(auth_users_count(users), 4);
	static const char *const names[] = {"alice", "bob", "carl", "zoé"};
	for(size_t i = 0; i < COUNT(names); i++) {
		assert_true(auth_users_has(users, names[i]));
	}
	static const char *const others[] = {"", "al", "alice2", "Alice", "#x", "# comment", "zoe"};
	for(size_t i = 0; i < COUNT(others); i++) {
		assert_false(auth_users_has(users, others[i]));
	}
	auth_users_free(users);
	users = parse("");
	assert_int_equal(auth_users_count(users), 0);
	assert_false(auth_users_has(users, "alice"));
	auth_users_free(users);
}

static const struct {
	const char *text;
	const char *error;
} bad_files[] = {
	{"alice", "users:1: there is no colon"},
	{"# x\n\nalice\n", "users:3: there is no colon"},
	{":" BCRYPT_Y, "users:1: the user's name is empty"},
	{"a\tb:" BCRYPT_Y, "users:1: the user's name is empty, too long or no UTF-8 text"},
	{"zo\xe9:" BCRYPT_Y, "users:1: the user's name is empty, too long or no UTF-8 text"},
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
		"users:1: there is no such cost"},
	{"alice:$6$saltsalt", "users:1: this SHA hash is not complete"},
	{"alice:$6$", "users:1: this SHA hash is not complete"},
	{"alice:$5$rounds=99999999$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the hash takes too long"},
	{"alice:$5$rounds=x$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: there is no such number of rounds"},
	{"alice:$5$rounds= 5000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: there is no such number of rounds"},
	{"alice:$5$rounds=-1$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: there is no such number of rounds"},
	{"alice:$5$rounds=999$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: there is no such number of rounds"},
	{"alice:$5$rounds=05000$saltsalt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: there is no such number of rounds"},
	{"alice:$5$rounds=5000$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$saltsaltsaltsalts$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$salt$salt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: the salt of this SHA hash is malformed"},
	{"alice:$5$sa lt$eKLZU9t9OoPWrqOQsoTIKG0aYkZ5rGOoOQhiIvoSWX2",
		"users:1: crypt(3) does not take this hash"},
	{"alice:$y$j9$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: this yescrypt hash has other parameters"},
	{"alice:$y$j9zzzz$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: this yescrypt hash has other parameters"},
	{"alice:$y$j9T$F5!$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: crypt(3) does not take this hash"},
	{"alice:$y$", "users:1: this yescrypt hash is not complete"},
	{"alice:$y$j", "users:1: this yescrypt hash is not complete"},
	{"alice:$y$jFT$F5Jx5fExrKuPp53xLKQ..1$l5YiXCKNY/N9ezall4xjJAFS/wg.kWVcFXfOzyxVn1.",
		"users:1: the hash takes too long"},
	{"alice:" BCRYPT_Y "\nbob:" SHA256 "\nalice:" SHA256, "users:3: this user has been named"},
	{"a:" SHA256 "\na:" SHA256 "\na:" SHA256, "users:2: this user has been named"},
};

static void test_interrupted_file(void **state) {
	static const char text[] = "alice:" BCRYPT_Y "\n";
	const char *base = getenv("TMPDIR");
	char path[256];
	char error[AUTH_ERROR_MAX] = "";
	struct auth_users *users = NULL;
	(void)state;
	snprintf(path, sizeof(path), "%s/websocksy-unit-XXXXXX", base ? base : "/tmp");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	interruptions = 3;
	assert_int_equal(auth_users_read(path, &users, error), 0);
	assert_int_equal(interruptions, 0);
	assert_true(auth_users_has(users, "alice"));
	auth_users_free(users);
	unlink(path);
}

static void test_bad_files(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(bad_files); i++) {
		struct auth_users *users = NULL;
		char error[AUTH_ERROR_MAX] = "";
		size_t len = strlen(bad_files[i].text);
		struct guard guard = guard_new(bad_files[i].text, len);
		assert_int_equal(auth_users_parse(
					 "users", (const char *)guard.data, len, &users, error),
			-EINVAL);
		guard_free(&guard);
		if(strncmp(error, bad_files[i].error, strlen(bad_files[i].error)) != 0) {
			fail_msg("%zu: \"%s\"", i, error);
		}
		assert_null(users);
	}
}

/* Any part of a good file is good or bad, and never more than that. */
static void test_cut_file(void **state) {
	(void)state;
	static const char text[] = "# c\nalice:" SHA512 "\r\nbob:" YESCRYPT "\nc:" BCRYPT_B;
	for(size_t len = 0; len < sizeof(text); len++) {
		struct guard guard = guard_new(text, len);
		struct auth_users *users = NULL;
		char error[AUTH_ERROR_MAX];
		if(auth_users_parse("users", (const char *)guard.data, len, &users, error) == 0) {
			auth_users_free(users);
		} else {
			assert_null(users);
		}
		guard_free(&guard);
	}
}

static void test_no_text(void **state) {
	(void)state;
	struct auth_users *users;
	char error[AUTH_ERROR_MAX];
	assert_int_equal(auth_users_parse("users", "a\n\0b", 4, &users, error), -EINVAL);
	assert_string_equal(error, "users:2: this is no text");
	assert_int_equal(auth_users_read("/", &users, error), -EISDIR);
	assert_string_equal(error, "/: Is a directory");
	assert_int_equal(auth_users_read("/dev/zero", &users, error), -EINVAL);
	assert_string_equal(error, "/dev/zero: this is no regular file");
	assert_int_equal(auth_users_read("/nonexistent", &users, error), -ENOENT);
}

/* ---- credentials ---- */

static const struct {
	const char *value;
	int result;
	const char *user;
	const char *password;
} headers[] = {
	{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"}, /* RFC 7617, 2 */
	{"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"},
	{"BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 0, "Aladdin", "open sesame"},
	{"Basic dGVzdDoxMjPCow==", 0, "test", "123\xc2\xa3"}, /* RFC 7617, 2.1 */
	{"Basic YTpiOmM6", 0, "a", "b:c:"},
	{"Basic Og==", 0, "", ""},
	{"Basic YTo=", 0, "a", ""},
	{"Basic OmI=", 0, "", "b"},
	{"", -EPROTONOSUPPORT, NULL, NULL},
	{"Basic", -EPROTONOSUPPORT, NULL, NULL},
	{"Basi", -EPROTONOSUPPORT, NULL, NULL},
	{"Bearer abc", -EPROTONOSUPPORT, NULL, NULL},
	{"Basics QWxhZGRpbjpvcGVuIHNlc2FtZQ==", -EPROTONOSUPPORT, NULL, NULL},
	{"Basic ", -EINVAL, NULL, NULL},
	{"Basic =", -EINVAL, NULL, NULL},
	{"Basic ====", -EINVAL, NULL, NULL},
	{"Basic YQ==", -EINVAL, NULL, NULL}, /* no colon */
	{"Basic YTo", -EINVAL, NULL, NULL}, /* no padding */
	{"Basic YTo=x", -EINVAL, NULL, NULL},
	{"Basic YTo= ", -EINVAL, NULL, NULL},
	{"Basic Y To=", -EINVAL, NULL, NULL},
	{"Basic a:b", -EINVAL, NULL, NULL},
	{"Basic dGVzdDoxMjOj", -EINVAL, NULL, NULL}, /* ISO 8859-1 */
	{"Basic YTpiAGM=", -EINVAL, NULL, NULL}, /* NUL */
	{"Basic YQo6Yg==", -EINVAL, NULL, NULL}, /* line feed in the name */
};

static void test_basic(void **state) {
	(void)state;
	for(size_t i = 0; i < COUNT(headers); i++) {
		struct auth_credentials credentials;
		size_t len = strlen(headers[i].value);
		struct guard guard = guard_new(headers[i].value, len);
		int result = auth_parse_basic((const char *)guard.data, len, &credentials);
		guard_free(&guard);
		if(result != headers[i].result) {
			fail_msg("%s: %d", headers[i].value, result);
		}
		if(result == 0) {
			assert_string_equal(credentials.user, headers[i].user);
			assert_string_equal(credentials.password, headers[i].password);
		}
	}
}

static void test_cut_basic(void **state) {
	(void)state;
	static const char value[] = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZTEy";
	for(size_t len = 0; len < strlen(value); len++) {
		struct auth_credentials credentials;
		struct guard guard = guard_new(value, len);
		int result = auth_parse_basic((const char *)guard.data, len, &credentials);
		guard_free(&guard);
		/* Whole groups of four characters are a shorter password. */
		bool good = len >= 18 && (len - 6) % 4 == 0;
		assert_int_equal(result == 0, good);
	}
}

/* Writes "Basic " and the base64 form of `user` times 'A' ("AAA" is "QUFB"), ':' and the rest. */
static int parse_long(size_t groups, const char *tail, struct auth_credentials *out) {
	char value[2048] = "Basic ";
	size_t at = 6;
	for(size_t i = 0; i < groups; i++, at += 4) {
		memcpy(value + at, "QUFB", 4);
	}
	strcpy(value + at, tail);
	struct guard guard = guard_new(value, strlen(value));
	int result = auth_parse_basic((const char *)guard.data, strlen(value), out);
	guard_free(&guard);
	return result;
}

static void test_long_basic(void **state) {
	(void)state;
	struct auth_credentials credentials;
	assert_int_equal(parse_long(85, "OkFB", &credentials), 0); /* 255 * A, ":AA" */
	assert_int_equal(strlen(credentials.user), 255);
	assert_string_equal(credentials.password, "AA");
	assert_int_equal(parse_long(85, "QTpB", &credentials), -EINVAL); /* 256 */
	assert_int_equal(parse_long(400, "OkFB", &credentials), -EINVAL);
}

/* ---- the thread ---- */

struct bench {
	struct loop loop;
	struct auth *auth;
	struct auth_users *users;
	struct auth_job *job;
	struct ev_timer watchdog;
	int calls;
	enum auth_result result;
};

static void answered(void *ctx, enum auth_result result) {
	struct bench *bench = ctx;
	bench->calls++;
	bench->result = result;
	bench->loop.stop = true;
}

static void too_late(struct ev_timer *timer) {
	(void)timer;
	fail_msg("no answer from the thread");
}

static void bench_open(struct bench *bench, const char *text) {
	*bench = (struct bench){0};
	assert_int_equal(loop_open(&bench->loop), 0);
	assert_int_equal(loop_timer_open(&bench->loop, &bench->watchdog, too_late), 0);
	assert_int_equal(auth_open(&bench->auth, &bench->loop), 0);
	assert_null(auth_get_users(bench->auth));
	bench->users = parse(text);
	auth_set_users(bench->auth, bench->users);
}

static void bench_close(struct bench *bench) {
	auth_close(bench->auth);
	loop_timer_close(&bench->loop, &bench->watchdog);
	loop_close(&bench->loop);
	auth_users_free(bench->users);
}

static int ask(struct bench *bench, const char *user, const char *password) {
	struct auth_credentials credentials = {0};
	strcpy(credentials.user, user);
	strcpy(credentials.password, password);
	return auth_check(bench->auth, &credentials, answered, bench, &bench->job);
}

static void wait_calls(struct bench *bench, int calls) {
	while(bench->calls < calls) {
		bench->loop.stop = false;
		loop_timer_set(&bench->loop, &bench->watchdog,
					 bench->loop.now_ms + AUTH_CACHE_MS * 100);
		assert_int_equal(loop_run(&bench->loop), 0);
	}
}

static enum auth_result verify(struct bench *bench, const char *user, const char *password) {
	int calls = bench->calls;
	assert_int_equal(ask(bench, user, password), -EINPROGRESS);
	assert_int_equal(bench->calls, calls);
	wait_calls(bench, calls + 1);
	return bench->result;
}

static void test_kinds(void **state) {
	(void)state;
	static const char *const names[] = {"2a", "2y", "2b", "6", "6p", "5", "y"};
	struct bench bench;
	bench_open(&bench,
		"2a:" BCRYPT_A "\n2y:" BCRYPT_Y "\n2b:" BCRYPT_B "\n6:" SHA512 "\n6p:" SHA512_PLAIN "\n5:" SHA256
		"\ny:" YESCRYPT "\ncolons:" BCRYPT_COLONS);
	for(size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(verify(&bench, names[i], "secret2"), AUTH_DENIED);
		assert_int_equal(verify(&bench, names[i], "Secret"), AUTH_DENIED);
		assert_int_equal(verify(&bench, names[i], ""), AUTH_DENIED);
		assert_int_equal(verify(&bench, names[i], "secret"), AUTH_GRANTED);
		assert_int_equal(ask(&bench, names[i], "secret"), 0);
		assert_int_equal(verify(&bench, names[i], "secret2"), AUTH_DENIED);
	}
	assert_int_equal(verify(&bench, "colons", "p:a:ß€"), AUTH_GRANTED);
	assert_int_equal(verify(&bench, "colons", "p:a"), AUTH_DENIED);
	bench_close(&bench);
}

/* A name that is not there is hashed with somebody's salt, and must not get in with that one's password. */
static void test_unknown_user(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y);
	assert_int_equal(verify(&bench, "bob", "secret"), AUTH_DENIED);
	assert_int_equal(verify(&bench, "", "secret"), AUTH_DENIED);
	assert_int_equal(verify(&bench, "bob", "secret"), AUTH_DENIED); /* not remembered */
	bench_close(&bench);
}

static void test_no_users(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "# nobody");
	assert_int_equal(ask(&bench, "alice", "secret"), -EACCES);
	bench_close(&bench);
}

static void test_cache_expires(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y "\nbob:" BCRYPT_Y);
	assert_int_equal(verify(&bench, "alice", "secret"), AUTH_GRANTED);
	uint64_t verified_ms = bench.loop.now_ms;
	bench.loop.now_ms = verified_ms + AUTH_CACHE_MS - 1;
	assert_int_equal(ask(&bench, "alice", "secret"), 0);
	bench.loop.now_ms = verified_ms + AUTH_CACHE_MS;
	assert_int_equal(verify(&bench, "alice", "secret"), AUTH_GRANTED);
	assert_int_equal(ask(&bench, "alice", "secret"), 0);
	assert_int_equal(verify(&bench, "bob", "secret"), AUTH_GRANTED); /* another key */
	auth_set_users(bench.auth, bench.users);
	assert_int_equal(verify(&bench, "alice", "secret"), AUTH_GRANTED);
	bench_close(&bench);
}

/* More are verified than are remembered: the oldest goes. */
static void test_cache_is_bounded(void **state) {
	(void)state;
	struct bench bench;
	char *text = malloc(AUTH_CACHE_MAX * 80 + 80);
	size_t len = 0;
	for(int i = 0; i <= AUTH_CACHE_MAX; i++) {
		len += (size_t)sprintf(text + len, "user%d:" BCRYPT_Y "\n", i);
	}
	bench_open(&bench, text);
	for(int i = 0; i <= AUTH_CACHE_MAX; i++) {
		char name[32];
		sprintf(name, "user%d", i);
		assert_int_equal(verify(&bench, name, "secret"), AUTH_GRANTED);
	}
	assert_int_equal(ask(&bench, "user256", "secret"), 0);
	assert_int_equal(ask(&bench, "user1", "secret"), 0);
	assert_int_equal(verify(&bench, "user0", "secret"), AUTH_GRANTED);
	free(text);
	bench_close(&bench);
}

static void test_stale(void **state) {
	(void)state;
	struct bench bench;
	bench_open(&bench, "alice:" BCRYPT_Y);
	assert_int_equal(ask(&bench, "alice", "secret"), -EINPROGRESS);
	auth_set_users(bench.auth, bench.users);
	wait_calls(&bench, 1);
	assert_int_equal(bench.result, AUTH_STALE);
	assert_int_equal(verify(&bench, "alice", "secret"), AUTH_GRANTED);
	bench_close(&bench);
}

static void test_cancel(void **state) {
	(void)state;
	struct bench bench;
	struct auth_job *jobs[8];
	bench_open(&bench, "alice:" BCRYPT_Y);
	auth_cancel(NULL);
	for(size_t i = 0; i < COUNT(jobs); i++) { /* one may be running, the others wait */
		char password[16];
		sprintf(password, "%zu", i);
		assert_int_equal(ask(&bench, "alice", password), -EINPROGRESS);
		jobs[i] = bench.job;
	}
	for(size_t i = 0; i < COUNT(jobs); i++) {
		auth_cancel(jobs[i]);
	}
	assert_int_equal(verify(&bench, "alice", "secret"), AUTH_GRANTED);
	assert_int_equal(bench.calls, 1);
	bench_close(&bench);
}

/* The thread may take some while they are put in, so more than fit are needed to see the end. */
static void test_queue_is_bounded(void **state) {
	(void)state;
	struct bench bench;
	int taken = 0;
	int result = -EINPROGRESS;
	bench_open(&bench, "alice:$2y$10$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW");
	struct auth_job *jobs[AUTH_QUEUE_MAX * 2];
	while(result == -EINPROGRESS) {
		char password[16];
		assert_true(taken < AUTH_QUEUE_MAX * 2);
		sprintf(password, "%d", taken);
		result = ask(&bench, "alice", password);
		if(result == -EINPROGRESS) {
			jobs[taken++] = bench.job;
		}
	}
	assert_int_equal(result, -EBUSY);
	assert_true(taken >= AUTH_QUEUE_MAX);
	for(int i = 0; i < taken; i++) {
		auth_cancel(jobs[i]);
	}
	assert_int_equal(ask(&bench, "alice", "again"), -EINPROGRESS);
	auth_cancel(bench.job);
	bench_close(&bench);
}

/* Credentials that wait several times cost one hash: they overtake others that came between them. */
static void note(void *ctx, enum auth_result result) {
	char **order = ctx;
	*(*order)++ = result == AUTH_GRANTED ? 'y' : 'n';
	**order = '\0';
}

static void test_alike(void **state) {
	(void)state;
	static const char *const passwords[] = {"x", "secret", "other", "secret", "another", "secret"};
	struct bench bench;
	char answers[COUNT(passwords) + 1];
	char *order = answers;
	/* The first is slow, so that the others are in the queue when it is done. */
	bench_open(&bench,
		"slow:$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW\nalice:" BCRYPT_Y);
	for(size_t i = 0; i < COUNT(passwords); i++) {
		struct auth_credentials credentials = {0};
		strcpy(credentials.user, i == 0 ? "slow" : "alice");
		strcpy(credentials.password, passwords[i]);
		assert_int_equal(
			auth_check(bench.auth, &credentials, note, &order, &bench.job),
			-EINPROGRESS);
	}
	assert_int_equal(verify(&bench, "alice", "the last"), AUTH_DENIED);
	assert_string_equal(answers, "nyyynn");
	bench_close(&bench);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_interrupted_file),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_cut_file),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_cut_basic),
		cmocka_unit_test(test_long_basic),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_unknown_user),
		cmocka_unit_test(test_no_users),
		cmocka_unit_test(test_cache_expires),
		cmocka_unit_test(test_cache_is_bounded),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_queue_is_bounded),
		cmocka_unit_test(test_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
