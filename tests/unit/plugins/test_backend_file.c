/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend, included as source so that its functions and its state are at hand; the
 * functions of the core that it calls are replaced by ones that remember, and openat2() by one that can fail.
 */
#include "support.h"

#include <errno.h>
#include <sys/syscall.h>

struct open_how;
static long fake_openat2(
	long number, int directory, const char *name, const struct open_how *how, size_t size);

#define syscall fake_openat2
#define core_framing fake_framing
#define core_refuse fake_refuse
#define core_log fake_log
#include "plugins/backend_file.c"
#include "plugins/backend_file/expression.c"
#include "plugins/backend_file/line.c"

static struct {
	char root[256];
	unsigned status;
	char message[128];
	int error; /* what openat2() fails with, so many times */
	unsigned failures;
} fake;

#undef syscall

static long fake_openat2(
	long number, int directory, const char *name, const struct open_how *how, size_t size) {
	if(fake.failures > 0) {
		fake.failures--;
		errno = fake.error;
		return -1;
	}
	return syscall(number, directory, name, how, size);
}

static int64_t fake_decode(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	(void)data;
	(void)last_read;
	(void)opcode;
	(void)framing_data;
	(void)config;
	return (int64_t)length;
}

ws_framing fake_framing(char *name) {
	return !name || !strcmp(name, "known") ? fake_decode : NULL;
}

void fake_log(ws_log_level level, const char *format, ...) {
	(void)level;
	(void)format;
}

void fake_refuse(websocket *ws, unsigned status, const char *message) {
	(void)ws;
	fake.status = status;
	snprintf(fake.message, sizeof(fake.message), "%s", message);
}

/* ---- a tree of files ---- */

static char *in_root(const char *name, char out[PATH_MAX]) {
	snprintf(out, PATH_MAX, "%s/%s", fake.root, name);
	return out;
}

static void write_bytes(const char *name, const char *data, size_t len) {
	char path[PATH_MAX];
	FILE *file = fopen(in_root(name, path), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void write_text(const char *name, const char *text) {
	write_bytes(name, text, strlen(text));
}

/* `root`/routes is the option path; root/secret lies outside. */
static int setup(void **unused) {
	char path[PATH_MAX];
	(void)unused;
	memset(&fake, 0, sizeof(fake));
	const char *temporary = getenv("TMPDIR");
	snprintf(fake.root, sizeof(fake.root), "%s/backend_file.XXXXXX",
		temporary ? temporary : P_tmpdir);
	assert_non_null(mkdtemp(fake.root));
	assert_int_equal(mkdir(in_root("routes", path), 0700), 0);
	write_text("secret", "tcp://secret *\n");
	assert_int_equal(init(), 1);
	assert_int_equal(configure((char[]){"path"}, in_root("routes", path)), 0);
	return 0;
}

static int teardown(void **unused) {
	char command[300];
	(void)unused;
	cleanup();
	snprintf(command, sizeof(command), "rm -rf '%s'", fake.root);
	return system(command);
}

static uint64_t set_expression(const char *expression) {
	char *copy = strdup(expression);
	uint64_t result = configure((char[]){"expression"}, copy);
	free(copy);
	return result;
}

/* ---- asking ---- */

struct ask {
	const char *endpoint;
	char *protocol[4]; /* up to the first NULL */
	ws_http_header header[4];
};

static ws_peer_info query_for(const struct ask *ask) {
	size_t protocols = 0;
	size_t headers = 0;
	char *offer[4];
	ws_http_header header[4];
	while(protocols < 4 && ask->protocol[protocols]) {
		offer[protocols] = ask->protocol[protocols];
		protocols++;
	}
	while(headers < 4 && ask->header[headers].tag) {
		header[headers] = ask->header[headers];
		headers++;
	}
	char *endpoint = strdup(ask->endpoint ? ask->endpoint : "/");
	fake.status = 0;
	fake.message[0] = 0;
	ws_peer_info peer = query(endpoint, protocols, offer, headers, header, NULL);
	free(endpoint);
	return peer;
}

static void peer_free(ws_peer_info *peer) {
	free(peer->host);
	free(peer->port);
	free(peer->framing_config);
}

static void expect_host(const struct ask *ask, const char *host) {
	ws_peer_info peer = query_for(ask);
	if(host) {
		assert_non_null(peer.host);
		assert_string_equal(peer.host, host);
		assert_int_equal(fake.status, 0);
	} else {
		assert_null(peer.host);
		assert_int_equal(fake.status, 404);
		assert_string_equal(fake.message, "no peer for this request");
	}
	peer_free(&peer);
}

/* A file that cannot be read: neither 404 nor the next expression. */
static void expect_unavailable(const char *endpoint) {
	const struct ask ask = {.endpoint = endpoint};
	ws_peer_info peer = query_for(&ask);
	assert_null(peer.host);
	assert_int_equal(fake.status, 503);
	assert_string_equal(fake.message, "the file with the peer of this request cannot be read");
	peer_free(&peer);
}

static void expect_endpoint(const char *endpoint, const char *host) {
	const struct ask ask = {.endpoint = endpoint};
	expect_host(&ask, host);
}

/* ---- options ---- */

static void test_options(void **unused) {
	(void)unused;
	char file[PATH_MAX];
	assert_int_not_equal(configure((char[]){"path"}, (char[]){"/no/such/directory"}), 0);
	assert_int_not_equal(configure((char[]){"path"}, in_root("secret", file)), 0);
	assert_int_not_equal(configure((char[]){"paths"}, file), 0);
	assert_int_not_equal(configure((char[]){""}, (char[]){""}), 0);
	assert_string_equal(state.path, in_root("routes", file));
}

static void test_expressions_are_checked(void **unused) {
	(void)unused;
	static const char *const bad[] = {"", "/", "%", "a%", "100%x", "%%", "%foo%", "%endpoint",
		"%Endpoint%", "%cookie:%", "%header:%", "%query:%", "%query%", "%cookie%",
		"%endpoint%%", "..", "../x", "a/..", "a/../b", "%endpoint%/../x"};
	static const char *const good[] = {"a", "/a/b", "%endpoint%", "x-%endpoint%-y/z",
		"%cookie:a%%header:B%", "a..b/..c", "%header:X-Y%/%endpoint%/d"};
	for(size_t i = 0; i < COUNT(bad); i++) {
		assert_int_not_equal(set_expression(bad[i]), 0);
	}
	assert_int_equal(state.expressions, 0);
	for(size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(set_expression(good[i]), 0);
	}
	assert_int_equal(state.expressions, COUNT(good));
}

static void test_missing_options_are_named(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/x"};
	assert_null(query_for(&ask).host);
	assert_int_equal(fake.status, 500);
	assert_non_null(strstr(fake.message, "expression"));
	cleanup();
	assert_int_equal(set_expression("x"), 0);
	assert_null(query_for(&ask).host);
	assert_int_equal(fake.status, 500);
	assert_non_null(strstr(fake.message, "path"));
}

/* ---- values ---- */

static void test_endpoint(void **unused) {
	(void)unused;
	set_expression("%endpoint%");
	write_text("routes/chat", "tcp://chat *\n");
	write_text("routes/a_b", "tcp://ab *\n");
	write_text("routes/_b", "tcp://b *\n");
	write_text("routes/a%62", "tcp://twice *\n");
	expect_endpoint("/chat", "tcp://chat");
	expect_endpoint("///chat", "tcp://chat");
	expect_endpoint("/chat?room=1", "tcp://chat");
	expect_endpoint("/chat?/../x", "tcp://chat");
	expect_endpoint("/%63hat", "tcp://chat");
	expect_endpoint("/a/b", "tcp://ab");
	expect_endpoint("/a%2Fb", "tcp://ab");
	expect_endpoint("/a%2fb", "tcp://ab");
	expect_endpoint("/%2Fb", "tcp://b");
	expect_endpoint("/a%2562", "tcp://twice");
	expect_endpoint("/chat/", "tcp://chat");
	expect_endpoint("/chat//?room=1", "tcp://chat");
	expect_endpoint("//a//", NULL);
	expect_endpoint("/Chat", NULL);
	expect_endpoint("/none", NULL);
	expect_endpoint("/", NULL);
	expect_endpoint("", NULL);
	expect_endpoint("/?chat", NULL);
	expect_endpoint("/chat%", NULL);
	expect_endpoint("/chat%2", NULL);
	expect_endpoint("/chat%zz", NULL);
	expect_endpoint("/chat%00", NULL);
	expect_endpoint("/chat%00.txt", NULL);
}

static void test_query(void **unused) {
	(void)unused;
	set_expression("%query:token%");
	write_text("routes/vm1", "tcp://vm1 *\n");
	write_text("routes/a_b", "tcp://ab *\n");
	write_text("routes/a%62", "tcp://twice *\n");
	write_text("routes/a+b", "tcp://plus *\n");
	expect_endpoint("/websockify?token=vm1", "tcp://vm1");
	expect_endpoint("/?token=vm1", "tcp://vm1");
	expect_endpoint("/?a=b&token=vm1&c", "tcp://vm1");
	expect_endpoint("/?xtoken=a&token=vm1", "tcp://vm1");
	expect_endpoint("/?token=vm1&token=a_b", "tcp://vm1");
	expect_endpoint("/?token=%76m1", "tcp://vm1");
	expect_endpoint("/?token=a%2fb", "tcp://ab");
	expect_endpoint("/?token=a/b", "tcp://ab");
	expect_endpoint("/?token=a%2562", "tcp://twice");
	expect_endpoint("/?token=a+b", "tcp://plus");
	static const char *const none[] = {"/", "/vm1", "/?", "/?token",
		"/?token=", "/?token=&token=vm1", "/?Token=vm1", "/?tok%65n=vm1", "/?token=vm2",
		"/?token=vm1%00", "/?token=%2e./vm1", "/?token=../routes/vm1", "/?token=.vm1",
		"/?token=vm1%", "/?token=%zz", "/?token=/vm1", "/?vm1", "/?&&", "/?token=vm1?"};
	for(size_t i = 0; i < COUNT(none); i++) {
		expect_endpoint(none[i], NULL);
	}
}

/* Each of these would find a file if a rule were missing. */
static void test_traversal(void **unused) {
	(void)unused;
	char from[PATH_MAX];
	char to[PATH_MAX];
	set_expression("%endpoint%");
	set_expression("%header:X%/secret");
	set_expression("sub/%header:X%");
	set_expression("%cookie:c%");
	write_text("routes/.hidden", "tcp://hidden *\n");
	assert_int_equal(mkdir(in_root("routes/sub", from), 0700), 0);
	assert_int_equal(symlink("../secret", in_root("routes/out", from)), 0);
	assert_int_equal(symlink(in_root("secret", to), in_root("routes/absolute", from)), 0);
	assert_int_equal(symlink("..", in_root("routes/parent", from)), 0);
	assert_int_equal(symlink("/proc/self/root", in_root("routes/magic", from)), 0);
	static const char *const values[] = {"..", ".", "../secret", "..%2fsecret",
		"%2e%2e%2fsecret", "%2e%2e/secret", ".hidden", "%2ehidden", "out", "absolute",
		"magic", "parent", "", "parent/secret", "sub", "sub/../../secret", "secret"};
	for(size_t i = 0; i < COUNT(values); i++) {
		char endpoint[64];
		char cookie[64];
		char *value = strdup(values[i]);
		snprintf(endpoint, sizeof(endpoint), "/%s", values[i]);
		snprintf(cookie, sizeof(cookie), "c=%s", values[i]);
		const struct ask ask = {
			.endpoint = endpoint, .header = {{"X", value}, {"Cookie", cookie}}};
		expect_host(&ask, NULL);
		free(value);
	}
	expect_endpoint(in_root("secret", to), NULL);
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
	assert_int_equal(configure((char[]){"path"}, path), 0);
	expect_endpoint("/real", "tcp://real");
}

static void test_headers(void **unused) {
	(void)unused;
	set_expression("user-%header:X-User%");
	write_text("routes/user-ann", "tcp://ann *\n");
	write_text("routes/user-a_b", "tcp://ab *\n");
	write_text("routes/user-50%25", "tcp://raw *\n");
	static const struct {
		ws_http_header header[3];
		const char *host;
	} cases[] = {
		{{{"X-User", "ann"}}, "tcp://ann"},
		{{{"x-uSER", "ann"}}, "tcp://ann"},
		{{{"X-Use", "no"}, {"X-Users", "no"}, {"x-user", "ann"}}, "tcp://ann"},
		{{{"X-User", "ann"}, {"X-User", "bob"}}, "tcp://ann"},
		{{{"X-User", "bob"}, {"X-User", "ann"}}, NULL},
		{{{"X-User", "a/b"}}, "tcp://ab"},
		{{{"X-User", "50%25"}}, "tcp://raw"},
		{{{"X-User", "%61nn"}}, NULL},
		{{{"X-User", ""}}, NULL},
		{{{"X-User", ".ann"}}, NULL},
		{{{"Cookie", "X-User=ann"}}, NULL},
		{{{NULL, NULL}}, NULL},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.header, cases[i].header, sizeof(cases[i].header));
		expect_host(&ask, cases[i].host);
	}
}

static void test_cookies(void **unused) {
	(void)unused;
	set_expression("%cookie:id%");
	write_text("routes/one", "tcp://one *\n");
	write_text("routes/\"one\"", "tcp://quoted *\n");
	write_text("routes/a=b", "tcp://equals *\n");
	static const struct {
		ws_http_header header[3];
		const char *host;
	} cases[] = {
		{{{"Cookie", "id=one"}}, "tcp://one"},
		{{{"cookie", "id=one"}}, "tcp://one"},
		{{{"Cookie", "a=b; id=one; c=d"}}, "tcp://one"},
		{{{"Cookie", "a=b;id=one"}}, "tcp://one"},
		{{{"Cookie", " ;; id= one \t; "}}, "tcp://one"},
		{{{"Cookie", "id=\"one\""}}, "tcp://quoted"},
		{{{"Cookie", "id=a=b"}}, "tcp://equals"},
		{{{"Cookie", "id=one; id=two"}}, "tcp://one"},
		{{{"Cookie", "id=two; id=one"}}, NULL},
		{{{"Cookie", "a=b"}, {"X", "y"}, {"Cookie", "id=one"}}, "tcp://one"},
		{{{"Cookie", "ID=one"}}, NULL},
		{{{"Cookie", "sid=one"}}, NULL},
		{{{"Cookie", "idx=one"}}, NULL},
		{{{"Cookie", "x=id=one"}}, NULL},
		{{{"Cookie", "idxone"}}, NULL},
		{{{"Cookie", "id"}}, NULL},
		{{{"Cookie", "id="}}, NULL},
		{{{"Cookie", "id= ; a=one"}}, NULL},
		{{{"Cookie", "id=../one"}}, NULL},
		{{{"Cookie", ""}}, NULL},
		{{{"X-Cookie", "id=one"}}, NULL},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.header, cases[i].header, sizeof(cases[i].header));
		expect_host(&ask, cases[i].host);
	}
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
	const struct ask ann = {.endpoint = "/one", .header = {{"Cookie", "id=ann"}}};
	expect_host(&ann, "tcp://ann");
	expect_endpoint("/one", "tcp://one");
	expect_endpoint("/two", "tcp://default");
	expect_endpoint("/", "tcp://default");
}

static void test_long_values(void **unused) {
	(void)unused;
	set_expression("%endpoint%");
	char *endpoint = malloc(3 * PATH_MAX);
	for(size_t len = PATH_MAX - 4; len < PATH_MAX + 4; len++) {
		memset(endpoint, 'a', len);
		endpoint[0] = '/';
		endpoint[len] = 0;
		expect_endpoint(endpoint, NULL);
	}
	memset(endpoint, 'a', 3 * PATH_MAX);
	endpoint[0] = '/';
	endpoint[3 * PATH_MAX - 1] = 0;
	expect_endpoint(endpoint, NULL);
	free(endpoint);
}

/* ---- files ---- */

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
	int fd = open_beneath(state.path, "directory");
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

struct line_case {
	const char *text;
	const char *host;
	const char *config;
};

static void test_lines(void **unused) {
	(void)unused;
	static const struct line_case cases[] = {
		{"tcp://a *", "tcp://a", ""},
		{"tcp://a *\n", "tcp://a", ""},
		{"tcp://a *\r\n", "tcp://a", ""},
		{"\n\r\n \t\n# tcp://no *\n  # no *\n\ttcp://a\t\t*  \n", "tcp://a", ""},
		{"tcp://a\n*\ntcp://b *\n", "tcp://b", ""},
		{"tcp://a * known", "tcp://a", ""},
		{"tcp://a * known ", "tcp://a", ""},
		{"tcp://a * known x y  z \r\n", "tcp://a", "x y  z"},
		{"tcp://a * known   # no comment", "tcp://a", "# no comment"},
		{"tcp://a name\ntcp://b *", "tcp://a", ""},
		{"", NULL, NULL},
		{"\n", NULL, NULL},
		{"tcp://a", NULL, NULL},
		{"tcp://a ", NULL, NULL},
		{"#", NULL, NULL},
	};
	set_expression("f");
	for(size_t i = 0; i < COUNT(cases); i++) {
		const struct ask ask = {.endpoint = "/"};
		write_text("routes/f", cases[i].text);
		expect_host(&ask, cases[i].host);
		ws_peer_info peer = query_for(&ask);
		if(cases[i].host) {
			assert_string_equal(peer.framing_config, cases[i].config);
			assert_null(peer.port);
			assert_int_equal(peer.transport, peer_transport_detect);
		}
		peer_free(&peer);
	}
}

static void test_line_with_nul_is_skipped(void **unused) {
	(void)unused;
	static const char text[] = "tcp://a\0 *\ntcp://b *\n";
	static const char end[] = "tcp://a *\0\ntcp://b *\n";
	static const char start[] = "\0tcp://a *\ntcp://b *\n";
	set_expression("f");
	write_bytes("routes/f", text, sizeof(text) - 1);
	expect_endpoint("/", "tcp://b");
	write_bytes("routes/f", end, sizeof(end) - 1);
	expect_endpoint("/", "tcp://b");
	write_bytes("routes/f", start, sizeof(start) - 1);
	expect_endpoint("/", "tcp://b");
}

static void test_framing(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/"};
	set_expression("f");
	set_expression("fallback");
	write_text("routes/fallback", "tcp://fallback *\n");
	write_text("routes/f", "tcp://a * known lf\n");
	ws_peer_info peer = query_for(&ask);
	assert_ptr_equal(peer.framing, fake_decode);
	peer_free(&peer);
	write_text("routes/f", "tcp://a *\n");
	peer = query_for(&ask);
	assert_null(peer.framing);
	peer_free(&peer);
	write_text("routes/f", "tcp://a * unknown\ntcp://b *\n");
	peer = query_for(&ask);
	assert_null(peer.host);
	assert_int_equal(fake.status, 500);
	assert_non_null(strstr(fake.message, "framing"));
}

static void test_subprotocols(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		char *offer[4];
		const char *host; /* NULL: 404 */
		size_t protocol;
	} cases[] = {
		{"tcp://a x\ntcp://b y\n", {0}, "tcp://a", 0},
		{"tcp://a x\ntcp://b y\n", {"x"}, "tcp://a", 0},
		{"tcp://a x\ntcp://b y\n", {"y"}, "tcp://b", 0},
		{"tcp://a x\ntcp://b y\n", {"y", "x"}, "tcp://a", 1},
		{"tcp://a x\ntcp://b y\n", {"z", "w", "y"}, "tcp://b", 2},
		{"tcp://a x\ntcp://b y\n", {"z"}, NULL, 0},
		{"tcp://a x\ntcp://b y\n", {"X"}, NULL, 0},
		{"tcp://a x\ntcp://b y\n", {"xx"}, NULL, 0},
		{"tcp://a x\ntcp://b *\n", {"z", "w"}, "tcp://b", 0},
		{"tcp://a *\ntcp://b x\n", {"z", "x"}, "tcp://a", 0},
		{"tcp://a x,y\n", {"z", "y", "x"}, "tcp://a", 2},
		{"tcp://a x,y\ntcp://b z\n", {"z", "y"}, "tcp://a", 1},
		{"tcp://a x,y\ntcp://b z\n", {"z", "x,y"}, "tcp://b", 0},
		{"tcp://a ,x,,*\n", {"z", "x"}, "tcp://a", 1},
		{"tcp://a ,x,,*\n", {"z", "w"}, "tcp://a", 0},
		{"tcp://a ,\n", {"z"}, NULL, 0},
	};
	set_expression("f");
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct ask ask = {.endpoint = "/"};
		memcpy(ask.protocol, cases[i].offer, sizeof(ask.protocol));
		write_text("routes/f", cases[i].text);
		expect_host(&ask, cases[i].host);
		ws_peer_info peer = query_for(&ask);
		assert_int_equal(peer.protocol, cases[i].protocol);
		peer_free(&peer);
	}
}

/* A file without a line for the offer is skipped as one that is not there. */
static void test_no_line_tries_the_next(void **unused) {
	(void)unused;
	const struct ask ask = {.endpoint = "/", .protocol = {"y"}};
	set_expression("f");
	set_expression("g");
	write_text("routes/f", "tcp://a x\n");
	write_text("routes/g", "tcp://b y\n");
	expect_host(&ask, "tcp://b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	static const struct CMUnitTest tests[] = {
		TEST(test_options),
		TEST(test_expressions_are_checked),
		TEST(test_missing_options_are_named),
		TEST(test_endpoint),
		TEST(test_query),
		TEST(test_traversal),
		TEST(test_links_inside),
		TEST(test_headers),
		TEST(test_cookies),
		TEST(test_expressions_in_order),
		TEST(test_long_values),
		TEST(test_other_than_regular_files),
		TEST(test_size_limit),
		TEST(test_failure_is_no_absence),
		TEST(test_open_is_tried_again),
		TEST(test_lines),
		TEST(test_line_with_nul_is_skipped),
		TEST(test_framing),
		TEST(test_subprotocols),
		TEST(test_no_line_tries_the_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
