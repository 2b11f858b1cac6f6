/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The values of all core options, which only config.c and config/ write. Data only, no functions.
 * Times are milliseconds, sizes bytes; 0 switches a limit or timeout off where the manual says so.
 */
#ifndef WEBSOCKSY_SETTINGS_H
#define WEBSOCKSY_SETTINGS_H
#include "base/cidr.h"
#include "base/log.h"
#include "http/origin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of texts. */
struct settings_texts {
	char **at;
	size_t count;
};

/* Values of `tls`. */
enum settings_tls {
	SETTINGS_TLS_AUTO, /* the first byte of a connection decides; without a certificate: off */
	SETTINGS_TLS_REQUIRED,
	SETTINGS_TLS_OFF
};

/* Values of `access-log`. */
enum settings_access {
	SETTINGS_ACCESS_OFF,
	SETTINGS_ACCESS_CLOSE, /* one line for each WebSocket connection, at its end */
	SETTINGS_ACCESS_BOTH /* and one at its start */
};

/* Values of `max-per-key-action`. */
enum settings_per_key {
	SETTINGS_PER_KEY_REFUSE, /* the new connection */
	SETTINGS_PER_KEY_EVICT /* the oldest one is closed */
};

/* Values of `wrap`. */
enum settings_wrap {
	SETTINGS_WRAP_PORT,
	SETTINGS_WRAP_UNIX,
	SETTINGS_WRAP_STDIO
};

/* Values of `drain-code`. */
enum settings_drain_code {
	SETTINGS_DRAIN_GOING_AWAY,
	SETTINGS_DRAIN_RESTART
};

/* Bits of `legacy`. */
#define SETTINGS_LEGACY_HIXIE 1u /* the drafts hixie-75 and -76 */
#define SETTINGS_LEGACY_HYBI 2u /* HyBi 7 and 8, the versions of that number */
#define SETTINGS_LEGACY_FLASH 4u /* policy requests of Flash */

#define SETTINGS_FLASH_MAX 255 /* characters of each of the options below */

/* Default of `pong-timeout`: follow `ping`. */
#define SETTINGS_PONG_TWICE_PING UINT64_MAX

/* Default of `query-timeout`: follow `connect-timeout`. */
#define SETTINGS_QUERY_AS_CONNECT UINT64_MAX

struct settings {
	unsigned legacy; /* SETTINGS_LEGACY_* */
	char *legacy_flash_domain; /* NULL: any */
	char *legacy_flash_ports; /* NULL: the port that the client has connected to */
	bool listen_tls; /* one of `listen` is for TLS alone */
	bool listen_plain; /* one of them never has TLS */
	size_t listens; /* 0: every address of the machine */
	char **listen;
	uint64_t ping_ms;
	uint64_t pong_timeout_ms; /* SETTINGS_PONG_TWICE_PING, or the value */
	uint64_t handshake_timeout_ms;
	uint64_t connect_timeout_ms;
	uint64_t query_timeout_ms; /* SETTINGS_QUERY_AS_CONNECT, or the value */
	uint64_t close_timeout_ms;
	uint64_t idle_timeout_ms;
	uint64_t stall_timeout_ms;
	uint64_t grace_ms;
	uint64_t drain_delay_ms;
	uint64_t drain_time_ms;
	uint64_t auth_cookie_ms; /* lifetime of login cookies; 0: none */
	uint64_t hsts_ms; /* max-age of Strict-Transport-Security; 0: no such field */
	size_t max_message;
	size_t max_memory; /* 0: derived from the machine */
	size_t max_clients; /* 0: as many as the descriptor limit allows */
	size_t max_clients_per_ip;
	size_t max_per_key; /* 0: no limit */
	int per_key_action; /* enum settings_per_key */
	int drain_code; /* enum settings_drain_code */
	size_t buffer_high;
	size_t buffer_low;
	size_t origins; /* 0: any, or as any_origin says */
	struct origin *origin;
	char *web; /* NULL: no web pages */
	struct settings_texts web_header; /* further header fields of pages */
	struct settings_texts frame_ancestors; /* sites whose pages may frame pages; none: self */
	char *health; /* path of requests for the state of the daemon; NULL: none */
	char *auth_file; /* NULL: no authentication; its content is in struct config */
	struct settings_texts
		cert; /* PEM files; the key of each at the same place in `key`, or in it */
	struct settings_texts key;
	char *key_passphrases; /* file with a line for each encrypted key; NULL: none */
	char *tls_priority; /* GnuTLS priority string; NULL: TLS 1.2 and 1.3 */
	char *client_ca; /* NULL: none */
	struct settings_texts client_name; /* common names of clients; none: any */
	struct settings_texts client_crl; /* PEM files of revoked client certificates */
	struct settings_texts server_name; /* names of this server; none: any */
	struct cidr_list trusted; /* trusted reverse proxies */
	char *real_ip_header; /* the field with the client's address; NULL: all known ones */
	char *plugin_path; /* absolute */
	char *resolver; /* name servers, comma-separated; NULL: as the system is configured */
	int tls; /* enum settings_tls */
	int client_verify; /* enum tls_verify of tls.h */
	int access_log; /* enum settings_access */
	int log_format; /* enum log_format */
	char *log_target; /* NULL: the default */
	int record_format; /* enum record_format */
	char *record; /* template of the names of recordings; NULL: none */
	enum log_level log_level;
	uint16_t port;
	bool any_origin; /* without origins: also if clients are authenticated */
	bool web_listing;
	bool web_auth; /* pages require authentication too, if there is an auth_file */
	bool insecure_auth; /* accept passwords without TLS although there is a certificate */
	int wrap; /* enum settings_wrap: how clients reach the program of the command line */
	int wrap_mode; /* enum program_mode of service/program.h */
	uint16_t wrap_port; /* that it binds; 0: `port` */
	char *wrap_library; /* preloaded into it */
	bool exec; /* peers may be programs that are started for each connection */
	bool pty; /* with a terminal */
	bool core_dump; /* allow core dumps and debuggers of the same user */
	bool redirect_https; /* answer plain requests with 308 */
	uint64_t exit_after_ms; /* then the daemon stops listening; 0: never */
	uint64_t exit_idle_ms; /* without a WebSocket connection, then the daemon exits; 0: never */
	char *pid_file; /* NULL: none */
	char *user; /* NULL: as started */
	char *group;
	char *chroot;
	size_t workers; /* processes that accept connections; 1: this one does */
	bool daemon; /* detach */
	bool inetd; /* standard input is the socket */
	bool run_once; /* exit after one WebSocket connection */
	bool traffic; /* a character on standard output for each message */
	bool proxy_protocol; /* connections of trusted proxies begin with a PROXY header */
};
#endif
