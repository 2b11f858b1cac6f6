/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Backends that are compiled from a few lines, and asked.
 */
#ifndef WEBSOCKSY_TESTS_BACKEND_BENCH_H
#define WEBSOCKSY_TESTS_BACKEND_BENCH_H
#include "base/log.h"
#include "objects.h"

#include <errno.h>

#define INIT(version) "uint64_t init(void) { return " version "; }"
#define QUERY(code)                                                                                \
	"ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers, "   \
	"ws_http_header *header, websocket *ws) { ws_peer_info peer = {0}; " code                  \
	" return peer; }"

static inline int load(const char *name, struct backend **out) {
	return backend_load(test.root, name, out, test.error);
}

static inline struct backend_answer ask(struct backend *backend) {
	char endpoint[] = "/path?query";
	char key[] = "a key";
	char first[] = "p0";
	char second[] = "p1";
	char *protocol[] = {first, second};
	char tag[] = "X-Tag";
	char value[] = "value";
	ws_http_header header[WS_HEADER_LIMIT + 2];
	for(size_t i = 0; i < COUNT(header); i++) {
		header[i] = (ws_http_header){tag, value};
	}
	struct backend_request request = {
		42, {{0}}, endpoint, key, 2, protocol, COUNT(header), header, NULL, NULL, NULL};
	struct backend_answer answer;
	assert_int_equal(backend_query(backend, &request, &answer, NULL), 0);
	return answer;
}
#endif
