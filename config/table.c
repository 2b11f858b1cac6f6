/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The table of all options: the command line, configuration files, --help and --dump-config follow
 * from it.
 */
#include "config/table.h"

#include "config/file.h"
#include "config/types.h"

#include <assert.h>

/* The build sets it to the directory that plugins are built in or installed to. */
#ifndef WEBSOCKSY_PLUGINPATH
#define WEBSOCKSY_PLUGINPATH "/usr/local/lib/websocksy"
#endif

#ifndef WEBSOCKSY_REBIND
#define WEBSOCKSY_REBIND "/usr/local/lib/websocksy/preload/rebind.so"
#endif

#define TABLE_TIME_MAX_MS UINT64_C(31536000000) /* a year: sums of times stay far from wrapping */
#define TABLE_MEMORY_MAX ((uint64_t)1 << 40)
#define TABLE_SIZE_MAX ((uint64_t)1 << 30)
#define TABLE_CLIENTS_MAX 10000000
#define TABLE_WORKERS_MAX 64

const char *const table_groups[OPTION_GROUPS] = {
	[OPTION_CLIENTS] = "Clients",
	[OPTION_TLS] = "TLS",
	[OPTION_PEERS] = "Peers",
	[OPTION_TIMES] = "Times (seconds, or with ms, s, m, h; 0: never, unless said otherwise)",
	[OPTION_LIMITS] = "Limits (sizes take K, M, G)",
	[OPTION_RUNNING] = "Running",
};

#define SETTING(member) .offset = offsetof(struct config, settings.member), .key = true
#define TIME_LIMITS(least) .min = (least), .max = TABLE_TIME_MAX_MS
#define SIZE_LIMITS(least) .min = (least), .max = TABLE_SIZE_MAX

/* clang-format off */
static const struct option options[] = {
	{.group = OPTION_CLIENTS, .name = "port", .letter = 'p', .argument = "PORT",
		.type = &type_port, SETTING(port), .max = UINT16_MAX, .preset = "8001",
		.help = "TCP port to listen on; 0: the kernel chooses, the log tells"},
	{.group = OPTION_CLIENTS, .name = "listen", .letter = 'l', .argument = "ADDRESS[:PORT]",
		.type = &type_listen, .key = true, .preset = TYPE_WORD_ALL,
		.help = "address or host name to listen on, or unix:/path[,mode=0660]; *: all "
			"addresses, IPv6 and IPv4; behind it ,tls or ,plain for TLS alone or none; "
			"repeatable"},
	{.group = OPTION_CLIENTS, .name = "origin", .argument = "ORIGIN", .type = &type_origin,
		.key = true, .preset = TYPE_WORD_ORIGIN,
		.help = "allowed Origin of requests: scheme://host[:port], *. for subdomains, "
			"same, null, or file://; repeatable; *: any; auto: same if there is an "
			"auth-file or client-verify, otherwise any"},
	{.group = OPTION_CLIENTS, .name = "server-name", .argument = "NAME",
		.type = &type_server_names, SETTING(server_name), .preset = "",
		.help = "name of this server, *. for all names below; requests for others get "
			"421; repeatable; empty: any"},
	{.group = OPTION_CLIENTS, .name = "web", .argument = "PATH",
		.type = &type_web, SETTING(web), .path = true,
		.preset = "",
		.help = "directory whose files plain HTTP requests get, or one file that is then "
			"/"},
	{.group = OPTION_CLIENTS, .name = "web-listing", .argument = "yes|no", .type = &type_switch,
		SETTING(web_listing), .preset = "no",
		.help = "list the names in directories that have no index.html"},
	{.group = OPTION_CLIENTS, .name = "web-header", .argument = "NAME:VALUE",
		.type = &type_web_header, SETTING(web_header), .preset = "",
		.help = "header field that is added to pages, or replaces a default; repeatable"},
	{.group = OPTION_CLIENTS, .name = "frame-ancestors", .argument = "SITE",
		.type = &type_frame_ancestors, SETTING(frame_ancestors), .preset = "",
		.help = "sites whose pages may show pages in a frame: scheme://host[:port], *. for "
			"subdomains, self, none, or *; repeatable; empty: self"},
	{.group = OPTION_CLIENTS, .name = "health", .argument = "PATH", .type = &type_url_path,
		SETTING(health), .preset = "",
		.help = "path that answers 200 while clients are taken and 503 otherwise, like "
			"/healthz; empty: none"},
	{.group = OPTION_CLIENTS, .name = "auth-file", .argument = "FILE", .type = &type_path,
		SETTING(auth_file), .path = true, .preset = "",
		.help = "ask clients for a user and password: lines of name:hash as htpasswd -B "
			"and mkpasswd write them"},
	{.group = OPTION_CLIENTS, .name = "web-auth", .argument = "yes|no", .type = &type_switch,
		SETTING(web_auth), .preset = "yes",
		.help = "whether auth-file and client-name are for the pages of web too"},
	{.group = OPTION_CLIENTS, .name = "auth-cookie", .argument = "TIME", .type = &type_time,
		SETTING(auth_cookie_ms), TIME_LIMITS(0), .preset = "0",
		.help = "pages set a login cookie for this time, for browsers that send no "
			"password with WebSockets (Safari); 0: none"},
	{.group = OPTION_CLIENTS, .name = "insecure-auth", .argument = "yes|no",
		.type = &type_switch, SETTING(insecure_auth), .preset = "no",
		.help = "accept passwords over plain HTTP although there is a cert"},
	{.group = OPTION_CLIENTS, .name = "legacy", .argument = "LIST", .type = &type_legacy,
		SETTING(legacy), .preset = "none",
		.help = "protocols of old clients to accept as well: hixie (drafts 75 and 76), hybi "
			"(versions 7 and 8), flash (policy requests); see SECURITY.md"},
	{.group = OPTION_CLIENTS, .name = "legacy-flash-domain", .argument = "DOMAIN",
		.type = &type_flash_domain, SETTING(legacy_flash_domain), .preset = "",
		.help = "domain whose Flash pages may connect, *. for subdomains; empty: any"},
	{.group = OPTION_CLIENTS, .name = "legacy-flash-ports", .argument = "PORTS",
		.type = &type_flash_ports, SETTING(legacy_flash_ports), .preset = "",
		.help = "ports and ranges that they may connect to, or *; empty: the one that asks"},
	{.group = OPTION_TLS, .name = "cert", .argument = "FILE",
		.type = &type_paths, SETTING(cert), .path = true,
		.preset = "",
		.help = "certificate chain, PEM; repeatable, the client's server name (SNI) "
			"chooses; empty: none"},
	{.group = OPTION_TLS, .name = "key", .argument = "FILE", .type = &type_paths, SETTING(key),
		.path = true,
		.preset = "",
		.help = "private key, PEM, one for each cert in the same order; none: the keys are "
			"in the cert files"},
	{.group = OPTION_TLS, .name = "key-password-file", .argument = "FILE", .type = &type_path,
		SETTING(key_passphrases), .path = true, .preset = "",
		.help = "passphrases of encrypted keys, one a line, which are tried in turn; empty: "
			"none"},
	{.group = OPTION_TLS, .name = "tls", .argument = "MODE", .type = &type_tls, SETTING(tls),
		.preset = "auto",
		.help = "auto: with a cert the first byte of a connection tells TLS from plain "
			"HTTP; required; off"},
	{.group = OPTION_TLS, .name = "tls-priority", .argument = "STRING", .type = &type_text,
		SETTING(tls_priority), .preset = "",
		.help = "GnuTLS priority string; empty: TLS 1.2 and 1.3"},
	{.group = OPTION_TLS, .name = "client-ca", .argument = "FILE", .type = &type_path,
		SETTING(client_ca), .path = true, .preset = "",
		.help = "authorities that client certificates are verified against, PEM"},
	{.group = OPTION_TLS, .name = "client-crl", .argument = "FILE", .type = &type_paths,
		SETTING(client_crl), .path = true, .preset = "",
		.help = "list of revoked client certificates, PEM; repeatable; empty: none"},
	{.group = OPTION_TLS, .name = "client-verify", .argument = "MODE", .type = &type_verify,
		SETTING(client_verify), .preset = "off",
		.help = "certificates of clients: off, optional (one that is sent must be valid), "
			"required"},
	{.group = OPTION_TLS, .name = "client-name", .argument = "NAME", .type = &type_texts,
		SETTING(client_name), .preset = "",
		.help = "common name of the certificates that clients may have; others get 403; "
			"repeatable; empty: any"},
	{.group = OPTION_TLS, .name = "redirect-https", .argument = "yes|no",
		.type = &type_switch, SETTING(redirect_https), .preset = "no",
		.help = "answer plain requests with 308 to https when there is a cert"},
	{.group = OPTION_TLS, .name = "hsts", .argument = "TIME", .type = &type_time,
		SETTING(hsts_ms), TIME_LIMITS(0), .preset = "0",
		.help = "tell browsers over TLS to use https only for this time "
			"(Strict-Transport-Security); 0: do not"},
	{.group = OPTION_CLIENTS, .name = "trusted-proxy", .argument = "CIDR",
		.type = &type_network,
		SETTING(trusted), .preset = "",
		.help = "network or address of proxies whose Forwarded, X-Forwarded-For or "
			"X-Real-IP headers are believed; unix: those on Unix sockets; repeatable"},
	{.group = OPTION_CLIENTS, .name = "real-ip-header", .argument = "NAME",
		.type = &type_field_name, SETTING(real_ip_header), .preset = "",
		.help = "the one header of trusted proxies with the client's address; empty: "
			"Forwarded, X-Forwarded-For and X-Real-IP, which must agree"},
	{.group = OPTION_CLIENTS, .name = "proxy-protocol", .argument = "yes|no",
		.type = &type_switch, SETTING(proxy_protocol), .preset = "no",
		.help = "connections from trusted proxies begin with a PROXY header, version 1 "
			"or 2"},
	{.group = OPTION_PEERS, .name = "backend", .letter = 'b', .argument = "NAME",
		.type = &type_backend, .key = true,
		.help = "load backend_NAME.so and drop the previous backend with its options; "
			"empty: the built-in one (default)"},
	{.group = OPTION_PEERS, .letter = 'c', .argument = "KEY=VALUE",
		.type = &type_backend_option,
		.help = "option for the backend chosen at that moment; repeatable"},
	{.group = OPTION_PEERS, .name = "plugin-path", .argument = "DIR", .type = &type_directory,
		SETTING(plugin_path), .fixed = true, .preset = WEBSOCKSY_PLUGINPATH,
		.help = "absolute directory of plugins"},
	{.group = OPTION_PEERS, .name = "resolver", .argument = "ADDR[:PORT],...",
		.type = &type_resolver, SETTING(resolver), .preset = "",
		.help = "name servers to ask instead of those in /etc/resolv.conf"},
	{.group = OPTION_PEERS, .name = "wrap", .argument = "MODE", .type = &type_wrap,
		SETTING(wrap), .preset = "port",
		.help = "how clients reach the program behind --: port (it binds wrap-port, which is "
			"moved), unix (it binds $SOCKET, {SOCKET} in its arguments), stdio (one process "
			"for each client)"},
	{.group = OPTION_PEERS, .name = "wrap-port", .argument = "PORT", .type = &type_port,
		SETTING(wrap_port), .max = UINT16_MAX, .preset = "0",
		.help = "the TCP port that the program binds; 0: the port of this daemon"},
	{.group = OPTION_PEERS, .name = "wrap-mode", .argument = "MODE", .type = &type_wrap_mode,
		SETTING(wrap_mode), .preset = "exit",
		.help = "when the program exits or puts itself into the background: exit (with its "
			"status), ignore, respawn"},
	{.group = OPTION_PEERS, .name = "wrap-library", .argument = "FILE", .type = &type_directory,
		SETTING(wrap_library), .preset = WEBSOCKSY_REBIND,
		.help = "the library that wrap = port preloads"},
	{.group = OPTION_PEERS, .name = "exec", .argument = "yes|no", .type = &type_switch,
		SETTING(exec), .preset = "no",
		.help = "allow peers exec://PROGRAM ARG..., which start a program for each client"},
	{.group = OPTION_PEERS, .name = "pty", .argument = "yes|no", .type = &type_switch,
		SETTING(pty), .preset = "no",
		.help = "give these programs a terminal"},
	{.group = OPTION_TIMES, .name = "ping", .letter = 'k', .argument = "TIME",
		.type = &type_time,
		SETTING(ping_ms), .max = TABLE_TIME_MAX_MS / 2, .preset = "30",
		.help = "ping a client after this time without a byte from it"},
	{.group = OPTION_TIMES, .name = "pong-timeout", .argument = "TIME", .type = &type_pong,
		SETTING(pong_timeout_ms), TIME_LIMITS(0), .preset = TYPE_WORD_AUTO,
		.help = "give a client up this long after an unanswered ping; auto: twice ping"},
	{.group = OPTION_TIMES, .name = "handshake-timeout", .argument = "TIME", .type = &type_time,
		SETTING(handshake_timeout_ms), TIME_LIMITS(1), .preset = "10",
		.help = "for TLS and the request head; not 0"},
	{.group = OPTION_TIMES, .name = "connect-timeout", .argument = "TIME", .type = &type_time,
		SETTING(connect_timeout_ms), TIME_LIMITS(1), .preset = "10",
		.help = "for looking up and connecting to the peer, TLS included; not 0"},
	{.group = OPTION_TIMES, .name = "query-timeout", .argument = "TIME", .type = &type_query,
		SETTING(query_timeout_ms), TIME_LIMITS(1), .preset = TYPE_WORD_AUTO,
		.help = "for the answer of the backend; not 0; auto: as connect-timeout"},
	{.group = OPTION_TIMES, .name = "close-timeout", .argument = "TIME", .type = &type_time,
		SETTING(close_timeout_ms), TIME_LIMITS(1), .preset = "5",
		.help = "to wait for the other side's close; not 0"},
	{.group = OPTION_TIMES, .name = "idle-timeout", .argument = "TIME", .type = &type_time,
		SETTING(idle_timeout_ms), TIME_LIMITS(0), .preset = "0",
		.help = "close after this time without data in either direction"},
	{.group = OPTION_TIMES, .name = "stall-timeout", .argument = "TIME", .type = &type_time,
		SETTING(stall_timeout_ms), TIME_LIMITS(0), .preset = "60",
		.help = "close when a backlog has not shrunk for this time"},
	{.group = OPTION_TIMES, .name = "grace", .argument = "TIME", .type = &type_time,
		SETTING(grace_ms), TIME_LIMITS(0), .preset = "10",
		.help = "that running connections get at shutdown; 0: none"},
	{.group = OPTION_TIMES, .name = "drain-delay", .argument = "TIME", .type = &type_time,
		SETTING(drain_delay_ms), TIME_LIMITS(0), .preset = "0",
		.help = "to accept connections at shutdown while health answers 503; 0: none"},
	{.group = OPTION_TIMES, .name = "drain-time", .argument = "TIME", .type = &type_time,
		SETTING(drain_time_ms), TIME_LIMITS(0), .preset = "0",
		.help = "over which connections are then closed evenly, idle ones first; 0: all at "
			"once"},
	{.group = OPTION_TIMES, .name = "drain-code", .argument = "CODE",
		.type = &type_drain_code, SETTING(drain_code), .preset = "1001",
		.help = "close code at shutdown: 1001 (going away) or 1012 (restart)"},
	{.group = OPTION_LIMITS, .name = "max-message", .argument = "SIZE", .type = &type_size,
		SETTING(max_message), SIZE_LIMITS(1), .preset = "16M",
		.help = "largest message that has to be held whole"},
	{.group = OPTION_LIMITS, .name = "max-memory", .argument = "SIZE", .type = &type_size,
		SETTING(max_memory), .max = TABLE_MEMORY_MAX, .preset = "0",
		.help = "queued data and incomplete messages of all connections together; 0: half "
			"of the memory that the machine or the control group has"},
	{.group = OPTION_LIMITS, .name = "max-clients", .argument = "NUMBER", .type = &type_count,
		SETTING(max_clients), .max = TABLE_CLIENTS_MAX, .preset = "0",
		.help = "connections at once; 0: as many as the descriptor limit allows"},
	{.group = OPTION_LIMITS, .name = "max-clients-per-ip", .argument = "NUMBER",
		.type = &type_count, SETTING(max_clients_per_ip), .max = TABLE_CLIENTS_MAX,
		.preset = "0",
		.help = "the same for each client address (IPv6: each /64); 0: no limit"},
	{.group = OPTION_LIMITS, .name = "max-per-key", .argument = "NUMBER",
		.type = &type_count, SETTING(max_per_key), .max = TABLE_CLIENTS_MAX,
		.preset = "0",
		.help = "the same for each session key of the backend; 0: no limit"},
	{.group = OPTION_LIMITS, .name = "max-per-key-action", .argument = "ACTION",
		.type = &type_per_key, SETTING(per_key_action), .preset = "refuse",
		.help = "refuse a further connection, or evict the oldest one"},
	{.group = OPTION_LIMITS, .name = "buffer-high", .argument = "SIZE", .type = &type_size,
		SETTING(buffer_high), SIZE_LIMITS(1), .preset = "256K",
		.help = "backlog of one direction above which its source is paused"},
	{.group = OPTION_LIMITS, .name = "buffer-low", .argument = "SIZE", .type = &type_size,
		SETTING(buffer_low), SIZE_LIMITS(0), .preset = "64K",
		.help = "backlog at which it is resumed; below buffer-high"},
	{.group = OPTION_RUNNING, .name = "config", .argument = "FILE", .type = &file_type,
		.help = "read this configuration file now; later options override it"},
	{.group = OPTION_RUNNING, .name = "daemon", .letter = 'D', .argument = "yes|no",
		.type = &type_switch, SETTING(daemon), .optional = true, .fixed = true,
		.preset = "no",
		.help = "detach when the daemon is ready"},
	{.group = OPTION_RUNNING, .name = "pid-file", .argument = "FILE", .type = &type_path,
		SETTING(pid_file), .path = true, .fixed = true, .preset = "",
		.help = "write the process number to this file and lock it, so that a second "
			"daemon with the same file does not start"},
	{.group = OPTION_RUNNING, .name = "user", .argument = "NAME", .type = &type_text,
		SETTING(user), .fixed = true, .preset = "",
		.help = "name or number of the user to become when the sockets are bound; empty: "
			"stay the same"},
	{.group = OPTION_RUNNING, .name = "group", .argument = "NAME", .type = &type_text,
		SETTING(group), .fixed = true, .preset = "",
		.help = "the same for the group; empty: that of the user"},
	{.group = OPTION_RUNNING, .name = "chroot", .argument = "DIR", .type = &type_path,
		SETTING(chroot), .path = true, .fixed = true, .preset = "",
		.help = "directory to make the root of the file system when the sockets are bound"},
	{.group = OPTION_RUNNING, .name = "workers", .argument = "NUMBER", .type = &type_count,
		SETTING(workers), .min = 1, .max = TABLE_WORKERS_MAX, .fixed = true, .preset = "1",
		.help = "processes that share the ports, started and watched by one more; 1: a "
			"single process"},
	{.group = OPTION_RUNNING, .name = "inetd", .argument = "yes|no", .type = &type_switch,
		SETTING(inetd), .optional = true, .fixed = true, .preset = "no",
		.help = "standard input is the socket: a listening one, or a client"},
	{.group = OPTION_RUNNING, .name = "run-once", .argument = "yes|no", .type = &type_switch,
		SETTING(run_once), .optional = true, .preset = "no",
		.help = "exit after one WebSocket connection"},
	{.group = OPTION_RUNNING, .name = "exit-after", .argument = "TIME", .type = &type_time,
		SETTING(exit_after_ms), TIME_LIMITS(0), .preset = "0",
		.help = "stop listening after this time, and exit with the last connection; 0: "
			"never"},
	{.group = OPTION_RUNNING, .name = "exit-idle", .argument = "TIME", .type = &type_time,
		SETTING(exit_idle_ms), TIME_LIMITS(0), .preset = "0",
		.help = "exit after this time without a WebSocket connection; 0: never"},
	{.group = OPTION_RUNNING, .name = "core-dump", .argument = "yes|no", .type = &type_switch,
		SETTING(core_dump), .preset = "no",
		.help = "let the process, which holds passwords and keys, be dumped and debugged"},
	{.group = OPTION_RUNNING, .name = "log-level", .argument = "LEVEL", .type = &type_level,
		SETTING(log_level), .preset = "info",
		.help = "error, warning, notice, info, or debug"},
	{.group = OPTION_RUNNING, .name = "log-target", .argument = "TARGET",
		.type = &type_log_target, SETTING(log_target), .preset = "",
		.help = "stderr, file:/PATH, syslog, syslog:HOST:PORT, syslog:/PATH, or journal; a "
			"file is opened again at SIGUSR1 and SIGHUP (default: stderr)"},
	{.group = OPTION_RUNNING, .name = "log-format", .argument = "FORMAT",
		.type = &type_log_format, SETTING(log_format), .preset = "text",
		.help = "text, or json: one object in each line"},
	{.group = OPTION_RUNNING, .name = "access-log", .argument = "LINES",
		.type = &type_access_log, SETTING(access_log), .preset = "close",
		.help = "lines about each WebSocket connection: close (one at its end), both (one "
			"at its start, too), or off"},
	{.group = OPTION_RUNNING, .name = "record", .argument = "TEMPLATE",
		.type = &type_record, SETTING(record), .preset = "",
		.help = "record each WebSocket connection in a file of this name: %t time, %i number "
			"of the connection, %a client address, %% percent sign; empty: none"},
	{.group = OPTION_RUNNING, .name = "record-format", .argument = "FORMAT",
		.type = &type_record_format, SETTING(record_format), .preset = "novnc",
		.help = "novnc (for its playback page), jsonl (one message in each line), or "
			"pcapng (for Wireshark)"},
	{.group = OPTION_RUNNING, .name = "traffic", .argument = "yes|no", .type = &type_switch,
		SETTING(traffic), .optional = true, .preset = "no",
		.help = "write characters to standard output for each message, as websockify does"},
	{.group = OPTION_RUNNING, .name = "verbose", .letter = 'v', .type = &type_verbosity,
		.amount = 1,
		.help = "log one level more; repeatable"},
	{.group = OPTION_RUNNING, .name = "quiet", .letter = 'q', .type = &type_verbosity,
		.amount = -1,
		.help = "log one level less; repeatable"},
	{.group = OPTION_RUNNING, .name = "test-config", .letter = 't', .type = &type_action,
		.amount = CONFIG_TEST, .help = "check the configuration and exit"},
	{.group = OPTION_RUNNING, .name = "dump-config", .type = &type_action,
		.amount = CONFIG_DUMP,
		.help = "print the effective configuration as a file and exit"},
	{.group = OPTION_RUNNING, .name = "plugins", .type = &type_action,
		.amount = CONFIG_PLUGINS,
		.help = "list the plugins in plugin-path with their options and exit"},
	{.group = OPTION_RUNNING, .name = "version", .letter = 'V', .type = &type_action,
		.amount = CONFIG_VERSION, .help = "print the version and exit"},
	{.group = OPTION_RUNNING, .name = "help", .letter = 'h', .type = &type_action,
		.amount = CONFIG_HELP, .help = "print this and exit"},
};
/* clang-format on */
#define COUNT (sizeof(options) / sizeof(options[0]))
static_assert(COUNT <= OPTIONS_MAX, "a reader has a place for each option");

const struct option_table table = {options, COUNT};
