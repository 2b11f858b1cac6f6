/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a program listens.
 *
 * Must not know: how the program is started.
 * Invariants: only processes that have the secret, which is in the environment of the program, can
 * announce an address, and only one of the loopback interface; the directory of the socket belongs
 * to the user of the daemon alone.
 */
#include "service/program_place.h"

#include "base/dynbuf.h"
#include "base/log.h"
#include "network.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PLACE_REPORT_MAX 96
#define PLACE_REPORTS 16 /* read in one turn */
#define PLACE_SOCKET "{SOCKET}" /* stands for the path in arguments */

/* ---- a Unix socket ---- */

/* The first directory of RUNTIME_DIRECTORY is that of the service manager, see systemd.exec(5). */
static int make_folder(struct program_place *place) {
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	const char *temporary = getenv("TMPDIR");
	const char *parent = runtime ? runtime : temporary ? temporary : P_tmpdir;
	int len = (int)strcspn(parent, ":");
	if(asprintf(&place->folder, "%.*s/websocksy-XXXXXX", len, parent) < 0) {
		place->folder = NULL;
		return -ENOMEM;
	}
	if(!mkdtemp(place->folder)) {
		int error = -errno;
		log_write(LOG_ERROR, "wrap: cannot make a directory for the socket: %s: %s",
			place->folder, strerror(-error));
		free(place->folder);
		place->folder = NULL;
		return error;
	}
	return 0;
}

static int open_socket(struct program_place *place) {
	char path[ADDRESS_UNIX_MAX + 2];
	int result = make_folder(place);
	if(result) {
		return result;
	}
	snprintf(path, sizeof(path), "%s/socket", place->folder);
	result = address_of_path(text_slice(path), &place->socket);
	if(result) {
		log_write(LOG_ERROR, "wrap: the path %s is too long for a Unix socket", path);
		return result;
	}
	announced_add(place->announced, &place->socket);
	return 0;
}

/* ---- reports of the library ---- */

static void make_secret(char out[PROGRAM_SECRET]) {
	uint8_t bytes[(PROGRAM_SECRET - 1) / 2] = {0};
	if(getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		abort(); /* not possible for so few bytes (getrandom(2)) */
	}
	for(size_t i = 0; i < sizeof(bytes); i++) {
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	}
}

/* Equal, in a time that does not tell where they differ? */
static bool is_secret(const char *text, const char *secret) {
	unsigned difference = 0;
	for(size_t i = 0; i < PROGRAM_SECRET - 1; i++) {
		difference |= (unsigned)(unsigned char)(text[i] ^ secret[i]);
	}
	return difference == 0;
}

/* "SECRET 4 PORT", or 6. */
static void take_report(struct program_place *place, const char *text, size_t len) {
	struct socket_address address = {0};
	uint16_t port;
	size_t head = PROGRAM_SECRET - 1 + strlen(" 4 ");
	if(len <= head || !is_secret(text, place->secret) ||
		address_parse_port((struct slice){text + head, len - head}, &port)) {
		log_write(LOG_WARNING, "wrap: a report about a port that is not from the program");
		return;
	}
	bool ip4 = text[PROGRAM_SECRET] == '4';
	if(address_parse(text_slice(ip4 ? "127.0.0.1" : "::1"), &address.ip)) {
		return;
	}
	address_set_port(&address.ip, port);
	address.len = address_size(&address.ip);
	log_write(LOG_INFO, "the program listens on %s, port %u", ip4 ? "127.0.0.1" : "::1", port);
	announced_add(place->announced, &address);
}

static void reports_run(struct ev_io *io) {
	struct program_place *place = container_of(io, struct program_place, reports);
	char text[PLACE_REPORT_MAX];
	for(int i = 0; i < PLACE_REPORTS; i++) {
		ssize_t got = recv(io->fd, text, sizeof(text), 0);
		if(got < 0) {
			loop_used_up(io, LOOP_IN);
			return;
		}
		take_report(place, text, (size_t)got);
	}
}

static int open_reports(struct program_place *place) {
	char name[PROGRAM_SECRET + 1] = "@";
	struct socket_address address;
	make_secret(place->name);
	make_secret(place->secret);
	memcpy(name + 1, place->name, PROGRAM_SECRET);
	int result = address_of_path(text_slice(name), &address);
	int fd = result ? result : network_socket(AF_UNIX, SOCK_DGRAM);
	if(fd < 0) {
		return fd;
	}
	if(bind(fd, &address.any, address.len) < 0) {
		result = -errno;
	} else {
		result = loop_add(place->loop, &place->reports, fd, 0, LOOP_IN, reports_run);
	}
	if(result) {
		close(fd);
		place->reports.fd = -1;
	}
	return result;
}

/* ---- both ---- */

int program_place_open(struct program_place *place, struct loop *loop, struct announced *announced,
	const struct program_listen *listen) {
	*place = (struct program_place){
		.loop = loop, .announced = announced, .reports.fd = -1, .port = listen->port};
	if(listen->port == 0) {
		return open_socket(place);
	}
	place->library = strdup(listen->library);
	int result = place->library ? open_reports(place) : -ENOMEM;
	if(result) {
		log_write(LOG_ERROR, "wrap: %s", strerror(-result));
	}
	return result;
}

void program_place_renew(struct program_place *place) {
	if(place->folder) {
		/* A leftover would keep the program from binding it. */
		unlink(place->socket.un.sun_path);
	} else {
		announced_clear(place->announced);
	}
}

void program_place_close(struct program_place *place) {
	if(place->reports.fd >= 0) {
		loop_close_io(place->loop, &place->reports);
		place->reports.fd = -1;
	}
	if(place->folder) {
		unlink(place->socket.un.sun_path);
		rmdir(place->folder);
		free(place->folder);
		place->folder = NULL;
	}
	free(place->library);
	place->library = NULL;
}

/* ---- what the program is told ---- */

/* Texts one behind the other, each with its NUL. */
struct texts {
	struct dynbuf text;
	size_t count;
	bool failed;
};

static void put(struct texts *out, const char *text, size_t len) {
	if(dynbuf_append(&out->text, text, len)) {
		out->failed = true;
	}
}

static void put_end(struct texts *out) {
	put(out, "", 1);
	out->count++;
}

static void put_whole(struct texts *out, const char *text) {
	put(out, text, strlen(text));
	put_end(out);
}

/* The pointers, and the texts behind them. */
static char **finish(struct texts *out) {
	size_t size = (out->count + 1) * sizeof(char *);
	char **result = out->failed ? NULL : calloc(1, size + out->text.len);
	if(result && out->text.data) {
		char *at = (char *)result + size;
		memcpy(at, out->text.data, out->text.len);
		for(size_t i = 0; i < out->count; i++) {
			result[i] = at;
			at += strlen(at) + 1;
		}
		result[out->count] = NULL;
	}
	dynbuf_free(&out->text);
	return result;
}

static bool is_variable(const char *text, const char *name) {
	size_t len = strlen(name);
	return strncmp(text, name, len) == 0 && text[len] == '=';
}

static const char *put_inherited(struct texts *out, char *const *inherited) {
	const char *preload = NULL;
	for(; *inherited; inherited++) {
		if(is_variable(*inherited, "LD_PRELOAD")) {
			preload = *inherited + strlen("LD_PRELOAD=");
		} else if(!is_variable(*inherited, "SOCKET") &&
			!is_variable(*inherited, "WEBSOCKSY_REBIND")) {
			put_whole(out, *inherited);
		}
	}
	return preload;
}

char **program_place_environment(const struct program_place *place, char *const *inherited) {
	struct texts out = {0};
	const char *preload = put_inherited(&out, inherited);
	char text[16 + 8 + 2 * PROGRAM_SECRET + 2];
	if(place->folder) {
		put(&out, "SOCKET=", strlen("SOCKET="));
		put_whole(&out, place->socket.un.sun_path);
	} else {
		snprintf(text, sizeof(text), "WEBSOCKSY_REBIND=%u:%s:%s", place->port, place->name,
			place->secret);
		put_whole(&out, text);
	}
	if(place->library || preload) {
		put(&out, "LD_PRELOAD=", strlen("LD_PRELOAD="));
		put(&out, place->library ? place->library : "",
			place->library ? strlen(place->library) : 0);
		put(&out, ":", place->library && preload);
		put_whole(&out, preload ? preload : "");
	}
	return finish(&out);
}

static void put_argument(struct texts *out, const char *argument, const char *path) {
	const char *found;
	while(path && (found = strstr(argument, PLACE_SOCKET))) {
		put(out, argument, (size_t)(found - argument));
		put(out, path, strlen(path));
		argument = found + strlen(PLACE_SOCKET);
	}
	put_whole(out, argument);
}

char **program_place_arguments(const struct program_place *place, char *const *argv) {
	struct texts out = {0};
	for(; *argv; argv++) {
		put_argument(&out, *argv, place->folder ? place->socket.un.sun_path : NULL);
	}
	return finish(&out);
}
