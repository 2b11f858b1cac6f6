/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS streams, client and server, with a wire between them that the test holds in its hands: it cuts what
 * passes at every byte, withholds, ends. Reads of every capacity, both versions, both kinds of end. Sessions
 * that are no streams send what a stream never would, and GnuTLS itself is made to fail.
 */
#include "network/tls_internal.h"
#include "network/tls_session.h"
#include "network/tls_stream.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define UNCUT SIZE_MAX
#define QUIET_TURNS 3 /* so many turns without anything happening: nothing will */
#define BIG (3u * 1024 * 1024)
#define KEY_UPDATES 8 /* as many as GnuTLS accepts within a second */
#define VERDICT_TURNS 4 /* an error behind data is reported within so many */
#define HANG_SECONDS 30 /* a read that does not end is killed by SIGALRM, and the test has failed */
#define PATH_CAP 128
#ifdef __SANITIZE_ADDRESS__
#define CUT_STEP 5 /* each session takes ten times as long */
#else
#define CUT_STEP 1
#endif

struct side {
	struct stream stream;
	struct test *test;
	size_t cap; /* of one read */
	uint8_t *got;
	size_t len;
	bool client;
	bool up; /* client: the handshake is done */
	bool over;
	ssize_t end; /* how reading ended: 0 or negative errno */
	bool echo;
	bool response_end; /* finishes when the other side has */
};

/* One direction of the wire. */
struct way {
	int from;
	int to;
	uint8_t *held;
	size_t held_len;
	size_t passed;
	size_t cut; /* after so many bytes the rest waits until all is quiet */
	bool ended;
};

struct test {
	struct loop loop;
	struct deferred_free stopper;
	struct tls_credentials *server;
	struct tls_credentials *client;
	struct side a; /* client */
	struct side b; /* server */
	struct way up;
	struct way down;
	unsigned calls;
};

/* A session of GnuTLS at the other end of a stream's wire, in the place of one side. */
struct raw {
	struct test *test;
	gnutls_session_t session;
	gnutls_certificate_credentials_t credentials;
	struct way *in;
	struct way *out;
};

struct files {
	char folder[PATH_CAP];
	char cert[PATH_CAP + 16];
	char key[PATH_CAP + 16];
	char other[PATH_CAP + 16];
};

/* ---- certificates ---- */

static void write_file(const char *path, const gnutls_datum_t *text) {
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text->data, 1, text->size, file), text->size);
	assert_int_equal(fclose(file), 0);
}

static gnutls_x509_privkey_t make_key(const char *path) {
	gnutls_x509_privkey_t key;
	gnutls_datum_t text;
	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
				 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text), 0);
	write_file(path, &text);
	gnutls_free(text.data);
	return key;
}

static void make_certificate(const char *path, gnutls_x509_privkey_t key) {
	gnutls_x509_crt_t crt;
	gnutls_datum_t text;
	time_t now = time(NULL);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(crt, "\1\2\3", 3), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(crt, now - 86400), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, now + 86400), 0);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=server.example", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_subject_alt_name(
				 crt, GNUTLS_SAN_DNSNAME, "server.example", 14, GNUTLS_FSAN_SET),
		0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
	assert_int_equal(gnutls_x509_crt_set_ca_status(crt, 1), 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text), 0);
	write_file(path, &text);
	gnutls_free(text.data);
	gnutls_x509_crt_deinit(crt);
}

static int make_files(void **state) {
	struct files *files = calloc(1, sizeof(*files));
	const char *base = getenv("TMPDIR");
	assert_non_null(files);
	snprintf(files->folder, sizeof(files->folder), "%s/websocksy-unit-XXXXXX",
		base ? base : "/tmp");
	assert_non_null(mkdtemp(files->folder));
	snprintf(files->cert, sizeof(files->cert), "%s/cert.pem", files->folder);
	snprintf(files->key, sizeof(files->key), "%s/key.pem", files->folder);
	snprintf(files->other, sizeof(files->other), "%s/other.pem", files->folder);
	gnutls_x509_privkey_t key = make_key(files->key);
	make_certificate(files->cert, key);
	gnutls_x509_privkey_deinit(key);
	gnutls_x509_privkey_deinit(make_key(files->other));
	*state = files;
	return 0;
}

static int remove_files(void **state) {
	struct files *files = *state;
	unlink(files->cert);
	unlink(files->key);
	unlink(files->other);
	rmdir(files->folder);
	free(files);
	return 0;
}

/* ---- both sides ---- */

static void over(struct side *side, ssize_t how) {
	side->over = true;
	side->end = how;
	if(how == 0 && side->response_end) {
		stream_finish(&side->stream);
	}
}

static size_t room_for(size_t len) {
	size_t room = 1 << 16;
	while(room < len) {
		room *= 2;
	}
	return room;
}

/* Doubles: with sanitizers each realloc() copies. */
static uint8_t *grow(uint8_t *data, size_t len, size_t more) {
	if(!data || room_for(len) < len + more) {
		data = realloc(data, room_for(len + more));
		assert_non_null(data);
	}
	return data;
}

static void read_once(struct side *side) {
	uint8_t *scratch = side->test->loop.scratch;
	ssize_t got = stream_read(&side->stream, scratch, side->cap);
	if(got == -EAGAIN) {
		return;
	}
	if(got <= 0) {
		over(side, got);
		return;
	}
	assert_true((size_t)got <= side->cap);
	side->got = grow(side->got, side->len, (size_t)got);
	memcpy(side->got + side->len, scratch, (size_t)got);
	side->len += (size_t)got;
	if(side->echo) {
		assert_int_equal(stream_write(&side->stream, scratch, (size_t)got), 0);
	}
}

static void try_handshake(struct side *side) {
	int result = tls_stream_handshake(&side->stream);
	if(result == 0) {
		side->up = true;
	} else if(result != -EAGAIN) {
		over(side, result);
		stream_want_read(&side->stream, false);
	}
}

static void side_event(struct stream *stream, unsigned events) {
	struct side *side = container_of(stream, struct side, stream);
	side->test->calls++;
	if(side->client && !side->up && !side->over) {
		try_handshake(side);
	} else if(events & STREAM_READABLE) {
		read_once(side);
	}
}

static void side_open(
	struct test *test, struct side *side, bool client, struct way *out, struct way *in) {
	int fds[2];
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	side->test = test;
	side->client = client;
	side->cap = LOOP_SCRATCH_SIZE;
	side->end = 1;
	side->response_end = true;
	out->from = fds[1];
	in->to = fds[1];
	out->cut = UNCUT;
	assert_int_equal(
		stream_open(&side->stream, &test->loop, fds[0], &stream_tcp_ops, side_event), 0);
}

/* ---- the wire ---- */

static bool way_take(struct way *way) {
	uint8_t data[65536];
	ssize_t got = recv(way->from, data, sizeof(data), 0);
	if(got <= 0) {
		return false;
	}
	way->held = grow(way->held, way->held_len, (size_t)got);
	memcpy(way->held + way->held_len, data, (size_t)got);
	way->held_len += (size_t)got;
	return true;
}

static bool way_give(struct way *way) {
	size_t room = way->passed < way->cut ? way->cut - way->passed : 0;
	size_t len = way->held_len < room ? way->held_len : room;
	ssize_t sent = len > 0 ? send(way->to, way->held, len, MSG_NOSIGNAL) : 0;
	if(sent <= 0) {
		return false;
	}
	memmove(way->held, way->held + sent, way->held_len - (size_t)sent);
	way->held_len -= (size_t)sent;
	way->passed += (size_t)sent;
	return true;
}

static void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

static void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static bool one_round(struct test *test) {
	unsigned calls = test->calls;
	bool moved = way_take(&test->up);
	moved = way_give(&test->up) || moved;
	moved = way_take(&test->down) || moved;
	moved = way_give(&test->down) || moved;
	run_turn(test);
	return moved || test->calls != calls;
}

/* Until nothing happens any more. What a cut withheld comes then. */
static void run_until_quiet(struct test *test) {
	for(unsigned quiet = 0; quiet < QUIET_TURNS;) {
		quiet = one_round(test) ? 0 : quiet + 1;
		if(quiet == QUIET_TURNS && (test->up.held_len > 0 || test->down.held_len > 0)) {
			test->up.cut = UNCUT;
			test->down.cut = UNCUT;
			quiet = 0;
		}
	}
}

static void begin(struct test *test, const struct files *files, const char *priority, bool detect) {
	char error[TLS_ERROR_MAX];
	struct tls_error server_error;
	struct tls_pair pair = {files->cert, files->key};
	struct tls_server_options server = {.pairs = 1, .pair = &pair, .priority = priority};
	struct tls_client_options client = {.ca = files->cert};
	*test = (struct test){0};
	assert_int_equal(loop_open(&test->loop), 0);
	assert_int_equal(tls_credentials_open_server(&test->server, &server, &server_error), 0);
	assert_int_equal(tls_credentials_open_client(&test->client, &client, error), 0);
	side_open(test, &test->a, true, &test->up, &test->down);
	side_open(test, &test->b, false, &test->down, &test->up);
	test->b.echo = true;
	assert_int_equal(tls_session_accept(&test->b.stream, test->server, detect), 0);
}

static void begin_client_for(struct test *test, const char *host) {
	assert_int_equal(tls_session_connect(&test->a.stream, test->client, host), 0);
	try_handshake(&test->a);
}

static void begin_client(struct test *test) {
	begin_client_for(test, "server.example");
}

static void end(struct test *test) {
	stream_close(&test->a.stream);
	stream_close(&test->b.stream);
	close(test->up.from);
	close(test->down.from);
	tls_credentials_unref(test->client);
	tls_credentials_unref(test->server);
	free(test->up.held);
	free(test->down.held);
	free(test->a.got);
	free(test->b.got);
	loop_close(&test->loop);
}

/* ---- sessions that are no streams ---- */

static ssize_t raw_pull(gnutls_transport_ptr_t ptr, void *data, size_t cap) {
	struct raw *raw = ptr;
	struct way *way = raw->in;
	way_take(way);
	size_t len = way->held_len < cap ? way->held_len : cap;
	if(len == 0) {
		gnutls_transport_set_errno(raw->session, EAGAIN);
		return -1;
	}
	memcpy(data, way->held, len);
	memmove(way->held, way->held + len, way->held_len - len);
	way->held_len -= len;
	return (ssize_t)len;
}

/* What is sent waits on the wire until way_give(). */
static ssize_t raw_push(gnutls_transport_ptr_t ptr, const void *data, size_t len) {
	struct way *way = ((struct raw *)ptr)->out;
	way->held = grow(way->held, way->held_len, len);
	memcpy(way->held + way->held_len, data, len);
	way->held_len += len;
	return (ssize_t)len;
}

static void raw_open(struct raw *raw, struct test *test, const struct files *files, bool client) {
	*raw = (struct raw){.test = test};
	raw->in = client ? &test->down : &test->up;
	raw->out = client ? &test->up : &test->down;
	assert_int_equal(gnutls_certificate_allocate_credentials(&raw->credentials), 0);
	assert_int_equal(gnutls_certificate_set_x509_key_file(
				 raw->credentials, files->cert, files->key, GNUTLS_X509_FMT_PEM),
		0);
	unsigned flags = client ? GNUTLS_CLIENT : GNUTLS_SERVER;
	assert_int_equal(gnutls_init(&raw->session, flags | GNUTLS_NONBLOCK), 0);
	assert_int_equal(
		gnutls_priority_set_direct(raw->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), 0);
	assert_int_equal(
		gnutls_credentials_set(raw->session, GNUTLS_CRD_CERTIFICATE, raw->credentials), 0);
	gnutls_handshake_set_timeout(raw->session, GNUTLS_INDEFINITE_TIMEOUT);
	gnutls_transport_set_ptr(raw->session, raw);
	gnutls_transport_set_pull_function(raw->session, raw_pull);
	gnutls_transport_set_push_function(raw->session, raw_push);
}

static void raw_handshake(struct raw *raw) {
	int status = GNUTLS_E_AGAIN;
	for(int i = 0; i < 20; i++) {
		status = status == 0 ? 0 : gnutls_handshake(raw->session);
		assert_true(status == 0 || status == GNUTLS_E_AGAIN);
		way_give(raw->out);
		run_turn(raw->test);
	}
	assert_int_equal(status, 0);
}

static void raw_close(struct raw *raw) {
	gnutls_deinit(raw->session);
	gnutls_certificate_free_credentials(raw->credentials);
}

/* ---- a GnuTLS that fails when it is told to (the linker puts these two in front, see the Makefile) ---- */

ssize_t __real_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap);
ssize_t __wrap_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap);
size_t __real_gnutls_record_check_pending(gnutls_session_t session);
size_t __wrap_gnutls_record_check_pending(gnutls_session_t session);

static struct {
	bool armed;
	unsigned calls; /* so many calls go through first */
	int status; /* then one returns this, and the others GNUTLS_E_AGAIN; nothing is consumed */
	bool always; /* the others return it, too */
	size_t pending; /* what GnuTLS says it holds from then on */
} fault;

ssize_t __wrap_gnutls_record_recv(gnutls_session_t session, void *data, size_t cap) {
	if(!fault.armed || fault.calls > 0) {
		fault.calls -= fault.armed;
		return __real_gnutls_record_recv(session, data, cap);
	}
	int status = fault.status;
	fault.status = fault.always ? status : GNUTLS_E_AGAIN;
	return status;
}

size_t __wrap_gnutls_record_check_pending(gnutls_session_t session) {
	size_t pending = __real_gnutls_record_check_pending(session);
	return fault.armed && fault.calls == 0 && fault.pending > 0 ? fault.pending : pending;
}

/* ---- tests ---- */

static const char *const versions[] = {
	"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"};

/* A handshake, data each way, and close_notify, with both directions cut. Returns what has passed. */
static void exchange(
	const struct files *files, const char *priority, size_t up, size_t down, size_t passed[2]) {
	struct test test;
	begin(&test, files, priority, true);
	test.up.cut = up;
	test.down.cut = down;
	begin_client(&test);
	run_until_quiet(&test);
	assert_true(test.a.up);
	assert_true(tls_stream_is_active(&test.b.stream));
	assert_int_equal(stream_write(&test.a.stream, "hello", 5), 0);
	run_until_quiet(&test);
	assert_int_equal(test.a.len, 5);
	assert_memory_equal(test.a.got, "hello", 5);
	assert_false(test.b.over);
	stream_finish(&test.a.stream);
	run_until_quiet(&test);
	assert_true(test.b.over);
	assert_int_equal(test.b.end, 0);
	assert_true(test.a.over);
	assert_int_equal(test.a.end, 0);
	passed[0] = test.up.passed;
	passed[1] = test.down.passed;
	end(&test);
}

static void test_cut_everywhere(void **state) {
	for(size_t v = 0; v < 2; v++) {
		size_t passed[2];
		size_t again[2];
		exchange(*state, versions[v], UNCUT, UNCUT, passed);
		assert_true(passed[0] > 200 && passed[1] > 200);
		size_t longest = passed[0] > passed[1] ? passed[0] : passed[1];
		for(size_t at = 1; at < longest; at += CUT_STEP) {
			exchange(*state, versions[v], at, at, again);
		}
	}
}

/* Big data there and back, read in pieces of every kind, once an event. */
static void test_big_data(void **state) {
	static const size_t caps[] = {1000, 16384, 16385, LOOP_SCRATCH_SIZE};
	uint8_t *data = malloc(BIG);
	assert_non_null(data);
	for(size_t i = 0; i < BIG; i++) {
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	}
	for(size_t i = 0; i < 8; i++) {
		struct test test;
		begin(&test, *state, versions[i % 2], i & 4);
		test.a.cap = caps[i / 2];
		test.b.cap = caps[3 - i / 2];
		begin_client(&test);
		run_until_quiet(&test);
		assert_int_equal(stream_write(&test.a.stream, data, BIG), 0);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, BIG);
		assert_memory_equal(test.b.got, data, BIG);
		assert_int_equal(test.a.len, BIG);
		assert_memory_equal(test.a.got, data, BIG);
		end(&test);
	}
	free(data);
}

/* Much is on the wire before the reader takes small pieces: what is kept inside tells of itself. */
static void test_small_reads_of_much(void **state) {
	static uint8_t data[200 * 1024];
	for(size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i ^ i >> 8);
	}
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], false);
		test.b.echo = false;
		test.b.cap = 16384;
		begin_client(&test);
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, false);
		assert_int_equal(stream_write(&test.a.stream, data, sizeof(data)), 0);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, 0);
		stream_want_read(&test.b.stream, true);
		read_once(&test.b);
		size_t first = test.b.len;
		assert_true(first > 0 && first <= 16384);
		/* Paused again: nothing comes by itself, whatever is inside. */
		stream_want_read(&test.b.stream, false);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, first);
		stream_want_read(&test.b.stream, true);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, sizeof(data));
		assert_memory_equal(test.b.got, data, sizeof(data));
		end(&test);
	}
}

/* A read decrypted all records that were there: thousands of a byte each delayed all others. */
static void test_tiny_records(void **state) {
	static uint8_t data[2000];
	for(size_t i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)i;
	}
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], false);
		test.b.echo = false;
		begin_client(&test);
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, false);
		for(size_t i = 0; i < sizeof(data); i++) {
			assert_int_equal(stream_write(&test.a.stream, data + i, 1), 0);
		}
		run_until_quiet(&test);
		stream_want_read(&test.b.stream, true);
		read_once(&test.b);
		assert_true(test.b.len > 0 && test.b.len <= 256);
		run_until_quiet(&test);
		assert_int_equal(test.b.len, sizeof(data));
		assert_memory_equal(test.b.got, data, sizeof(data));
		end(&test);
	}
}

/* Plain bytes on a port that detects arrive as if nothing had happened, however they are cut. */
static void test_plain_is_detected(void **state) {
	static const char text[] = "GET / HTTP/1.1\r\n\r\n";
	for(size_t at = 1; at < sizeof(text); at++) {
		struct test test;
		begin(&test, *state, NULL, true);
		test.up.cut = at;
		assert_int_equal(stream_write(&test.a.stream, text, sizeof(text)), 0);
		test.a.up = true;
		run_until_quiet(&test);
		assert_false(tls_stream_is_active(&test.b.stream));
		assert_int_equal(test.b.len, sizeof(text));
		assert_memory_equal(test.b.got, text, sizeof(text));
		assert_int_equal(test.a.len, sizeof(text));
		end(&test);
	}
}

static void test_plain_is_refused_where_tls_is_required(void **state) {
	struct test test;
	begin(&test, *state, NULL, false);
	assert_int_equal(stream_write(&test.a.stream, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	test.a.up = true;
	run_until_quiet(&test);
	assert_true(test.b.over);
	assert_true(test.b.end < 0);
	assert_int_equal(test.b.len, 0);
	assert_non_null(tls_stream_reason(&test.b.stream));
	end(&test);
}

/* An end without close_notify is an error, as bytes may be missing; those before it are delivered. */
static void test_end_without_goodbye(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		run_until_quiet(&test);
		assert_int_equal(stream_write(&test.a.stream, "last", 4), 0);
		run_turn(&test);
		while(way_take(&test.up) || way_give(&test.up)) {
		}
		shutdown(test.up.to, SHUT_WR); /* data and end come at once */
		run_until_quiet(&test);
		assert_int_equal(test.b.len, 4);
		assert_true(test.b.over);
		assert_true(test.b.end < 0);
		end(&test);
	}
}

/* The end together with half a handshake is met, although no further event will come. */
static void test_end_within_the_handshake(void **state) {
	for(size_t at = 1; at < 250; at += CUT_STEP) {
		struct test test;
		begin(&test, *state, NULL, at % 2);
		test.up.cut = at;
		begin_client(&test);
		while(way_take(&test.up) || way_give(&test.up)) {
		}
		shutdown(test.up.to, SHUT_WR);
		for(int i = 0; i < QUIET_TURNS; i++) {
			run_turn(&test);
		}
		assert_true(test.b.over);
		assert_true(test.b.end < 0);
		end(&test);
	}
}

/* So far the wire lets the client's bytes pass; then it ends. */
static void end_after(const struct files *files, const char *priority, size_t at, bool reset) {
	struct test test;
	begin(&test, files, priority, at % 2);
	test.up.cut = at;
	begin_client(&test);
	for(unsigned quiet = 0; quiet < QUIET_TURNS;) {
		quiet = one_round(&test) ? 0 : quiet + 1;
	}
	assert_int_equal(test.up.passed, at);
	assert_false(test.b.over);
	shutdown(test.up.to, reset ? SHUT_RDWR : SHUT_WR);
	for(int i = 0; i < QUIET_TURNS; i++) {
		run_turn(&test);
	}
	assert_true(test.b.over);
	assert_true(test.b.end < 0);
	assert_int_equal(test.b.len, 0);
	end(&test);
}

/* A client may vanish behind any byte of its handshake, that of its last flight included. */
static void test_end_at_every_byte(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		run_until_quiet(&test);
		assert_true(test.a.up);
		size_t whole = test.up.passed;
		end(&test);
		for(size_t at = 1; at < whole - 8; at += CUT_STEP) {
			end_after(*state, versions[v], at, at % 3 == 0);
		}
	}
}

static void test_write_before_the_handshake(void **state) {
	struct test test;
	begin(&test, *state, NULL, false);
	assert_int_equal(stream_write(&test.b.stream, "x", 1), -ENOTCONN);
	end(&test);
}

/* The certificate is for server.example: what comes of a host that is called like this? */
static void expect_host(const struct files *files, const char *host, bool fine, const char *word) {
	struct test test;
	begin(&test, files, NULL, true);
	begin_client_for(&test, host);
	run_until_quiet(&test);
	assert_true(test.a.up == fine);
	assert_true(test.a.over == !fine);
	const char *reason = tls_stream_reason(&test.a.stream);
	if(fine ? reason != NULL : !reason || !strstr(reason, word)) {
		fail_msg("%s: \"%s\"", host, reason ? reason : "(none)");
	}
	assert_true(fine || strcmp(stream_reason(&test.a.stream, -EPROTO), reason) == 0);
	end(&test);
}

static void test_hosts(void **state) {
	expect_host(*state, "server.example", true, NULL);
	expect_host(*state, "SERVER.example", true, NULL);
	expect_host(*state, "server.example.", true, NULL); /* the root's dot */
	expect_host(*state, "other.example", false, "for another name");
	expect_host(*state, "www.server.example", false, "for another name");
	expect_host(*state, "example", false, "for another name");
	expect_host(*state, ".", false, "for another name");
	expect_host(*state, "127.0.0.1", false, "for another name");
	expect_host(*state, "fe80::1%lo", false, "for another name");
}

/* Of two pairs, the first of which is fine. */
/* How Java ends a session: a warning and then close_notify, here behind data and alone. */
static void test_warning_before_the_goodbye(void **state) {
	for(size_t i = 0; i < 4; i++) {
		struct test test;
		begin(&test, *state, versions[i % 2], true);
		begin_client(&test);
		run_until_quiet(&test);
		if(i & 2) {
			assert_int_equal(stream_write(&test.b.stream, "last", 4), 0);
		}
		/* The session is the first thing that a stream of this kind keeps. */
		gnutls_session_t session;
		memcpy(&session, test.b.stream.state, sizeof(session));
		assert_int_equal(
			gnutls_alert_send(session, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED), 0);
		stream_finish(&test.b.stream);
		run_until_quiet(&test);
		assert_int_equal(test.a.len, i & 2 ? 4 : 0);
		assert_true(test.a.over);
		assert_int_equal(test.a.end, 0);
		end(&test);
	}
}

/* A few turns, then `side` has what came in front of the failure, and the failure. */
static void expect_verdict(struct test *test, struct side *side, size_t len) {
	for(int i = 0; i < VERDICT_TURNS; i++) {
		run_turn(test);
	}
	assert_int_equal(side->len, len);
	assert_true(side->over);
	assert_true(side->end < 0);
	assert_non_null(tls_stream_reason(&side->stream));
	/* And for ever. */
	assert_int_equal(stream_read(&side->stream, test->loop.scratch, side->cap), side->end);
}

/*
 * One read brings data and then more new keys than GnuTLS takes. It reports that once, and then waits for input as if
 * nothing had happened.
 */
static void test_too_many_keys_behind_data(void **state) {
	for(int client = 0; client < 2; client++) {
		struct test test;
		struct raw raw;
		alarm(HANG_SECONDS);
		begin(&test, *state, NULL, true);
		test.b.echo = false;
		raw_open(&raw, &test, *state, client);
		if(client) {
			test.a.up = true; /* its place is taken */
		} else {
			begin_client(&test);
		}
		struct side *side = client ? &test.b : &test.a;
		raw_handshake(&raw);
		assert_false(tls_stream_in_handshake(&side->stream));
		for(int i = 0; i < KEY_UPDATES; i++) {
			assert_int_equal(gnutls_session_key_update(raw.session, 0), 0);
		}
		assert_int_equal(gnutls_record_send(raw.session, "data", 4), 4);
		assert_int_equal(gnutls_session_key_update(raw.session, 0), 0);
		assert_true(way_give(raw.out));
		assert_int_equal(raw.out->held_len, 0);
		expect_verdict(&test, side, 4);
		assert_memory_equal(side->got, "data", 4);
		raw_close(&raw);
		end(&test);
		alarm(0);
	}
}

/* What GnuTLS reports in the `calls`-th call, with input behind it that it never takes. */
static void expect_end_of_fault(
	const struct files *files, int status, unsigned calls, bool always) {
	struct test test;
	alarm(HANG_SECONDS);
	begin(&test, files, NULL, true);
	test.b.echo = false;
	begin_client(&test);
	run_until_quiet(&test);
	assert_int_equal(stream_write(&test.a.stream, "data", 4), 0);
	assert_int_equal(stream_write(&test.a.stream, "more", 4), 0);
	while(way_take(&test.up)) {
	}
	assert_true(way_give(&test.up));
	fault.armed = true;
	fault.calls = calls;
	fault.status = status;
	fault.always = always;
	expect_verdict(&test, &test.b, calls * 4);
	memset(&fault, 0, sizeof(fault));
	end(&test);
	alarm(0);
}

static void test_failures_that_are_not_repeated(void **state) {
	static const int statuses[] = {GNUTLS_E_MEMORY_ERROR, GNUTLS_E_TOO_MANY_HANDSHAKE_PACKETS,
		GNUTLS_E_DECRYPTION_FAILED, GNUTLS_E_UNEXPECTED_PACKET, GNUTLS_E_REHANDSHAKE,
		GNUTLS_E_WARNING_ALERT_RECEIVED, GNUTLS_E_INTERRUPTED, GNUTLS_E_AGAIN};
	for(size_t i = 0; i < COUNT(statuses); i++) {
		for(unsigned calls = 0; calls < 2; calls++) {
			expect_end_of_fault(*state, statuses[i], calls, false);
			expect_end_of_fault(*state, statuses[i], calls, true);
		}
	}
}

/* Plaintext inside GnuTLS that it does not hand out. */
static void test_pending_that_never_comes(void **state) {
	fault.pending = 4;
	expect_end_of_fault(*state, GNUTLS_E_AGAIN, 2, false);
}

static void expect_error(const struct files *files, struct tls_server_options options,
	const struct tls_pair *pair, const char *option, const char *word) {
	struct tls_credentials *context = NULL;
	struct tls_pair pairs[2] = {{files->cert, files->key}, *pair};
	struct tls_error error;
	options.pairs = 2;
	options.pair = pairs;
	assert_true(tls_credentials_open_server(&context, &options, &error) < 0);
	assert_null(context);
	assert_null(strchr(error.text, '\n'));
	assert_string_equal(error.option, option);
	if(strcmp(option, "cert") == 0 || strcmp(option, "key") == 0) {
		assert_int_equal(error.pair, 1);
	}
	if(!strstr(error.text, word)) {
		fail_msg("\"%s\" is not in \"%s\"", word, error.text);
	}
}

static void test_option_errors(void **state) {
	const struct files *files = *state;
	static const struct tls_server_options none;
	const struct tls_pair fine = {files->cert, files->key};
	const struct {
		struct tls_pair pair;
		const char *option;
		const char *word;
	} pairs[] = {
		{{files->cert, "/nowhere/key"}, "key", "/nowhere/key"},
		{{"/nowhere/cert", files->key}, "cert", "/nowhere/cert"},
		{{files->key, files->key}, "cert", files->key},
		{{files->cert, files->cert}, "key", files->cert},
		{{files->cert, NULL}, "cert", files->cert},
		{{files->cert, files->other}, "key", "does not belong"},
		{{files->folder, files->key}, "cert", files->folder},
		{{files->cert, files->folder}, "key", files->folder},
	};
	for(size_t i = 0; i < COUNT(pairs); i++) {
		expect_error(files, none, &pairs[i].pair, pairs[i].option, pairs[i].word);
	}
	struct tls_server_options options = {.priority = "NORMAL:+NONSENSE"};
	expect_error(files, options, &fine, "tls-priority", "NONSENSE");
	options = (struct tls_server_options){.client_ca = "/nowhere/ca"};
	expect_error(files, options, &fine, "client-ca", "/nowhere/ca");
	options.client_ca = files->key;
	expect_error(files, options, &fine, "client-ca", files->key);
}

/* A fifo in place of a file would make the daemon wait for a writer for ever. */
static void test_fifo_instead_of_a_file(void **state) {
	const struct files *files = *state;
	struct tls_server_options options = {0};
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/fifo", files->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	const struct tls_pair fine = {files->cert, files->key};
	const struct tls_pair cert = {path, files->key};
	const struct tls_pair key = {files->cert, path};
	alarm(10);
	expect_error(files, options, &cert, "cert", "Not a regular file");
	expect_error(files, options, &key, "key", "Not a regular file");
	options.client_ca = path;
	expect_error(files, options, &fine, "client-ca", "Not a regular file");
	alarm(0);
	unlink(path);
}

/* ---- resumption and abandoned handshakes ---- */

static time_t shown_time;

static time_t show_time(time_t *out) {
	if(out) {
		*out = shown_time;
	}
	return shown_time;
}

/*
 * Both sides show the certificate of `files`. The client resumes the session in `data`, if there is one, and the new
 * one is there afterwards. True: the server has accepted both.
 */
static bool connect_again(
	const struct files *files, struct tls_credentials *server, gnutls_datum_t *data) {
	struct tls_client_options client = {
		.ca = files->cert, .cert = files->cert, .key = files->key};
	char error[TLS_ERROR_MAX];
	struct test test = {0};
	assert_int_equal(loop_open(&test.loop), 0);
	test.server = tls_credentials_ref(server);
	assert_int_equal(tls_credentials_open_client(&test.client, &client, error), 0);
	side_open(&test, &test.a, true, &test.up, &test.down);
	side_open(&test, &test.b, false, &test.down, &test.up);
	test.b.echo = true;
	assert_int_equal(tls_session_accept(&test.b.stream, server, false), 0);
	assert_int_equal(tls_session_connect(&test.a.stream, test.client, "server.example"), 0);
	gnutls_session_t session = tls_of(&test.a.stream)->session;
	bool resumes = data->data != NULL;
	if(resumes) {
		assert_int_equal(gnutls_session_set_data(session, data->data, data->size), 0);
		gnutls_free(data->data);
		*data = (gnutls_datum_t){0};
	}
	try_handshake(&test.a);
	run_until_quiet(&test);
	bool accepted = test.a.up && !test.b.over;
	if(accepted) {
		assert_int_equal(stream_write(&test.a.stream, "hello", 5), 0);
		run_until_quiet(&test);
		assert_int_equal(test.a.len, 5);
		assert_int_equal(gnutls_session_is_resumed(session) != 0, resumes);
		assert_int_equal(gnutls_session_get_data2(session, data), 0);
	} else {
		assert_non_null(strstr(tls_stream_reason(&test.b.stream), "has expired"));
	}
	end(&test);
	return accepted;
}

/* A session ticket does not prolong the certificate of the client that it was given to. */
static void test_resumption_with_an_expired_certificate(void **state) {
	const struct files *files = *state;
	struct tls_pair pair = {files->cert, files->key};
	struct tls_server_options options = {
		.pairs = 1, .pair = &pair, .client_ca = files->cert, .verify = TLS_VERIFY_REQUIRED};
	time_t expires = time(NULL) + 86400; /* or a little earlier */
	gnutls_global_set_time_function(show_time);
	for(size_t v = 0; v < 2; v++) {
		gnutls_datum_t session = {0};
		struct tls_credentials *server;
		struct tls_error error;
		options.priority = versions[v];
		assert_int_equal(tls_credentials_open_server(&server, &options, &error), 0);
		shown_time = expires - 7200;
		assert_true(connect_again(files, server, &session));
		shown_time = expires - 3600;
		assert_true(connect_again(files, server, &session));
		shown_time = expires + 60;
		assert_false(connect_again(files, server, &session));
		tls_credentials_unref(server);
	}
	gnutls_global_set_time_function(time);
}

/* The key of session tickets is replaced after a day, and not before. */
static void test_ticket_key_is_replaced(void **state) {
	const struct files *files = *state;
	struct tls_pair pair = {files->cert, files->key};
	struct tls_server_options options = {.pairs = 1, .pair = &pair};
	struct tls_credentials *server;
	struct tls_error error;
	uint8_t first[256];
	assert_int_equal(tls_credentials_open_server(&server, &options, &error), 0);
	const gnutls_datum_t *key = tls_credentials_ticket_key(server, 5);
	assert_true(key->size > 0 && key->size <= sizeof(first));
	memcpy(first, key->data, key->size);
	key = tls_credentials_ticket_key(server, 5 + TLS_TICKET_KEY_MS - 1);
	assert_memory_equal(first, key->data, key->size);
	key = tls_credentials_ticket_key(server, 5 + TLS_TICKET_KEY_MS);
	assert_memory_not_equal(first, key->data, key->size);
	tls_credentials_unref(server);
}

/* The handshake of a client that has left is not computed: nothing is sent. */
static void test_abandoned_handshake(void **state) {
	for(size_t v = 0; v < 2; v++) {
		struct test test;
		begin(&test, *state, versions[v], true);
		begin_client(&test);
		assert_true(way_take(&test.up));
		assert_true(way_give(&test.up));
		shutdown(test.up.to, SHUT_WR);
		for(int i = 0; i < 4; i++) {
			run_turn(&test);
		}
		assert_true(test.b.over);
		assert_string_equal(tls_stream_reason(&test.b.stream),
			"the connection ended within the handshake");
		assert_false(way_take(&test.down));
		end(&test);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_big_data),
		cmocka_unit_test(test_small_reads_of_much),
		cmocka_unit_test(test_tiny_records),
		cmocka_unit_test(test_plain_is_detected),
		cmocka_unit_test(test_plain_is_refused_where_tls_is_required),
		cmocka_unit_test(test_end_without_goodbye),
		cmocka_unit_test(test_end_within_the_handshake),
		cmocka_unit_test(test_end_at_every_byte),
		cmocka_unit_test(test_write_before_the_handshake),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_warning_before_the_goodbye),
		cmocka_unit_test(test_too_many_keys_behind_data),
		cmocka_unit_test(test_failures_that_are_not_repeated),
		cmocka_unit_test(test_pending_that_never_comes),
		cmocka_unit_test(test_option_errors),
		cmocka_unit_test(test_fifo_instead_of_a_file),
		cmocka_unit_test(test_resumption_with_an_expired_certificate),
		cmocka_unit_test(test_ticket_key_is_replaced),
		cmocka_unit_test(test_abandoned_handshake),
	};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
