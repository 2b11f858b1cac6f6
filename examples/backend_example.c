/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A minimal backend: ws://host/NAME is connected to the Unix socket NAME in a directory.
 *
 *     cc -std=c11 -Wall -Wextra -fPIC -shared -I. -o backend_example.so examples/backend_example.c
 *     websocksy -b example -c directory=/run/services
 *
 * Client input becomes part of a path here, so only harmless characters are accepted. See
 * docs/plugins.md for details.
 */
#include <websocksy.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_LEN_MAX 64
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

/* The daemon looks these symbols up: they have to be visible. */
WEBSOCKSY_EXPORT uint64_t init(void);
WEBSOCKSY_EXPORT uint64_t configure(char *key, char *value);
WEBSOCKSY_EXPORT ws_peer_info query(char *endpoint, size_t protocols, char **protocol,
	size_t headers, ws_http_header *header, websocket *ws);
WEBSOCKSY_EXPORT void cleanup(void);

/* The functions have no context argument, so the state is kept here. */
static char *directory;

uint64_t init(void) {
	return WEBSOCKSY_API_VERSION;
}

/* Called for each option; with a result other than 0 the daemon reports an error. */
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

/* Length of the name in "/NAME"; 0 if it has other characters than NAME_CHARACTERS. */
static size_t name_length(const char *endpoint) {
	size_t len = endpoint[0] == '/' ? strspn(endpoint + 1, NAME_CHARACTERS) : 0;
	/* "/NAME/more" and "/NAME?more" name the same socket; "/NAME.x" and "/NAME%2e" none. */
	bool ends = len > 0 && strchr("/?", endpoint[1 + len]) != NULL;
	return ends && len <= NAME_LEN_MAX ? len : 0;
}

/* Called for each client. It must not block: no other client is served meanwhile. */
ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers,
	ws_http_header *header, websocket *ws) {
	/* host NULL refuses the client, framing NULL is auto, protocol 0 the first offered. */
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
	/* The daemon frees host. */
	return peer;
}

void cleanup(void) {
	free(directory);
	directory = NULL;
}
