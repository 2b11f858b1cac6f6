/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The file backend, included as source, and a directory with files for it. The functions of the
 * core that it calls are replaced by ones that keep their arguments, and openat2() by one that can
 * fail.
 */
#ifndef WEBSOCKSY_TESTS_BACKEND_FILE_BENCH_H
#define WEBSOCKSY_TESTS_BACKEND_FILE_BENCH_H
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

static inline long fake_openat2(
	long number, int directory, const char *name, const struct open_how *how, size_t size) {
	if(fake.failures > 0) {
		fake.failures--;
		errno = fake.error;
		return -1;
	}
	return syscall(number, directory, name, how, size);
}

static inline int64_t fake_decode(uint8_t *data, size_t length, size_t last_read,
	ws_operation *opcode, void **framing_data, const char *config) {
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

static inline char *in_root(const char *name, char out[PATH_MAX]) {
	snprintf(out, PATH_MAX, "%s/%s", fake.root, name);
	return out;
}

static inline void write_bytes(const char *name, const char *data, size_t len) {
	char path[PATH_MAX];
	FILE *file = fopen(in_root(name, path), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text) {
	write_bytes(name, text, strlen(text));
}

/* `root`/routes is the option path; root/secret lies outside. */
static inline int setup(void **unused) {
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

static inline int teardown(void **unused) {
	char command[300];
	(void)unused;
	cleanup();
	snprintf(command, sizeof(command), "rm -rf '%s'", fake.root);
	return system(command);
}

static inline uint64_t set_expression(const char *expression) {
	char *copy = strdup(expression);
	uint64_t result = configure((char[]){"expression"}, copy);
	free(copy);
	return result;
}

struct ask {
	const char *endpoint;
	char *protocol[4]; /* up to the first NULL */
	ws_http_header header[4];
};

static inline ws_peer_info query_for(const struct ask *ask) {
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

static inline void peer_free(ws_peer_info *peer) {
	free(peer->host);
	free(peer->port);
	free(peer->framing_config);
}

static inline void expect_host(const struct ask *ask, const char *host) {
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

static inline void expect_endpoint(const char *endpoint, const char *host) {
	const struct ask ask = {.endpoint = endpoint};
	expect_host(&ask, host);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#endif
