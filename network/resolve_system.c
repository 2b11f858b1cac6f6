/* SPDX-License-Identifier: BSD-2-Clause
 *
 * resolv.conf.
 *
 * Must not know: lookups, name servers given as an option.
 * Invariants: the file is read by the resolver library; here it is only compared.
 */
#include "network/resolve_system.h"

#include "base/address.h"
#include "base/file.h"
#include "base/log.h"
#include "network/resolve_zones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESOLVE_SYSTEM_SIZE_MAX (64 * 1024)

static bool same_time(struct timespec a, struct timespec b) {
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_status(const struct stat *a, const struct stat *b) {
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

bool resolve_system_changed(struct resolve_system *system) {
	struct stat status = {0};
	int error = stat(RESOLVE_SYSTEM_FILE, &status) < 0 ? errno : 0;
	/* Without the file, what it said stays in use: another root directory may lack it. */
	if(error) {
		return false;
	}
	bool changed = !same_status(&status, &system->status);
	system->status = status;
	return changed;
}

/* The value of a line "nameserver ADDRESS". False: another line. */
static bool read_server(struct slice line, struct slice *server) {
	static const char keyword[] = "nameserver";
	if(!text_begins(line, keyword)) {
		return false;
	}
	struct slice rest = text_skip(line, sizeof(keyword) - 1);
	*server = text_trim(rest);
	server->len = strcspn(server->at, " \t\r\n;#");
	return server->len > 0 && text_is_blank(rest.at[0]);
}

/* A list of name servers that is being written. */
struct servers {
	char *text; /* with room for all */
	size_t len;
	size_t count;
	bool has_zone;
};

/* Adds a server if it is valid. */
static void add_server(struct servers *servers, struct slice server) {
	union address address;
	struct slice zone;
	if(servers->count == RESOLVE_ZONES_MAX || address_parse_zone(server, &address, &zone) ||
		zone.len >= IF_NAMESIZE) {
		return;
	}
	if(servers->count > 0) {
		servers->text[servers->len++] = ',';
	}
	memcpy(servers->text + servers->len, server.at, server.len);
	servers->len += server.len;
	servers->text[servers->len] = '\0';
	servers->count++;
	servers->has_zone = servers->has_zone || zone.len > 0;
}

char *resolve_system_zoned(void) {
	char *text;
	size_t len;
	if(file_read(RESOLVE_SYSTEM_FILE, RESOLVE_SYSTEM_SIZE_MAX, &text, &len)) {
		return NULL;
	}
	struct servers servers = {.text = malloc(len + 1)}; /* keywords are longer than commas */
	struct slice rest = {text, len};
	struct slice server;
	while(servers.text && rest.len > 0) {
		if(read_server(text_take(&rest, '\n'), &server)) {
			add_server(&servers, server);
		}
	}
	free(text);
	if(!servers.has_zone) {
		free(servers.text);
		return NULL;
	}
	return servers.text;
}

static void check_server(const struct resolve_channel *channel, struct slice server) {
	union address address;
	struct slice zone;
	bool valid = address_parse_zone(server, &address, &zone) == 0;
	if(valid && resolve_channel_has_server(channel, &address)) {
		return;
	}
	log_write(LOG_WARNING,
		"name lookup: the name server %.*s of " RESOLVE_SYSTEM_FILE
		" is not used: %s (the option `resolver` names others)",
		(int)server.len, server.at,
		valid ? "this version of c-ares does not support such an address"
		      : "it is not an address");
}

void resolve_system_warn(const struct resolve_channel *channel) {
	char *text;
	size_t len;
	if(file_read(RESOLVE_SYSTEM_FILE, RESOLVE_SYSTEM_SIZE_MAX, &text, &len)) {
		return;
	}
	struct slice rest = {text, len};
	struct slice server;
	while(rest.len > 0) {
		if(read_server(text_take(&rest, '\n'), &server)) {
			check_server(channel, server);
		}
	}
	free(text);
}
