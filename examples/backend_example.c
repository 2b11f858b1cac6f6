/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A backend in its smallest useful form: ws://host/NAME is bridged to the Unix socket NAME in a
 * directory.
 *
 *     cc -std=c11 -Wall -Wextra -fPIC -shared -I. -o backend_example.so examples/backend_example.c
 *     websocksy -b example -c directory=/run/services
 *
 * What a client sends becomes part of a path here, so a name is made of harmless characters only,
 * and everything else is refused. The longer story is told in docs/plugins.md.
 */
#include <websocksy.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_LEN_MAX 64
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

/* A backend is looked up by these names: they have to be visible. */
WEBSOCKSY_EXPORT uint64_t init(void);
WEBSOCKSY_EXPORT uint64_t configure(char *key, char *value);
WEBSOCKSY_EXPORT ws_peer_info query(char *endpoint, size_t protocols, char **protocol,
	size_t headers, ws_http_header *header, websocket *ws);
WEBSOCKSY_EXPORT void cleanup(void);

/* The interface passes no pointer of the backend's own, so what it knows is kept here. */
static char *directory;

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

/* One option at a time; anything but 0 makes the daemon refuse the option and say so. */
uint64_t configure(char *key, char *value) {
	if(strcmp(key, "directory") != 0 || value[0] != '/') {
		return 1;
	}
	size_t size = strlen(value) + 1;
	char *copy = malloc(size);
	if(!copy) {
		return 1;
	}
	memcpy(copy, value, size);
	free(directory);
	directory = copy;
	return 0;
}

/* Length of the name in "/NAME"; 0 if it is not made of NAME_CHARACTERS alone. */
static size_t name_length(const char *endpoint) {
	size_t len = endpoint[0] == '/' ? strspn(endpoint + 1, NAME_CHARACTERS) : 0;
	/* "/NAME/more" and "/NAME?more" name the same socket; "/NAME.x", "/NAME%2e" none. */
	bool ends = len > 0 && strchr("/?", endpoint[1 + len]) != NULL;
	return ends && len <= NAME_LEN_MAX ? len : 0;
}

/* Called for each client. It must not wait for anything: nobody else is served meanwhile. */
ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers,
	ws_http_header *header, websocket *ws) {
	/* host NULL is a refusal, framing NULL is auto, protocol 0 the first offered (if any). */
	ws_peer_info peer = {.transport = peer_unix_stream};
	size_t len = name_length(endpoint);
	(void)protocols;
	(void)protocol;
	(void)headers;
	(void)header;
	if(!directory) {
		core_refuse(ws, 500, "The option directory is not set.");
		return peer;
	}
	if(len == 0) {
		core_refuse(ws, 404, "There is no such service.");
		return peer;
	}
	size_t size = strlen(directory) + 1 + len + 1;
	peer.host = malloc(size);
	if(peer.host) {
		snprintf(peer.host, size, "%s/%.*s", directory, (int)len, endpoint + 1);
	}
	/* The daemon frees it. */
	return peer;
}

void cleanup(void) {
	free(directory);
	directory = NULL;
}
