/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of IP and Unix sockets as text and as the sockets API has them. No descriptors, no
 * lookups.
 */
#ifndef WEBSOCKSY_ADDRESS_H
#define WEBSOCKSY_ADDRESS_H
#include "base/text.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * An IP address with its port, small enough to keep one for each connection. AF_UNSPEC: none;
 * AF_UNIX: some Unix socket, without its path. Port 0: unknown.
 */
union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* An address of any family as bind(), connect() and getsockname() take and return it. */
struct socket_address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		union address ip;
	};
};

/* Longest path or abstract name with its '@'. */
#define ADDRESS_UNIX_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* ---- parsing ---- */

/* An IPv4 or IPv6 literal and nothing else; the port is 0. 0 or -EINVAL. */
int address_parse(struct slice text, union address *out);

/*
 * The same, with an optional zone behind an IPv6 literal ("%eth0", RFC 4007, 11). `*zone` is the
 * name or number of the interface, empty if there is none; the scope of the result is not set.
 */
int address_parse_zone(struct slice text, union address *out, struct slice *zone);

/* Takes an IPv6 literal in brackets off the front of `*rest`. 0 or -EINVAL. */
int address_take_ip6(struct slice *rest, union address *out);

/* A port of one to five digits, 0 to 65535. 0 or -EINVAL. */
int address_parse_port(struct slice text, uint16_t *out);

/*
 * "ADDR", "ADDR:PORT", "[ADDR]" or "[ADDR]:PORT" with a port from 1; a bare IPv6 literal has no
 * port. 0 or -EINVAL.
 */
int address_parse_endpoint(struct slice text, union address *out);

/*
 * The same, with an optional zone as above behind an IPv6 literal, in the brackets if there are any:
 * "[fe80::1%eth0]:53".
 */
int address_parse_server(struct slice text, union address *out, struct slice *zone);

/* Is it an IPv6 literal without brackets? `zone`: one may follow. */
bool address_is_ip6(const char *text, bool zone);

/* ---- Unix sockets ---- */

/* "unix:/path" or "unix:@abstract", with ",mode=0660" behind it if it is to be listened on. */
struct address_unix {
	struct slice path; /* within the text; begins with '/' or '@' */
	bool has_mode;
	mode_t mode; /* 0 to 0777 */
};

/* Does it begin with "unix:"? */
bool address_is_unix(const char *text);

/*
 * Reads "unix:PATH[,mode=MODE]". 0; -EINVAL with `*why`: static text that continues a sentence
 * which begins with the quoted text.
 */
int address_parse_unix(const char *text, struct address_unix *out, const char **why);

/*
 * The socket address of a path, or of an abstract name if it begins with '@'. 0; -EINVAL: empty;
 * -ENAMETOOLONG.
 */
int address_of_path(struct slice path, struct socket_address *out);

/* ---- addresses to listen on ---- */

/* Which connections a listening socket accepts. */
enum address_tls {
	ADDRESS_TLS_DEFAULT, /* as the option `tls` says */
	ADDRESS_TLS_ONLY,
	ADDRESS_TLS_NEVER
};

/* "ADDRESS[:PORT][,tls|plain]", with brackets around IPv6 if a port follows; "*": every address. */
struct address_listen {
	/* within the text, without brackets; a Unix socket with its "unix:" and mode */
	struct slice host;
	bool is_unix;
	bool is_every; /* "*" */
	bool has_port;
	uint16_t port; /* 0: the kernel chooses */
	enum address_tls tls;
};

/*
 * Reads an address to listen on. 0; -EINVAL with `*why`: static text that continues a sentence
 * which begins with the quoted text.
 */
int address_parse_listen(const char *text, struct address_listen *out, const char **why);

/* ---- IP addresses ---- */

/*
 * A copy; IPv4 in its IPv6 form becomes IPv4, the path of a Unix socket is left out, other families
 * are AF_UNSPEC.
 */
union address address_of(const struct sockaddr *from);

bool address_is_ip(const union address *address);

/* IPv4 in its IPv6 form ("::ffff:192.0.2.1") becomes IPv4; anything else stays. */
void address_unmap(union address *address);

/* An IPv4 address becomes its IPv6 form. */
void address_map(union address *address);

/* The 4 or 16 bytes of an IP address; `*len` is their number, 0 for anything else. */
const uint8_t *address_bytes(const union address *address, size_t *len);

/* Size for the sockets API. */
socklen_t address_size(const union address *address);

/* The port of an IP address in host byte order, 0 for anything else. */
uint16_t address_port(const union address *address);

/* Sets the port of an IP address. */
void address_set_port(union address *address, uint16_t port);

/* Equal family and host; ports do not matter. */
bool address_same_host(const union address *a, const union address *b);

/* ---- formatting ---- */

#define ADDRESS_HOST_TEXT INET6_ADDRSTRLEN
#define ADDRESS_TEXT 64 /* with a port; longer paths are cut */

/*
 * Formats the host without its port: "192.0.2.1", "2001:db8::1", "unix"; "unknown" for other
 * families.
 */
void address_format_host(const struct sockaddr *address, char out[ADDRESS_HOST_TEXT]);

/*
 * Formats an address for the log: "192.0.2.1:80", "[2001:db8::1]:80", without a port of 0 and its
 * brackets, "unix:/path", "unix:@name", "unix" for a socket without name; "unknown" for other
 * families.
 */
void address_format(const struct sockaddr *address, socklen_t len, char *out, size_t cap);

/* ---- values of options ---- */

/*
 * Checks a value. NULL: valid; otherwise static text that continues a sentence which begins with
 * the quoted value. An address, host name or "unix:" address to listen on; a comma-separated list
 * of name servers.
 */
const char *address_check_listen(const char *text);
const char *address_check_servers(const char *text);
#endif
