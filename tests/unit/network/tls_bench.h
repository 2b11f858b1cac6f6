/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two TLS streams in one loop, or a stream and a session of GnuTLS, and the wire between them,
 * which passes on as much as the test lets it.
 */
#ifndef WEBSOCKSY_TESTS_TLS_BENCH_H
#define WEBSOCKSY_TESTS_TLS_BENCH_H
#include "network/key_files.h"
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
#define HANG_SECONDS 600 /* a read that does not end is killed by SIGALRM, and the test has failed */
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

struct files {
	char folder[PATH_CAP];
	char cert[PATH_CAP + 16];
	char key[PATH_CAP + 16];
	char other[PATH_CAP + 16];
};

static inline void make_certificate(const char *path, gnutls_x509_privkey_t key) {
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
	write_file(path, text.data, text.size);
	gnutls_free(text.data);
	gnutls_x509_crt_deinit(crt);
}

static inline int make_files(void **state) {
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

static inline int remove_files(void **state) {
	struct files *files = *state;
	unlink(files->cert);
	unlink(files->key);
	unlink(files->other);
	rmdir(files->folder);
	free(files);
	return 0;
}

static inline void over(struct side *side, ssize_t how) {
	side->over = true;
	side->end = how;
	if(how == 0 && side->response_end) {
		stream_finish(&side->stream);
	}
}

static inline size_t room_for(size_t len) {
	size_t room = 1 << 16;
	while(room < len) {
		room *= 2;
	}
	return room;
}

/* Doubles: with sanitizers each realloc() copies. */
static inline uint8_t *grow(uint8_t *data, size_t len, size_t more) {
	if(!data || room_for(len) < len + more) {
		data = realloc(data, room_for(len + more));
		assert_non_null(data);
	}
	return data;
}

static inline void read_once(struct side *side) {
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

static inline void try_handshake(struct side *side) {
	int result = tls_stream_handshake(&side->stream);
	if(result == 0) {
		side->up = true;
	} else if(result != -EAGAIN) {
		over(side, result);
		stream_want_read(&side->stream, false);
	}
}

static inline void side_event(struct stream *stream, unsigned events) {
	struct side *side = container_of(stream, struct side, stream);
	side->test->calls++;
	if(side->client && !side->up && !side->over) {
		try_handshake(side);
	} else if(events & STREAM_READABLE) {
		read_once(side);
	}
}

static inline void side_open(
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

static inline bool way_take(struct way *way) {
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

static inline bool way_give(struct way *way) {
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

static inline void stop_turn(struct deferred_free *dead) {
	container_of(dead, struct test, stopper)->loop.stop = true;
}

static inline void run_turn(struct test *test) {
	test->stopper.free = stop_turn;
	loop_defer_free(&test->loop, &test->stopper);
	test->loop.stop = false;
	assert_int_equal(loop_run(&test->loop), 0);
}

static inline bool one_round(struct test *test) {
	unsigned calls = test->calls;
	bool moved = way_take(&test->up);
	moved = way_give(&test->up) || moved;
	moved = way_take(&test->down) || moved;
	moved = way_give(&test->down) || moved;
	run_turn(test);
	return moved || test->calls != calls;
}

/* Until nothing happens any more. What a cut withheld comes then. */
static inline void run_until_quiet(struct test *test) {
	for(unsigned quiet = 0; quiet < QUIET_TURNS;) {
		quiet = one_round(test) ? 0 : quiet + 1;
		if(quiet == QUIET_TURNS && (test->up.held_len > 0 || test->down.held_len > 0)) {
			test->up.cut = UNCUT;
			test->down.cut = UNCUT;
			quiet = 0;
		}
	}
}

static inline void begin(
	struct test *test, const struct files *files, const char *priority, bool detect) {
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

static inline void begin_client_for(struct test *test, const char *host) {
	assert_int_equal(tls_session_connect(&test->a.stream, test->client, host), 0);
	try_handshake(&test->a);
}

static inline void begin_client(struct test *test) {
	begin_client_for(test, "server.example");
}

static inline void end(struct test *test) {
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

static const char *const versions[] = {
	"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"};
#endif
