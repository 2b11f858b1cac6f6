/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small line-based chat over TCP, as a service behind the bridge; it has no WebSocket code. One
 * thread, poll(), non-blocking sockets; input and output of each client are bounded, and a client
 * that does not read is disconnected.
 *
 *   chat-server [-l ADDRESS] [PORT]      default 127.0.0.1, port 9000; port 0: the kernel chooses
 *
 * Without the bridge: nc 127.0.0.1 9000
 */
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 250
#define LINE_SIZE 4096
#define QUEUE_SIZE 65536
#define NICK_MAX 24
#define ACCEPT_PAUSE_MS 500

struct client {
	int fd;
	bool leaving; /* is removed at the end of the turn */
	char nick[NICK_MAX + 1];
	char in[LINE_SIZE];
	size_t in_len;
	char out[QUEUE_SIZE];
	size_t out_len;
};

struct chat {
	int listener;
	bool paused; /* out of descriptors: the listener is paused until the next turn */
	unsigned guests;
	size_t clients;
	struct client *client[CLIENTS_MAX];
};

static void client_flush(struct client *client) {
	while(client->out_len > 0 && !client->leaving) {
		ssize_t sent = send(client->fd, client->out, client->out_len, MSG_NOSIGNAL);
		if(sent < 0) {
			client->leaving = errno != EAGAIN && errno != EINTR;
			return; /* poll() reports when to continue */
		}
		client->out_len -= (size_t)sent;
		memmove(client->out, client->out + sent, client->out_len);
	}
}

static void client_put(struct client *client, const char *line, size_t len) {
	if(client->leaving) {
		return;
	}
	if(len > QUEUE_SIZE - client->out_len) {
		client->leaving = true; /* it does not read */
		return;
	}
	memcpy(client->out + client->out_len, line, len);
	client->out_len += len;
	client_flush(client);
}

/* Sends a formatted line to `only`, or to everyone. */
__attribute__((format(printf, 3, 4))) static void chat_say(
	struct chat *chat, struct client *only, const char *format, ...) {
	char line[LINE_SIZE + NICK_MAX + 16];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if(len < 0) {
		return;
	}
	size_t used = (size_t)len < sizeof(line) - 1 ? (size_t)len : sizeof(line) - 2;
	line[used++] = '\n';
	for(size_t n = 0; n < chat->clients; n++) {
		if(!only || chat->client[n] == only) {
			client_put(chat->client[n], line, used);
		}
	}
}

static bool nick_is_fine(const char *nick) {
	size_t len = strlen(nick);
	return len > 0 && len <= NICK_MAX && !strpbrk(nick, " \t?*<>/");
}

static bool nick_is_taken(const struct chat *chat, const char *nick) {
	for(size_t n = 0; n < chat->clients; n++) {
		if(strcasecmp(chat->client[n]->nick, nick) == 0) {
			return true;
		}
	}
	return false;
}

static void command_nick(struct chat *chat, struct client *client, const char *nick) {
	if(!nick_is_fine(nick)) {
		chat_say(chat, client, "* a nickname has 1 to %d bytes and none of ?*<>/ or blanks",
			NICK_MAX);
	} else if(nick_is_taken(chat, nick)) {
		chat_say(chat, client, "* %s is taken", nick);
	} else {
		chat_say(chat, NULL, "* %s is now %s", client->nick, nick);
		snprintf(client->nick, sizeof(client->nick), "%s", nick);
	}
}

/* `line` has no line end. Control characters are not sent to the terminals of others. */
static void chat_take_line(struct chat *chat, struct client *client, char *line) {
	for(char *c = line; *c; c++) {
		if(iscntrl((unsigned char)*c) && *c != '\t') {
			*c = '?';
		}
	}
	if(strncmp(line, "/nick ", 6) == 0) {
		command_nick(chat, client, line + 6);
	} else if(*line == '/') {
		chat_say(chat, client, "* there is one command: /nick NAME");
	} else if(*line) {
		chat_say(chat, NULL, "<%s> %s", client->nick, line);
	}
}

/* Processes complete lines of the input; with `last` also an incomplete one. */
static void chat_take_lines(struct chat *chat, struct client *client, bool last) {
	char *at = client->in;
	size_t left = client->in_len;
	while(left > 0 && !client->leaving) {
		char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;
		if(!end && !last && left < LINE_SIZE - 1) {
			break; /* incomplete; a line that fills the buffer is split */
		}
		at[len] = '\0'; /* the line end, or the byte after the input, which always exists */
		if(len > 0 && at[len - 1] == '\r') {
			at[len - 1] = '\0';
		}
		chat_take_line(chat, client, at);
		at += end ? len + 1 : len;
		left -= end ? len + 1 : len;
	}
	memmove(client->in, at, left);
	client->in_len = left;
}

/* One read in each turn, for fairness; poll() reports remaining data. */
static void chat_read(struct chat *chat, struct client *client) {
	size_t room = LINE_SIZE - 1 - client->in_len;
	ssize_t got = recv(client->fd, client->in + client->in_len, room, 0);
	if(got > 0) {
		client->in_len += (size_t)got;
		chat_take_lines(chat, client, false);
	} else if(got == 0 || (errno != EAGAIN && errno != EINTR)) {
		chat_take_lines(chat, client, true);
		client->leaving = true;
	}
}

static void chat_welcome(struct chat *chat, int fd) {
	struct client *client = calloc(1, sizeof(*client));
	if(!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	do {
		snprintf(client->nick, sizeof(client->nick), "guest%u", ++chat->guests);
	} while(nick_is_taken(chat, client->nick));
	chat->client[chat->clients++] = client;
	chat_say(chat, client, "* welcome %s, /nick NAME changes your name", client->nick);
	chat_say(chat, NULL, "* %s joined", client->nick);
}

static void chat_accept(struct chat *chat) {
	while(chat->clients < CLIENTS_MAX) {
		int fd = accept4(chat->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if(fd < 0) {
			/* out of descriptors or memory: without a pause this would spin */
			chat->paused = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
			return;
		}
		chat_welcome(chat, fd);
	}
}

/* Announcing that a client left can show that another does not read: repeat until none is left. */
static void chat_reap(struct chat *chat) {
	for(size_t n = 0; n < chat->clients;) {
		struct client *client = chat->client[n++];
		if(!client->leaving) {
			continue;
		}
		chat->client[n - 1] = chat->client[--chat->clients];
		chat_say(chat, NULL, "* %s left", client->nick);
		close(client->fd);
		free(client);
		n = 0;
	}
}

static void chat_serve(struct chat *chat, const struct pollfd *polled, size_t clients) {
	for(size_t n = 0; n < clients; n++) {
		if(polled[n].revents & POLLOUT) {
			client_flush(chat->client[n]);
		}
		if(polled[n].revents & ~POLLOUT) {
			chat_read(chat, chat->client[n]);
		}
	}
}

static void chat_run(struct chat *chat) {
	for(;;) {
		struct pollfd polled[CLIENTS_MAX + 1];
		size_t clients = chat->clients;
		for(size_t n = 0; n < clients; n++) {
			polled[n].fd = chat->client[n]->fd;
			polled[n].events = chat->client[n]->out_len > 0 ? POLLIN | POLLOUT : POLLIN;
		}
		polled[clients].fd = chat->paused || clients == CLIENTS_MAX ? -1 : chat->listener;
		polled[clients].events = POLLIN;
		if(poll(polled, (nfds_t)clients + 1, chat->paused ? ACCEPT_PAUSE_MS : -1) < 0) {
			continue; /* EINTR */
		}
		chat->paused = false;
		chat_serve(chat, polled, clients);
		if(polled[clients].revents) {
			chat_accept(chat);
		}
		chat_reap(chat);
	}
}

/* Listens on the first address of `host`, or exits with a message. */
static int listen_on(const char *host, const char *port) {
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *address = NULL;
	int error = getaddrinfo(host, port, &hints, &address);
	if(error) {
		fprintf(stderr, "chat-server: %s port %s: %s\n", host, port, gai_strerror(error));
		exit(1);
	}
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;
	if(fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
		fprintf(stderr, "chat-server: %s port %s: %s\n", host, port, strerror(errno));
		exit(1);
	}
	freeaddrinfo(address);
	return fd;
}

static void print_address(int fd) {
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST] = "?";
	char port[NI_MAXSERV] = "?";
	getsockname(fd, (struct sockaddr *)&address, &len);
	getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV);
	printf(strchr(host, ':') ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
	fflush(stdout);
}

int main(int argc, char **argv) {
	const char *host = "127.0.0.1";
	int option = 0;
	while((option = getopt(argc, argv, "l:")) == 'l') {
		host = optarg;
	}
	const char *port = optind < argc ? argv[optind] : "9000";
	bool number = strspn(port, "0123456789") == strlen(port) && strlen(port) <= 5;
	if(option != -1 || argc - optind > 1 || !number || strtol(port, NULL, 10) > 65535) {
		fprintf(stderr, "usage: chat-server [-l ADDRESS] [PORT]\n");
		return 2;
	}
	struct chat chat = {.listener = listen_on(host, port)};
	print_address(chat.listener);
	chat_run(&chat);
}
